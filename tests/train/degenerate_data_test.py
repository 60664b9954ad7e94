"""Data at the edge of what can be learned from: it works, or is refused before anything is left."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from axml_jax.config import Config
from axml_jax.data.corpus import Document
from axml_jax.data.store import write_store
from axml_jax.errors import InputError
from axml_jax.evaluation import evaluate_run
from axml_jax.model import load
from axml_jax.train.loop import train


@pytest.mark.usefixtures("compilation_cache")
def test_one_label_no_words_and_labels_unknown_at_prediction_time(
    tmp_path: Path, new_tiny_config: Callable[[], Config]
) -> None:
    data = {
        "train": [Document("one word", ("only one",)), Document("...", ("only one",))] * 4,
        "valid": [Document("word", ("new",)), Document("", ())],
        "test": [Document("word and more", ("new", "only one")), Document("...", ())],
    }
    store = write_store(tmp_path / "store", data, source="")
    assert store.description["splits"]["train"]["empty_documents"] == 4
    config = new_tiny_config()
    config.train.epochs = 1
    train(config, store, tmp_path / "run")
    rows = load(tmp_path / "run").predict(["one word", "...", "", "unseen"], top_k=1)
    assert [[found.label for found in row] for row in rows] == [["only one"]] * 4
    logits = [row[0].logit for row in rows]
    assert np.isfinite(logits).all()
    assert logits[1:] == pytest.approx([logits[1]] * 3, rel=1e-5)  # each a single unknown word
    record = evaluate_run(tmp_path / "run", split="test")
    assert record["unknown_to_model"] == {"labels": 1, "entries": 1, "share": 0.5}
    ((_, scores),) = record["scores"].items()
    assert scores["P@1"]["value"] == pytest.approx(50)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train": [Document("a word")]}, "no document of the split 'train' has a label"),
        ({"train": []}, "the split 'train' has no documents"),
        (
            {"train": [Document("a word", ("a",))], "test": []},
            "the split 'test' has no documents",
        ),
        ({"train": [Document("...", ("a",))]}, "no word of the split 'train' occurs in"),
    ],
)
def test_nothing_to_learn_from_is_refused(
    tmp_path: Path, data: dict[str, list[Document]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_store(tmp_path / "store", data, source="")
    assert not list(tmp_path.iterdir())
