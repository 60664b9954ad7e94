"""Scoring a run on a split: the record, the table, the examples, the refusals."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from axml_jax import evaluation, metrics
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, write_store
from axml_jax.errors import ConfigError, InputError
from axml_jax.evaluation import evaluate_files, evaluate_run
from axml_jax.model import load

pytestmark = pytest.mark.usefixtures("compilation_cache")


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("evaluation") / "run"))


def test_the_record_holds_the_metrics_of_the_models_predictions(
    run: Path, tiny_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    record = evaluate_run(run, baseline=True, examples=2)
    assert json.loads((run / "evaluation_test.json").read_text()) == record

    # By hand, from the names that the model gives to the documents' own words.
    model, split = load(run), tiny_store.splits["test"]
    documents = [split.document(i) for i in range(len(split))]
    label_ids = np.stack([ids for _, ids in model.predict_ids(documents, 5)])
    truth = split.label_matrix()
    inverse = metrics.inverse_propensities(tiny_store.label_counts, 44)
    expected = metrics.evaluate(label_ids, truth, (1, 3, 5), inverse_propensities=inverse)
    scores = record["scores"]["model"]
    assert {name: score["value"] for name, score in scores.items()} == pytest.approx(expected)
    assert all(score["low"] <= score["value"] <= score["high"] for score in scores.values())
    assert scores["P@5"]["low"] < scores["P@5"]["high"]

    frequent = metrics.most_frequent_labels(tiny_store.label_counts, 5)
    hits = truth.toarray()[:, frequent]
    baseline = record["scores"]["most frequent labels"]
    assert baseline["P@5"]["value"] == pytest.approx(100 * hits.mean())
    assert baseline["P@1"]["value"] == pytest.approx(100 * hits[:, 0].mean())

    assert (record["documents"], record["labels"]) == (len(split), len(tiny_store.label_names))
    assert record["unseen_labels"] == len(tiny_store.label_names) - 8
    assert record["store"] == {
        "name": tiny_store.path.name,
        "fingerprint": tiny_store.fingerprint,
    }
    assert record["propensity"] == {"A": 0.55, "B": 1.5}
    assert record["data"]["fingerprint"] == tiny_store.fingerprint
    assert "path" not in record["data"]
    assert record["config"]["model"]["hidden"] == 4
    for machine in ("trained_with", "evaluated_with"):
        assert {"versions", "commit", "device", "cores"} <= set(record[machine])

    shown = capsys.readouterr().out
    assert f"{expected['nDCG@5']:.2f} [" in shown
    assert "most frequent labels" in shown
    assert shown.count("  true  ") == shown.count("  predicted  ") == 2
    # The examples are spread evenly, with their own names and labels.
    assert split.ids is not None
    for i in (len(split) // 4, 3 * len(split) // 4):
        assert f"\n{split.ids[i]}\n" in shown
        names = sorted(tiny_store.label_names[j] for j in split.labels(i))
        assert f"  true       {', '.join(names)}\n" in shown


def test_other_cut_offs_another_split_and_wikipedias_propensities(
    run: Path, tiny_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    # Training has scored the kept weights on the same documents.
    scores = evaluate_run(run, split="valid")["scores"]["model"]
    kept = json.loads((run / "result.json").read_text())["validation"]
    assert {name: scores[name]["value"] for name in kept} == pytest.approx(kept)
    assert tiny_store.splits["valid"].label_ids.max() >= tiny_store.num_train_labels

    record = evaluate_run(run, split="valid", ks=(2, 8), data_set="WikiLSHTC-325K")
    assert record["propensity"] == {"A": 0.5, "B": 0.4}
    assert list(record["scores"]) == ["model"]
    names = [f"{name}@{k}" for name in ("P", "nDCG", "R", "RP", "PSP", "PSnDCG") for k in (2, 8)]
    assert list(record["scores"]["model"]) == names
    assert (run / "evaluation_valid.json").is_file()
    assert "predicted" not in capsys.readouterr().out


def test_a_cut_off_beyond_the_labels_counts_what_is_missing_as_wrong(run: Path) -> None:
    scores = evaluate_run(run, ks=(8, 15))["scores"]["model"]
    assert scores["P@15"]["value"] == pytest.approx(scores["P@8"]["value"] * 8 / 15)
    assert scores["R@15"]["value"] == pytest.approx(scores["R@8"]["value"])


@pytest.mark.parametrize("k", [16, 10**20])
def test_a_cut_off_beyond_all_labels_is_told_before_anything_is_predicted(
    run: Path, tiny_store: Store, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation.sources, "from_model", None)
    message = f"--k is {k}, but the data have 15 labels"
    with pytest.raises(ConfigError, match=message):
        evaluate_run(run, ks=(1, k))
    with pytest.raises(ConfigError, match=message):
        evaluation.evaluate_files(["gone"], store=tiny_store.path, ks=(k,))


def test_without_rich_the_table_is_plain(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rich", "rich.console", "rich.table", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    record = evaluate_run(run, ks=(1,))
    value = record["scores"]["model"]["P@1"]["value"]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("P@1 ")]
    assert f"{value:.2f} [" in line


def test_more_examples_than_documents_show_each_once(
    run: Path, tiny_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate_run(run, examples=1000)
    shown = capsys.readouterr().out
    assert tiny_store.splits["test"].ids is not None
    assert all(shown.count(f"\n{name}\n") == 1 for name in tiny_store.splits["test"].ids)


def test_what_cannot_be_scored_is_refused(run: Path, tiny_store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no split 'dev'; it has train, valid, test"):
        evaluate_run(run, split="dev")
    with pytest.raises(InputError, match="not a run folder"):
        evaluate_run(tmp_path)
    documents = [Document("other words", ("absl",))]
    other = write_store(tmp_path / "other", {"train": documents}, source="", vectors="none")
    with pytest.raises(InputError, match="another vocabulary or other labels"):
        evaluate_run(run, store=other.path)


def test_a_store_that_has_gone_may_be_named_anew(
    run: Path, tiny_store: Store, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(run, tmp_path / "run"))
    text = (moved / "run.json").read_text()
    (moved / "run.json").write_text(text.replace(str(tiny_store.path), "/nowhere/store"))
    with pytest.raises(InputError, match="/nowhere/store"):
        evaluate_run(moved)
    assert evaluate_run(moved, store=tiny_store.path)["documents"] == 20


def test_another_store_has_a_record_of_its_own(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    (folder / "evaluation_test.json").write_text("{}")
    names = load(folder).label_names
    known = Document("parse the flags", tuple(names[:2]))
    test = [known, Document("a new one", ("new", "newer", names[0])), Document("x", ("new",))]
    other = write_store(
        tmp_path / "later", {"train": [known], "test": test}, source="", base=folder
    )
    record = evaluate_run(folder, store=other.path)
    assert (folder / "evaluation_test.json").read_text() == "{}"
    assert json.loads((folder / "evaluation_later_test.json").read_text()) == record
    assert record["store"] == {"name": "later", "fingerprint": other.fingerprint}
    assert record["data"]["fingerprint"] != other.fingerprint
    assert record["unknown_to_model"] == {"labels": 2, "entries": 3, "share": 0.5}
    assert (
        "2 labels of the split, 50.00% of its entries, are unknown to the model and count as missed"
        in capsys.readouterr().out
    )


def test_a_run_and_the_file_of_its_predictions_score_alike_on_another_store(
    run: Path, tmp_path: Path
) -> None:
    names = load(run).label_names
    documents = [Document(f"parse the flags {i}", tuple(names[: i % 3 + 1])) for i in range(9)]
    splits = {"train": documents[:6], "test": documents[6:]}
    other = write_store(tmp_path / "later", splits, source="", base=run)
    record = evaluate_run(run, store=other.path, save_predictions=tmp_path / "ours.jsonl")
    alone = evaluate_files([tmp_path / "ours.jsonl"], store=other.path)
    assert "PSP@1" in record["scores"]["model"]
    assert alone["scores"]["ours.jsonl"] == record["scores"]["model"]


def test_files_are_scored_beside_the_model_and_alone(
    run: Path, tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "ours.jsonl"
    first = evaluate_run(run, save_predictions=saved, top_k=7)
    assert first["prediction_seconds"] > 0
    assert all(len(json.loads(line)["labels"]) == 7 for line in saved.read_text().splitlines())
    # Somebody who knows the truth of every other document, and says nothing of the others.
    split = tiny_store.splits["test"]
    lines = [
        " ".join(f"{label}:{1 - 0.01 * rank:.2f}" for rank, label in enumerate(split.labels(i)))
        for i in range(len(split))
    ]
    other = tmp_path / "other.txt"
    other.write_text("20 15\n" + "".join(f"{x if i % 2 else ''}\n" for i, x in enumerate(lines)))

    (tmp_path / "model").write_text("20 15\n" + "0:1\n" * 20)
    record = evaluate_run(run, files=[saved, other, other, tmp_path / "model"])
    scores = record["scores"]
    assert list(scores) == ["model", "ours.jsonl", "other.txt", "model (file)"]
    assert scores["ours.jsonl"] == scores["model"] == first["scores"]["model"]
    half = sum(len(split.labels(i)) > 0 for i in range(1, len(split), 2)) / len(split)
    assert scores["other.txt"]["P@1"]["value"] == pytest.approx(100 * half)
    assert scores["other.txt"]["nDCG@5"]["value"] == pytest.approx(100 * half)
    assert record["read"]["other.txt"].startswith("score_matrix (line 1 is two whole numbers")
    assert "other.txt" in capsys.readouterr().out

    alone = evaluate_files([saved, other], store=tiny_store.path)
    assert alone["scores"] == {name: scores[name] for name in ("ours.jsonl", "other.txt")}
    written = json.loads((tmp_path / "other.txt.evaluation_test.json").read_text())
    assert written["scores"] == {"other.txt": scores["other.txt"]}
    assert list(written["read"]) == ["other.txt"]
    assert written["data"] == {"fingerprint": tiny_store.fingerprint}


def test_a_file_for_another_split_is_told_before_predicting(
    run: Path, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_text("0:1\n" * 18)
    monkeypatch.setattr("axml_jax.sources.from_model", None)
    with pytest.raises(InputError, match="expected 20 documents, one a row, found 18"):
        evaluate_run(run, files=[tmp_path / "f"])
