"""Thresholds and calibration of a run: what the analysis says of its predictions."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axml_jax import decisions, sources
from axml_jax.analysis import choose_thresholds, decide, reliability
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, write_store
from axml_jax.errors import InputError
from axml_jax.model import load
from axml_jax.train.plan import Parts

pytestmark = pytest.mark.usefixtures("compilation_cache")


def test_thresholds_are_chosen_on_validation_kept_and_obeyed(
    tiny_run: Path, tiny_store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "thresholds.json"
    found, _ = decisions.thresholds_of_run(tiny_run, path, top_k=6, shrinkage=2.0)
    model = load(tiny_run)
    lists = sources.from_model(model, tiny_store, "valid", 6).matrix()[:, :8]
    truth = tiny_store.splits["valid"].label_matrix(15)[:, :8]
    expected = choose_thresholds(lists, truth, 2.0)
    np.testing.assert_allclose(found.by_label, expected.by_label, rtol=1e-6)
    read, top_k = decisions.read_thresholds(path, model)
    assert (read.common, top_k) == (found.common, 6)
    np.testing.assert_array_equal(read.by_label, found.by_label)
    assert json.loads(path.read_text())["documents"] == 18

    texts = ["parses flags from the command line", "logs it", "", "raises an error"]
    every = model.predict(texts, top_k)
    kept = model.predict(texts, top_k, thresholds=read)
    least = dict(zip(model.label_names, read.by_label, strict=True))
    assert kept == [[one for one in row if one.logit >= least[one.label]] for row in every]
    assert 0 < sum(map(len, kept)) < sum(map(len, every))
    rows = list(model.predict_ids(map(model.encode, texts), top_k))
    ids, logits = np.stack([i for _, i in rows]), np.stack([x for x, _ in rows])
    decided = decide(sources.from_lists(ids, logits, 8).matrix(), read)
    assert [len(row) for row in kept] == np.diff(decided.indptr).tolist()


def test_documents_held_out_by_seed(
    tiny_run: Path, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = np.array([3, 17, 30, 31, 40])
    everything = np.arange(44)
    parts = Parts(np.setdiff1d(everything, held), "train", held)
    monkeypatch.setattr(decisions, "choose_parts", lambda config, store: parts)
    found, _ = decisions.thresholds_of_run(tiny_run, tmp_path / "held", top_k=8)
    lists = sources.from_model(load(tiny_run), tiny_store, "train", 8).matrix()[held][:, :8]
    truth = tiny_store.splits["train"].label_matrix(15)[held][:, :8]
    np.testing.assert_allclose(
        found.by_label, choose_thresholds(lists, truth).by_label, rtol=1e-4, atol=1e-5
    )
    none = Parts(everything, "train", held[:0])
    monkeypatch.setattr(decisions, "choose_parts", lambda config, store: none)
    with pytest.raises(InputError, match="without validation documents: name a split"):
        decisions.thresholds_of_run(tiny_run, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_documents_none_of_whose_labels_are_predicted(tiny_run: Path, tmp_path: Path) -> None:
    new = [Document("parses flags", ("a label of today",))]
    store = write_store(
        tmp_path / "store", {"train": new, "test": new}, source="", base=tiny_run
    ).path
    with pytest.raises(InputError, match="no true label is listed: there is nothing to") as caught:
        decisions.thresholds_of_run(tiny_run, tmp_path / "none", store=store, split="test")
    assert caught.value.file == str(store)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (None, "no such file; choose them with launch/thresholds.py"),
        ({"common": None}, "these are no thresholds; choose them"),
        ({"kind": "probability"}, "found 'probability' for 8"),
        ({"labels": {"other": 1.0}}, "for the model's 8 labels, found 'logit' for 1"),
        ({"common": float("nan")}, "no finite number"),
    ],
)
def test_files_that_are_none(
    change: dict[str, Any] | None, told: str, tiny_run: Path, tmp_path: Path
) -> None:
    model = load(tiny_run)
    good = {
        "kind": "logit",
        "common": 0.5,
        "top_k": 5,
        "labels": dict.fromkeys(model.label_names, 1),
    }
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps(good))
    assert decisions.read_thresholds(path, model)[0].by_label.tolist() == [1.0] * 8
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps(good | change))
    with pytest.raises(InputError) as error:
        decisions.read_thresholds(path, model)
    assert told in str(error.value)
    with pytest.raises(ValueError, match="1 thresholds and 8 labels"):
        model.predict(["a"], thresholds=decisions.Thresholds(0.0, np.zeros(1)))


def test_calibration(tiny_run: Path, tiny_store: Store, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    found, path = decisions.calibrate_run(tmp_path / "run", top_k=4, num_bins=5)
    assert path == tmp_path / "run" / "calibration_test.json"
    lists = sources.from_model(load(tiny_run), tiny_store, "test", 4).matrix()
    lists.data = 1 / (1 + np.exp(-lists.data))
    expected = reliability(lists, tiny_store.splits["test"].label_matrix(15), 5)
    assert found.error == pytest.approx(expected.error, rel=1e-6)
    record = json.loads(path.read_text())
    assert record["expected_calibration_error"] == found.error
    assert [part["predictions"] for part in record["bins"]] == expected.counts.tolist()
    assert sum(part["predictions"] for part in record["bins"]) == 20 * 4
    for part in record["bins"]:
        assert (part["observed"] is None) == (part["predictions"] == 0)
