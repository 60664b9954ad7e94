"""Scores a trained model, or any system's predictions, on a split of a prepared store.

    python launch/evaluate.py --run RUN --split test --baseline --examples 3
    python launch/evaluate.py --run RUN --predictions parabel.txt,annexml.txt
    python launch/evaluate.py --store STORE --predictions parabel.txt::labels=ids

Prints a table with 95 % bootstrap intervals and writes it, with the configuration,
versions and commit, to RUN/evaluation_SPLIT.json, or RUN/evaluation_STORE_SPLIT.json where --store
is another one than the run was trained on; without a run, to FILE.evaluation_SPLIT.json beside each
file.
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
_PREDICTIONS = flags.DEFINE_list(
    "predictions",
    [],
    "Files of other systems' predictions for the split, to score as well; FILE::labels=ids and the "
    "like say how to read one of them.",
)
_SAVE = flags.DEFINE_string(
    "save_predictions", None, "Where the model's own predictions go, as JSON lines with logits."
)
_TOP_K = flags.DEFINE_integer(
    "top_k", None, "Labels of a document that go there; by default the largest k.", lower_bound=1
)
axml_flags.define_reading()


def main(argv: Sequence[str]) -> None:
    del argv
    try:
        ks = tuple(sorted({int(k) for k in _K.value}))
    except ValueError:
        ks = ()
    if not ks or ks[0] < 1:
        given = ",".join(_K.value)
        raise ConfigError(f"--k takes whole numbers of at least 1, such as 1,3,5; {given} came.")
    if not (_RUN.value or (_STORE.value and _PREDICTIONS.value)):
        raise ConfigError("--run is required, or both --store and --predictions; see --help.")
    if not _RUN.value and (_BASELINE.value or _EXAMPLES.value or _SAVE.value):
        raise ConfigError("--baseline, --examples and --save_predictions need a --run.")
    files = axml_flags.read_readings("predictions")
    if _SAVE.value:
        axml_flags.check_output("save_predictions", _SAVE.value, list(files))
    if _TOP_K.value and not _SAVE.value:
        raise ConfigError("--top_k is for --save_predictions, which is not there.")
    # jax takes seconds to import; mistakes on the command line are told before that.
    from axml_jax.evaluation import evaluate_files, evaluate_run

    if not _RUN.value:
        store, split = str(_STORE.value), _SPLIT.value
        evaluate_files(files, store=store, split=split, ks=ks, data_set=_DATA_SET.value)
        return
    evaluate_run(
        _RUN.value,
        store=_STORE.value,
        split=_SPLIT.value,
        ks=ks,
        data_set=_DATA_SET.value,
        baseline=_BASELINE.value,
        examples=_EXAMPLES.value,
        files=files,
        save_predictions=_SAVE.value,
        top_k=_TOP_K.value,
    )


if __name__ == "__main__":
    axml_flags.run(main)
