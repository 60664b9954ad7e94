"""Scores a trained model on a split of a prepared store.

    python launch/evaluate.py --run RUN --split test --baseline --examples 3

Prints a table with 95 % bootstrap intervals and writes it, with the configuration,
versions and commit, to RUN/evaluation_SPLIT.json.
"""

from collections.abc import Sequence

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.errors import ConfigError

_RUN = flags.DEFINE_string("run", "", "The run folder.")
_STORE = flags.DEFINE_string(
    "store", None, "The encoded data; by default the store that the run was trained on."
)
_SPLIT = flags.DEFINE_string("split", "test", "The split to score.")
_K = flags.DEFINE_list("k", ["1", "3", "5"], "The cut-offs k.")
_DATA_SET = flags.DEFINE_string(
    "data_set",
    "",
    "Chooses the constants A and B of the propensities: those of wikipedia or amazon, or "
    "the usual ones.",
)
_BASELINE = flags.DEFINE_boolean(
    "baseline", False, "Also score the most frequent training labels, the same for every document."
)
_EXAMPLES = flags.DEFINE_integer(
    "examples", 0, "Show this many documents with true and predicted labels.", lower_bound=0
)
axml_flags.require("run")


def main(argv: Sequence[str]) -> None:
    del argv
    try:
        ks = tuple(sorted({int(k) for k in _K.value}))
    except ValueError:
        ks = ()
    if not ks or ks[0] < 1:
        given = ",".join(_K.value)
        raise ConfigError(f"--k takes whole numbers of at least 1, such as 1,3,5; {given} came.")
    # jax takes seconds to import; mistakes on the command line are told before that.
    from axml_jax.evaluation import evaluate_run

    evaluate_run(
        _RUN.value,
        store=_STORE.value,
        split=_SPLIT.value,
        ks=ks,
        data_set=_DATA_SET.value,
        baseline=_BASELINE.value,
        examples=_EXAMPLES.value,
    )


if __name__ == "__main__":
    axml_flags.run(main)
