"""Joins two or more systems into one: 1 - prod(1 - P), eq. (9), or the mean of logits.

    python launch/consensus.py --sources RUN,parabel.txt --split test --output consensus.jsonl

A source is a run folder or a file of predictions for the split (Extreme Classification
Repository's score matrix, .npz, label:score lines, JSON lines).  What a file does not tell by
itself is said behind its name, one thing after another: a.txt::scores=logit::labels=ids,b.txt;
--scores and the like are for all files that have nothing of their own.  Prints the scores of each
source and of the whole where the split has labels.
"""

from axml_jax import stopping

if __name__ == "__main__":
    stopping.hear()  # before imports that take long

import os
from collections.abc import Sequence

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.errors import ConfigError

_SOURCES = flags.DEFINE_list("sources", [], "Run folders and prediction files, two or more.")
_STORE = flags.DEFINE_string(
    "store", None, "The encoded data; by default the store that the first run was trained on."
)
_SPLIT = flags.DEFINE_string("split", "test", "The split of the store.")
_OUTPUT = flags.DEFINE_string("output", "", "Where the predictions go, as JSON lines.")
_COMBINE = flags.DEFINE_enum(
    "combine",
    "consensus",
    ["consensus", "mean_logits"],
    "Eq. (9), or the mean of logits: of one model trained with several seeds.",
)
_TOP_K = flags.DEFINE_integer(
    "top_k",
    100,
    "Labels of a document that runs predict and the output holds; a label beyond counts 0.",
    lower_bound=1,
)
_DATA_SET = flags.DEFINE_string("data_set", "", "As for launch/evaluate.py.")
axml_flags.define_reading()
axml_flags.require("sources", "output")


def main(argv: Sequence[str]) -> None:
    del argv
    readings = axml_flags.read_readings("sources")
    if len(readings) < 2:
        given = ",".join(_SOURCES.value)
        raise ConfigError(f"--sources takes two or more different ones; {given} came.")
    axml_flags.check_output("output", _OUTPUT.value, list(readings))
    # jax takes seconds to import; mistakes on the command line are told before that.
    from axml_jax import ensemble, evaluation, sources
    from axml_jax.baselines.predictions import write_predictions
    from axml_jax.data.store import open_store
    from axml_jax.model import load
    from axml_jax.progress import say

    models = {path: load(path) for path in readings if os.path.isdir(path)}
    if not models and not _STORE.value:
        raise ConfigError("--store is required where no source is a run folder.")
    stores = [model.description["data"]["path"] for model in models.values()]
    data = open_store(_STORE.value or stores[0])
    split = _SPLIT.value
    named = dict(zip(readings, sources.names_of(list(readings)), strict=True))
    # Files first: a wrong one is told before minutes of predicting.
    parts = {
        path: sources.from_file(path, data, split, reading)
        for path, reading in readings.items()
        if path not in models
    }
    for part in parts.values():
        ensemble.require_joinable(part, _COMBINE.value)
    for path, model in models.items():
        parts[path] = sources.from_model(model, data, split, _TOP_K.value)
    systems = {named[path]: parts[path] for path in named}
    joined = getattr(ensemble, _COMBINE.value)(list(systems.values()), _TOP_K.value)
    write_predictions(_OUTPUT.value, joined, data.label_names)
    documents = data.splits[split]
    if len(documents.label_ids):
        systems[f"{_COMBINE.value} of {len(systems)}"] = joined
        lists = {name: system.top_k(5) for name, system in systems.items()}
        inverse = evaluation.inverse_propensities(data, _DATA_SET.value)
        scores = evaluation.score_lists(lists, documents, (1, 3, 5), inverse)
        evaluation.print_scores(scores, split, data)
    say(f"{len(joined):,} documents in {_OUTPUT.value}")


if __name__ == "__main__":
    axml_flags.run(main)
