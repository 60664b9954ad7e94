"""Chooses a threshold for each label of a run, for those who must decide and not only rank.

    python launch/thresholds.py --run RUN --output thresholds.json
    python launch/predict.py --run RUN --thresholds thresholds.json --input texts.txt

Thresholds are of logits and maximise F1 on validation documents, by default those that the run was
validated on; rare labels are drawn towards the threshold that serves all labels together best.
"""

from axml_jax import stopping

if __name__ == "__main__":
    stopping.hear()  # before imports that take long

from collections.abc import Sequence

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.errors import ConfigError

_RUN = flags.DEFINE_string("run", "", "The run folder.")
_STORE = flags.DEFINE_string(
    "store", None, "The encoded data; by default the store that the run was trained on."
)
_SPLIT = flags.DEFINE_string(
    "split", None, "The split to choose on; by default what the run was validated on."
)
_OUTPUT = flags.DEFINE_string("output", "", "Where the thresholds go, as JSON.")
_TOP_K = flags.DEFINE_integer(
    "top_k", 100, "Labels predicted of a document; a true one beyond is missed.", lower_bound=1
)
_SHRINKAGE = flags.DEFINE_float(
    "shrinkage",
    10.0,
    "With so many true documents a label's threshold is half its own; 0: all its own.",
    lower_bound=0.0,
    upper_bound=1e9,
)
_ON_TEST = flags.DEFINE_boolean(
    "on_test", False, "Allow --split test, whose scores are then no honest ones any more."
)
axml_flags.require("run", "output")


def main(argv: Sequence[str]) -> None:
    del argv
    if _SPLIT.value == "test" and not _ON_TEST.value:
        raise ConfigError(
            "--split is test: what is chosen on it is not honestly scored on it. Take valid, or "
            "say --on_test."
        )
    axml_flags.check_output("output", _OUTPUT.value)
    # jax takes seconds to import; mistakes on the command line are told before that.
    from axml_jax.decisions import thresholds_of_run
    from axml_jax.progress import say

    found, num_documents = thresholds_of_run(
        _RUN.value,
        _OUTPUT.value,
        store=_STORE.value,
        split=_SPLIT.value,
        top_k=_TOP_K.value,
        shrinkage=_SHRINKAGE.value,
    )
    say(
        f"{len(found.by_label):,} thresholds in {_OUTPUT.value}, chosen on "
        f"{num_documents:,} documents; the common one, a logit of "
        f"{found.common:.3f}, serves {(found.by_label == found.common).sum():,} labels"
    )


if __name__ == "__main__":
    axml_flags.run(main)
