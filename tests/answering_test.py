"""Answers as JSON lines: each in the place of its text, bad ones and odd ids too."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from axml_jax.answering import Answered, answers, write_answers
from axml_jax.data.new_texts import NewText
from axml_jax.errors import InputError
from axml_jax.model import Prediction

ERROR = InputError("not UTF-8", file="standard input", line=2)


class Echo:
    """Stands for a model: reads three texts ahead, and its label is the text."""

    def __init__(self) -> None:
        self.most_waiting = 0

    def predict_stream(
        self, texts: Iterator[str], top_k: Any, min_probability: Any, thresholds: Any
    ) -> Iterator[list[Prediction]]:
        window = []
        for text in texts:
            window.append([Prediction(text, 0.5, 0.0)])
            self.most_waiting = max(self.most_waiting, len(window))
            if len(window) == 3:
                yield from window
                window = []
        yield from window


def test_each_answer_stands_in_the_place_of_its_text(tmp_path: Path) -> None:
    texts = [NewText(i, "", "", ERROR) if i % 4 else NewText(i, f"d{i}", f"t{i}") for i in range(9)]
    model = Echo()
    done = write_answers(answers(model, texts), str(tmp_path / "out"))  # type: ignore[arg-type]
    assert done == Answered(9, 6, texts[1])
    records = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    for i, record in enumerate(records):
        if i % 4:
            assert record == {"line": i, "error": "not UTF-8"}
        else:
            label = {"label": f"t{i}", "probability": 0.5, "logit": 0.0}
            assert record == {"line": i, "id": f"d{i}", "labels": [label]}


def test_nothing_but_bad_texts_is_answered_at_once() -> None:
    taken = 0

    def texts() -> Iterator[NewText]:
        nonlocal taken
        for taken in range(1, 1000):
            yield NewText(taken, "", "", ERROR)

    next(answers(Echo(), texts()))  # type: ignore[arg-type]
    assert taken == 3, "else an hour of them would fill the memory"


def test_half_a_character_in_an_id_stays_an_escape(tmp_path: Path) -> None:
    write_answers([(NewText(1, "é\ud800", ""), [])], str(tmp_path / "out"))
    (line,) = (tmp_path / "out").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {"line": 1, "id": "é\ud800", "labels": []}
    assert "é\\ud800" in line


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("before")

    def breaks() -> Iterator[tuple[NewText, list[Prediction]]]:
        yield NewText(1, "", ""), []
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        write_answers(breaks(), str(tmp_path / "out"))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out", "before")]
