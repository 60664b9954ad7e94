"""Predicts the labels of texts, one text a line, as JSON lines in input order.

    python launch/predict.py --run RUN --input texts.txt --output predictions.jsonl
    cat texts.txt | python launch/predict.py --run RUN
    python launch/predict.py --run RUN --input new.csv --text_column title,body

JSON lines, CSV and TSV are told by their first line or their name; labels in them are passed over.
A file of output appears when it is whole; a pipe or device gets each line as it comes.  Where bad
texts are answered (--on_bad_row), {"line": 3, "error": ...} stands in the place of one.
"""

from axml_jax import stopping

if __name__ == "__main__":
    stopping.hear()  # before imports that take long

import os
import sys
from collections.abc import Iterator, Sequence

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax import streams
from axml_jax.data.corpus import open_bytes, read_byte_lines
from axml_jax.data.line_stream import Line, stream_lines
from axml_jax.data.new_texts import FORMATS, LINES, open_new_texts
from axml_jax.tables import printable

_RUN = flags.DEFINE_string("run", "", "The run folder.")
_INPUT = flags.DEFINE_string("input", "-", "Texts, .gz and .xz too; - is standard input.")
_FORMAT = flags.DEFINE_enum(
    "format", "auto", ["auto", *FORMATS], "Of the input; lines: a text a line, whatever it is."
)
_TEXT = flags.DEFINE_list("text_column", [], "Fields or columns of the text; by default text.")
_ID = flags.DEFINE_string("id_column", "", "Field or column of the id; by default id.")
_OUTPUT = flags.DEFINE_string("output", "-", "Where JSON lines go; - is standard output.")
_TOP_K = flags.DEFINE_integer(
    "top_k", None, "Labels per text; 5, or all where there are fewer.", lower_bound=1
)
_MIN_PROBABILITY = flags.DEFINE_float("min_probability", 0, "Leave out labels below it.", 0, 1)
_THRESHOLDS = flags.DEFINE_string(
    "thresholds", None, "Leave out labels below theirs in this file of launch/thresholds.py."
)
_ON_BAD_ROW = flags.DEFINE_enum(
    "on_bad_row",
    "auto",
    ["auto", "answer", "stop"],
    "A text that cannot be read (no UTF-8, no JSON, a field missing): answer it with an error in "
    "its place, and exit with status 3 at the end; or stop at it. auto answers on standard input, "
    "where somebody waits for the next answers, and stops in a file, which can be mended first.",
)
axml_flags.require("run")


def _lines(name: str) -> Iterator[Line]:
    if _OUTPUT.value != "-":
        inputs = [] if _INPUT.value == "-" else [_INPUT.value]
        axml_flags.check_output("output", _OUTPUT.value, inputs)
    stream = streams.standard_input() if _INPUT.value == "-" else open_bytes(_INPUT.value, True)
    return stream_lines(stream, name)


def main(argv: Sequence[str]) -> None:
    del argv
    name = "standard input" if _INPUT.value == "-" else _INPUT.value
    stops = _ON_BAD_ROW.value == "stop" or (_ON_BAD_ROW.value == "auto" and _INPUT.value != "-")
    if _TOP_K.value:
        axml_flags.check_top_k(_TOP_K.value, _RUN.value)
    found = open_new_texts(_lines(name), name, _FORMAT.value, _TEXT.value, _ID.value, stops)
    # jax takes seconds to import; mistakes on the command line are told before that.
    from axml_jax.answering import answers, write_answers
    from axml_jax.decisions import read_thresholds
    from axml_jax.model import load
    from axml_jax.progress import say

    model, thresholds, top_k = load(_RUN.value), None, _TOP_K.value
    if _THRESHOLDS.value:
        thresholds, chosen_among = read_thresholds(_THRESHOLDS.value, model)
        top_k = top_k or chosen_among
    if found.reason:
        other = "" if found.format == LINES else f" {LINES}"
        say(f"{name} is read as {found.format}: {found.reason}; --format{other} overrules it")
    # A pipe can be read only once, so nothing is counted there; rows of CSV are no lines.
    counted = stops and os.path.isfile(_INPUT.value) and found.format != "csv"
    total = sum(1 for _ in read_byte_lines(_INPUT.value)) if counted else None
    answered = answers(model, found.texts, top_k, _MIN_PROBABILITY.value, thresholds)
    done = write_answers(answered, _OUTPUT.value, total)
    if _OUTPUT.value != "-":
        say(f"{done.written:,} lines in {_OUTPUT.value}")
    if done.first:
        say(
            f"{done.bad:,} of {done.written:,} texts cannot be read, and have an error in their "
            f"place; the first: {printable(str(done.first.error))}"
        )
        sys.exit(3)


if __name__ == "__main__":
    axml_flags.run(main)
