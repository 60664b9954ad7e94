"""Predicts the labels of texts, one text a line, as JSON lines in input order.

    python launch/predict.py --run RUN --input texts.txt --output predictions.jsonl
    cat texts.txt | python launch/predict.py --run RUN
    python launch/predict.py --run RUN --input new.csv --text_column title,body

JSON lines, CSV and TSV are told by their first line or their name; labels in them are passed over.
A file of output appears when it is whole; until then its name ends in .partial.
"""

import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.data.corpus import open_bytes, read_byte_lines, read_lines
from axml_jax.data.new_texts import FORMATS, LINES, open_new_texts, stream_lines
from axml_jax.errors import ConfigError

_RUN = flags.DEFINE_string("run", "", "The run folder.")
_INPUT = flags.DEFINE_string("input", "-", "Texts, .gz and .xz too; - is standard input.")
_FORMAT = flags.DEFINE_enum(
    "format", "auto", ["auto", *FORMATS], "Of the input; lines: a text a line, whatever it is."
)
_TEXT = flags.DEFINE_list(
    "text_column", [], "Fields or columns of the text, between commas; by default text."
)
_ID = flags.DEFINE_string(
    "id_column", "", "Field or column of the id, which goes into the output; by default id."
)
_OUTPUT = flags.DEFINE_string("output", "-", "Where JSON lines go; - is standard output.")
_TOP_K = flags.DEFINE_integer(
    "top_k", None, "Labels per text at most; 5, or as --thresholds were chosen.", lower_bound=1
)
_MIN_PROBABILITY = flags.DEFINE_float(
    "min_probability", 0.0, "Leave out labels less probable than this.", 0.0, 1.0
)
_THRESHOLDS = flags.DEFINE_string(
    "thresholds", None, "Leave out labels below theirs in this file of launch/thresholds.py."
)
axml_flags.require("run")


def _input(name: str) -> Iterator[str]:
    if _INPUT.value == "-":
        return stream_lines(sys.stdin.buffer, name)
    # A wrong name is told at once, before anything is written.
    open_bytes(_INPUT.value).close()
    if os.path.exists(_OUTPUT.value) and os.path.samefile(_INPUT.value, _OUTPUT.value):
        raise ConfigError("--output is the file of --input, which it would overwrite.")
    return read_lines(_INPUT.value)


def main(argv: Sequence[str]) -> None:
    del argv
    name = "standard input" if _INPUT.value == "-" else _INPUT.value
    found = open_new_texts(_input(name), name, _FORMAT.value, _TEXT.value, _ID.value)
    # jax takes seconds to import; mistakes on the command line are told before that.
    from axml_jax.decisions import read_thresholds
    from axml_jax.jsonio import json_lines
    from axml_jax.model import load
    from axml_jax.progress import progress, say

    model = load(_RUN.value)
    thresholds, top_k = None, _TOP_K.value
    if top_k and top_k > len(model.label_names):
        raise ConfigError(f"--top_k is {top_k}, but the model has {len(model.label_names)} labels.")
    if _THRESHOLDS.value:
        thresholds, of_lists = read_thresholds(_THRESHOLDS.value, model)
        top_k = top_k or of_lists
    if found.reason:
        say(f"{name} is read as {found.format}: {found.reason}; --format {LINES} overrules it")
    waiting: deque[dict[str, int | str]] = deque()  # read ahead of their answers

    def texts() -> Iterator[str]:
        for new in found.texts:
            waiting.append({"line": new.line, "id": new.id} if new.id else {"line": new.line})
            yield new.text

    answers = model.predict_stream(texts(), top_k, _MIN_PROBABILITY.value, thresholds)
    # A pipe can be read only once, so nothing is counted there; rows of CSV are no lines.
    counted = os.path.isfile(_INPUT.value) and found.format != "csv"
    total = sum(1 for _ in read_byte_lines(_INPUT.value)) if counted else None
    written = 0
    with json_lines(_OUTPUT.value) as write:
        for labels in progress(answers, "predicting", total):
            # A label without a title has no such entry.
            named = [{k: v for k, v in x._asdict().items() if v is not None} for x in labels]
            write({**waiting.popleft(), "labels": named})
            written += 1
    if _OUTPUT.value != "-":
        say(f"{written:,} lines in {_OUTPUT.value}")


if __name__ == "__main__":
    axml_flags.run(main)
