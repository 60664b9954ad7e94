"""Do a run's probabilities mean what they say?  Expected calibration error and its bins.

    python launch/calibration.py --run RUN --split test

Prints a table and writes RUN/calibration_SPLIT.json (RUN/calibration_STORE_SPLIT.json where --store
is another one than the run was trained on) and, with matplotlib (the extra "plot"), the reliability
diagram beside it.
"""

from axml_jax import stopping

if __name__ == "__main__":
    stopping.hear()  # before imports that take long

import importlib.util
from collections.abc import Sequence

from absl import flags

from axml_jax import flags as axml_flags

_RUN = flags.DEFINE_string("run", "", "The run folder.")
_STORE = flags.DEFINE_string(
    "store", None, "The encoded data; by default the store that the run was trained on."
)
_SPLIT = flags.DEFINE_string("split", "test", "The split to score.")
_TOP_K = flags.DEFINE_integer(
    "top_k", 5, "The best labels of a document, whose probabilities count.", lower_bound=1
)
_BINS = flags.DEFINE_integer("bins", 15, "Bins of equal width.", lower_bound=1)
axml_flags.require("run")


def main(argv: Sequence[str]) -> None:
    del argv
    if flags.FLAGS["top_k"].present:
        axml_flags.check_top_k(_TOP_K.value, _RUN.value)
    # jax takes seconds to import; mistakes on the command line are told before that.
    from axml_jax.analysis import plot_reliability
    from axml_jax.decisions import calibrate_run
    from axml_jax.jsonio import whole_file
    from axml_jax.progress import say
    from axml_jax.tables import show_table

    found, path = calibrate_run(
        _RUN.value,
        store=_STORE.value,
        split=_SPLIT.value,
        top_k=_TOP_K.value,
        num_bins=_BINS.value,
    )
    rows = [
        [f"{low:.3f} to {high:.3f}", f"{count:,}", f"{said:.3f}", f"{true:.3f}"]
        for low, high, count, said, true in zip(
            found.edges[:-1],
            found.edges[1:],
            found.counts,
            found.predicted,
            found.observed,
            strict=True,
        )
        if count
    ]
    show_table(
        f"{_SPLIT.value}: expected calibration error {found.error:.4f}",
        ["probability", "predictions", "mean probability", "part that is true"],
        rows,
    )
    say(f"the bins are in {path}")
    if importlib.util.find_spec("matplotlib"):
        picture = path.with_suffix(".png")
        with whole_file(picture) as partial, open(partial, "wb") as file:
            plot_reliability(found, file)
        say(f"the reliability diagram is {picture}")
    else:
        say("no diagram without matplotlib: pip install -e '.[plot]'")


if __name__ == "__main__":
    axml_flags.run(main)
