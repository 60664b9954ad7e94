"""Answers texts with their labels, as JSON lines in input order.

A text that cannot be read is answered with what is wrong with it.
Knows nothing about formats of texts, nor about the command line.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from axml_jax.analysis import Thresholds
from axml_jax.data.new_texts import NewText
from axml_jax.jsonio import telling, whole_file
from axml_jax.model import Model, Prediction
from axml_jax.progress import progress


class Answered(NamedTuple):
    """How it went.

    Attributes:
      written: Lines written.
      bad: How many of them say what is wrong.
      first: The first that does; None where none does.
    """

    written: int
    bad: int
    first: NewText | None


def answers(
    model: Model,
    texts: Iterable[NewText],
    top_k: int | None = None,
    min_probability: float = 0.0,
    thresholds: Thresholds | None = None,
) -> Iterator[tuple[NewText, list[Prediction]]]:
    """Each text, without its text, and its labels; memory for a few thousand texts only.

    Args:
      model: The model.
      texts: Texts; one with an error has labels that say nothing.
      top_k, min_probability, thresholds: As for `Model.predict`.
    """
    waiting: deque[NewText] = deque()  # read ahead of their labels

    def read() -> Iterator[str]:
        for new in texts:
            waiting.append(new._replace(text=""))
            # Predicted for even if bad: no more of those wait than are read ahead.
            yield new.text

    for labels in model.predict_stream(read(), top_k, min_probability, thresholds):
        yield waiting.popleft(), labels


def write_answers(
    answered: Iterable[tuple[NewText, list[Prediction]]], place: str, total: int | None = None
) -> Answered:
    """Writes {"line": 1, "id": ..., "labels": [...]}, or {"line": 1, "error": ...}, a line a text.

    Args:
      answered: As `answers` gives them.
      place: A file, which appears when it is whole (see `whole_file`); "-" for standard output.
      total: How many there are, if somebody knows.
    """
    written, bad, first = 0, 0, None
    to_standard_output = place == "-"
    with contextlib.ExitStack() as stack:
        target: int | str
        if to_standard_output:
            stack.enter_context(telling("standard output"))
            target = sys.stdout.fileno()
        else:
            target = stack.enter_context(whole_file(place))
        # Half a character of UTF-16 is nothing that UTF-8 can hold; JSON has it as an escape.
        file = open(  # noqa: SIM115 - closed by the stack, before the file gets its name
            *(target, "w"),
            encoding="utf-8",
            errors="backslashreplace",
            closefd=not to_standard_output,
        )
        stack.enter_context(file)
        for new, labels in progress(answered, "predicting", total):
            # ASCII: a label's name cannot send control codes to a terminal.
            line = json.dumps(_record(new, labels), ensure_ascii=to_standard_output)
            file.write(f"{line}\n")
            written += 1
            if new.error:
                bad, first = bad + 1, first or new
    return Answered(written, bad, first)


def _record(new: NewText, labels: list[Prediction]) -> dict[str, Any]:
    record: dict[str, Any] = {"line": new.line, "id": new.id} if new.id else {"line": new.line}
    if new.error:
        return {**record, "error": new.error.message}
    # A label without a title has no such entry.
    named = [{k: v for k, v in label._asdict().items() if v is not None} for label in labels]
    return {**record, "labels": named}
