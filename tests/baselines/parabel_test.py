"""Parabel in a run folder: features by hand, labels found again, what it refuses."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scipy.sparse

from axml_jax import runs
from axml_jax.baselines import omikuji_trees, parabel
from axml_jax.config import Config
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, write_store
from axml_jax.errors import ConfigError, InputError
from axml_jax.evaluation import evaluate_run
from axml_jax.model import fit, load
from axml_jax.train.door import train

TEXTS = ["red green", "one two", "cat dog", "sun moon"]
NAMES = ["colour", "number", "animal", "sky"]


def documents(count: int) -> list[Document]:
    return [Document(f"{TEXTS[i % 4]} the", (NAMES[i % 4],)) for i in range(count)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("parabel") / "store"
    splits = {"train": documents(24), "valid": documents(8), "test": documents(4)}
    return write_store(path, splits, source="", vectors="none")


@pytest.fixture
def config() -> Config:
    config = Config()
    config.model.name = "parabel"
    return config


@pytest.fixture(scope="module")
def run(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("omikuji")
    pytest.importorskip("sklearn")
    config = Config()
    config.model.name = "parabel"
    folder = tmp_path_factory.mktemp("parabel_run") / "run"
    train(config, store, folder)
    return folder


def test_words_are_counted_but_for_padding_and_the_unknown() -> None:
    ids = [np.array(words, np.int32) for words in ([3, 2, 3, 1], [1], [4, 0])]
    counts = parabel.word_counts(ids, 5)
    assert counts.dtype == np.float32
    np.testing.assert_array_equal(
        counts.toarray(), [[0, 0, 1, 2, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    )


def test_log_odds_are_finite_in_the_order_of_the_probabilities_and_give_them_back() -> None:
    below_one = np.nextafter(np.float32(1), np.float32(0))
    p = np.array([1, below_one, 0.75, 0.5, 1e-3, 1e-30, 0], np.float32)
    logits = parabel.log_odds(p)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert (np.diff(logits) < 0).all()
    assert logits[3] == 0
    assert logits[2] == pytest.approx(math.log(3))
    back = 1 / (1 + np.exp(-logits.astype(np.float64)))
    np.testing.assert_allclose(back, p, rtol=1e-5, atol=1e-7)


def test_the_features_are_tf_idf_by_hand(run: Path, store: Store) -> None:
    found = load(run)
    idf = np.load(run / "parabel" / "idf.npy", allow_pickle=False)
    words = {word: found.vocabulary.id(word) for word in ("red", "green", "the")}
    # 24 documents, 6 of a label; smoothed: log((1 + N) / (1 + n)) + 1.
    assert idf[words["red"]] == pytest.approx(math.log(25 / 7) + 1)
    assert idf[words["the"]] == pytest.approx(1)
    seen: list[Any] = []

    class Trees:
        def predict(self, pairs: list[tuple[int, float]], top_k: int) -> list[tuple[int, float]]:
            seen.append((pairs, top_k))
            return [(2, 0.25), (3, 1.0), (1, 0.25)]

    ranker = parabel.Parabel(Trees(), idf, 6)
    rows = list(ranker.top_k([found.encode("red the red red unheard"), found.encode("?")], 5))
    (pairs, wanted), nothing = seen
    assert (wanted, nothing) == (5, ([], 5))
    weights = {
        words["red"]: (1 + math.log(3)) * (math.log(25 / 7) + 1),
        words["the"]: 1.0,
    }
    norm = math.hypot(*weights.values())
    assert dict(pairs) == pytest.approx({word: w / norm for word, w in weights.items()}, rel=1e-5)
    # Equal scores by the lower label; a list that ends early is filled up.
    for logits, ids in rows:
        np.testing.assert_array_equal(ids, [3, 1, 2, -1, -1])
        assert logits[1] == logits[2] == pytest.approx(math.log(1 / 3))
        assert list(logits[3:]) == [-np.inf, -np.inf]
    documents = [found.encode("red"), found.encode("?")]
    whole = list(ranker.all_logits(documents))
    np.testing.assert_array_equal(np.concatenate([places for places, _ in whole]), [0, 1])
    for _, logits in whole:
        expected = [-np.inf, math.log(1 / 3), math.log(1 / 3), rows[0][0][0], -np.inf, -np.inf]
        np.testing.assert_allclose(logits, [expected], rtol=1e-6)


def test_a_run_is_like_any_other(
    run: Path, store: Store, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {path.name for path in run.iterdir()}
    assert {"run.json", "words.json", "labels.json", "result.json", "parabel"} <= names
    files = {path.name for path in run.rglob("*") if path.is_file()}
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib"))]
    description = runs.read_description(run)
    assert description["data"]["fingerprint"] == store.fingerprint
    assert {"omikuji", "scikit-learn"} <= description["versions"].keys()
    result = runs.read_json(run / "result.json")
    assert (result["train_documents"], result["valid_documents"]) == (24, 8)
    assert result["validation"]["P@1"] == 100
    assert json.loads((run / "metrics.jsonl").read_text())["validation"] == result["validation"]
    timings = json.loads((run / "timings.jsonl").read_text())
    assert set(timings) == {"step", "features_seconds", "training_seconds", "validation_seconds"}

    model = load(run)
    assert model.module is None
    rows = model.predict([*TEXTS, "", "unheard of"])
    assert [row[0].label for row in rows[:4]] == NAMES
    for row in rows:
        assert {found.label for found in row} <= set(NAMES)
        for found in row:
            assert found.probability == pytest.approx(1 / (1 + math.exp(-found.logit)))
    assert load(run).predict(TEXTS) == rows[:4]
    assert model.evaluate(TEXTS, [[name] for name in NAMES])["P@1"] == 100

    record = evaluate_run(run, examples=1, baseline=True)
    assert record["scores"]["model"]["P@1"]["value"] == 100
    assert "predicted  animal" in capsys.readouterr().out
    # The same call finds it done.
    assert train(config, store, run) == result
    assert "complete" in capsys.readouterr().err


def test_fit_needs_no_word_vectors(config: Config, tmp_path: Path) -> None:
    pytest.importorskip("omikuji")
    pytest.importorskip("sklearn")
    made = documents(24)
    config.data.valid_fraction = 0.0
    texts, labels = [d.text for d in made], [d.labels for d in made]
    model = fit(texts, labels, config=config, run_folder=tmp_path / "run")
    assert [row[0].label for row in model.predict(TEXTS, top_k=1)] == NAMES
    assert runs.read_json(tmp_path / "run" / "result.json")["validation"] == {}
    assert not (tmp_path / "run.store" / "vectors.npy").exists()


def test_what_was_stopped_begins_anew(
    store: Store, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("omikuji")
    pytest.importorskip("sklearn")

    def stopped(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(omikuji_trees, "train", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(config, store, tmp_path / "run")
    with pytest.raises(InputError, match="no trees yet"):
        load(tmp_path / "run")
    assert train(config, store, tmp_path / "run")["validation"]["P@1"] == 100
    assert [row[0].label for row in load(tmp_path / "run").predict(TEXTS)] == NAMES
    assert not list((tmp_path / "run").glob(".parabel*"))


def test_a_signal_while_trees_are_trained_is_one_line(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("omikuji")
    pytest.importorskip("sklearn")
    code = f"""
import ctypes, os, signal, sys, threading
from axml_jax import stopping
stopping.hear()
import omikuji
from axml_jax.config import Config
from axml_jax.data.store import open_store
from axml_jax.train.door import train
def never_ends(path):
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    ctypes.CDLL(None).sleep(60)  # native code, in which Python handles no signal
omikuji.Model.train_on_data = never_ends
config = Config()
config.model.name = "parabel"
train(config, open_store({str(store.path)!r}), {str(tmp_path / "run")!r})
"""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 143
    line = "stopped by SIGTERM at once; the same command begins anew."
    assert done.stderr.splitlines()[-1] == line
    assert time.monotonic() - begin < 50
    # What it leaves, the next one removes.
    assert list((tmp_path / "run" / ".parabel.partial").glob("*/train.txt"))


def test_damaged_trees_are_told(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    idf = np.load(folder / "parabel" / "idf.npy", allow_pickle=False)
    np.save(folder / "parabel" / "idf.npy", idf[1:])
    with pytest.raises(InputError, match=r"idf\.npy: expected float32 of shape"):
        load(folder)
    (folder / "parabel" / "idf.npy").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"idf\.npy: it cannot be read"):
        load(folder)
    np.save(folder / "parabel" / "idf.npy", idf)
    with pytest.raises(InputError, match=r"trees are of \d+ features; expected 3"):
        omikuji_trees.load(folder / "parabel" / "trees", 3)
    shutil.rmtree(folder / "parabel" / "trees")
    with pytest.raises(InputError, match="cannot read these trees"):
        load(folder)


def test_what_parabel_has_no_use_for_is_refused(
    store: Store, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="begins with no other run: leave --init_from out"):
        train(config, store, tmp_path / "run", init_from=tmp_path)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ConfigError, match="parabel trains in one process; there are several"):
        train(config, store, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_told_with_what_to_do(
    store: Store, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "omikuji", None)
    with pytest.raises(ConfigError, match=r"needs omikuji.*pip install 'axml_jax\[baselines\]'"):
        train(config, store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_examples_in_the_repositorys_format(tmp_path: Path) -> None:
    features = np.array([[0, 0.5, 0, 1 / 3], [0, 0, 0, 0], [2, 0, 0, 0]], np.float32)
    labels = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], np.float32)
    path = tmp_path / "train.txt"
    omikuji_trees.write_examples(
        path, scipy.sparse.csr_matrix(features), scipy.sparse.csr_matrix(labels)
    )
    assert path.read_text() == "3 4 3\n0,2 1:0.5 3:0.333333\n1\n 0:2\n"
