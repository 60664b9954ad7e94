"""Runs and files as sources: one structure, the store's ids, all logits in a file."""

from pathlib import Path

import numpy as np
import pytest

from axml_jax import sources
from axml_jax.baselines.choices import Reading
from axml_jax.baselines.predictions import write_predictions
from axml_jax.data.store import Store
from axml_jax.errors import InputError
from axml_jax.model import load

pytestmark = pytest.mark.usefixtures("compilation_cache")


def test_a_run_and_the_file_of_its_predictions_say_the_same(
    tiny_run: Path, tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load(tiny_run)
    found = sources.from_model(model, tiny_store, "test", 100)
    assert (len(found), found.longest, found.num_labels, found.kind) == (20, 8, 15, "logit")
    split = tiny_store.splits["test"]
    (logits, ids), *_ = model.predict_ids([split.document(0)], 3)
    np.testing.assert_array_equal(found.cut(3).label_ids[:3], ids)
    np.testing.assert_allclose(found.scores[:3], logits, rtol=1e-4)

    write_predictions(tmp_path / "ours", found, tiny_store.label_names)
    again = sources.from_file(tmp_path / "ours", tiny_store, "test")
    np.testing.assert_array_equal(again.label_ids, found.label_ids)
    np.testing.assert_array_equal(again.scores, found.scores)
    assert (
        f"{tmp_path / 'ours'}: json_lines (line 1 begins with a brace)" in capsys.readouterr().err
    )


def test_all_logits_in_a_file(
    tiny_run: Path, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_BLOCK_ENTRIES", 7 * 3)  # seven documents a block
    model, labels = load(tiny_run), np.array([14, 3, 0])
    written = sources.write_all_logits(model, tiny_store, "test", tmp_path / "all.npy", labels)
    lists = sources.from_model(model, tiny_store, "test", 8).matrix().toarray()
    assert written.shape == (20, 3)
    assert (written[:, 0] == -np.inf).all()  # a label that training has not seen
    np.testing.assert_allclose(written[:, 1:], lists[:, [3, 0]], rtol=1e-6)
    stored = np.load(tmp_path / "all.npy", allow_pickle=False)
    np.testing.assert_array_equal(stored.T, written)


def test_own_names_come_from_a_file(tiny_store: Store, tmp_path: Path) -> None:
    names = tiny_store.label_names
    (tmp_path / "names").write_text("".join(f"{name}\n" for name in names[::-1]))
    (tmp_path / "scores").write_text("20 15\n" + "0:0.5 14:0.25\n" * 20)
    reading = Reading(own_names=tmp_path / "names")
    found = sources.from_file(tmp_path / "scores", tiny_store, "test", reading)
    np.testing.assert_array_equal(found.top_k(2), [[14, 0]] * 20)
    with pytest.raises(InputError, match="expected 18 documents, one a row, found 20"):
        sources.from_file(tmp_path / "scores", tiny_store, "valid", reading)


def test_names_for_tables() -> None:
    assert sources.names_of(["runs/a", "b/c.txt"]) == ["a", "c.txt"]
    assert sources.names_of(["runs/a/", "more/a", "x"]) == ["runs/a/", "more/a", "x"]
