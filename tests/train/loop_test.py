"""Whole trainings of a tiny model on real text: what repeats, what stops, what continues."""

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import axml_jax
from axml_jax import runs
from axml_jax.config import Config
from axml_jax.data.store import Store
from axml_jax.data.text import Vocabulary
from axml_jax.errors import ConfigError, InputError
from axml_jax.train.checkpoint import Checkpoints
from axml_jax.train.loop import train
from tests.train.contents import contents

Train = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("compilation_cache")


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    return [record["loss"] for record in metrics(folder) if "loss" in record]


def validated(folder: Path) -> list[int]:
    return [record["step"] for record in metrics(folder) if "validation" in record]


def test_a_run_ends_with_all_it_promises(whole: Path) -> None:
    result = runs.read_json(whole / "result.json")
    assert (result["step"], result["epoch"]) == (18, 3.0)
    assert result["ended"] == "all epochs are done"
    assert (result["train_documents"], result["valid_documents"]) == (44, 18)
    by_step = {
        record["step"]: record["validation"] for record in metrics(whole) if "validation" in record
    }
    assert list(by_step) == [3, 6, 9, 12, 15, 18]
    best = max(by_step, key=lambda step: by_step[step]["nDCG@5"])
    assert (result["best_step"], result["validation"]) == (best, by_step[best])
    assert [r["step"] for r in metrics(whole) if "loss" in r] == list(range(2, 19, 2))
    assert losses(whole)[-1] < losses(whole)[0]
    times = [json.loads(line) for line in (whole / "timings.jsonl").read_text().splitlines()]
    assert [t["step"] for t in times if "seconds_to_first_step" in t] == [1]
    names = {name for record in times for name in record}
    assert {"documents_per_second", "validation_seconds"} <= names
    description = runs.read_description(whole)
    assert description["device"] == "1 x cpu"
    assert Path(description["data"]["path"]).is_absolute()


def test_the_same_command_twice_is_the_same_bit_for_bit(
    train_on_one: Train, whole: Path, config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    train_on_one(config, tiny_store, tmp_path)
    assert contents(tmp_path, config, tiny_store) == contents(whole, config, tiny_store)


def test_another_seed_is_another_training(
    train_on_one: Train, whole: Path, config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    config.seed = 1
    config.train.epochs = 3
    train_on_one(config, tiny_store, tmp_path)
    assert all(a != b for a, b in zip(losses(whole), losses(tmp_path), strict=True))


def test_four_devices_train_as_one_does(
    train_on_one: Train, tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    # The last batch of an epoch holds 4 documents: the third and fourth device have none.
    tiny_config.train.epochs = 2
    tiny_config.train.log_steps = 1
    assert tiny_config.model.dropout == 0.5
    one = train_on_one(tiny_config, tiny_store, tmp_path / "one")
    four = train(tiny_config, tiny_store, tmp_path / "four", devices=jax.local_devices())
    assert len(losses(tmp_path / "one")) == 12
    np.testing.assert_allclose(losses(tmp_path / "one"), losses(tmp_path / "four"), rtol=1e-5)
    assert one["validation"] == pytest.approx(four["validation"])


@pytest.mark.parametrize(
    "stops",
    [
        pytest.param([2], id="before any checkpoint"),
        pytest.param([6], id="with an evaluation"),
        pytest.param([7, 8, 17], id="in mid-epoch, again and again"),
        pytest.param([-9], id="killed after an evaluation"),
        pytest.param([-12, 14], id="killed between checkpoints, then stopped"),
    ],
)
def test_interrupted_and_continued_is_uninterrupted_bit_for_bit(
    train_on_one: Train,
    stops: list[int],
    whole: Path,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    before_step: Callable[[Callable[[int], None]], None],
) -> None:
    assert threading.current_thread() is threading.main_thread()
    folder = tmp_path / "run"
    remaining = list(stops)

    def interrupt(step: int) -> None:
        if remaining and step == abs(remaining[0]):
            if remaining.pop(0) < 0:
                raise RuntimeError("killed")
            signal.raise_signal(signal.SIGTERM)

    before_step(interrupt)
    for stop in stops:
        with pytest.raises(RuntimeError if stop < 0 else SystemExit) as caught:
            train_on_one(config, tiny_store, folder)
        assert stop < 0 or caught.value.code == 143  # type: ignore[attr-defined]
        assert not (folder / "result.json").exists()
    train_on_one(config, tiny_store, folder)
    assert remaining == []
    assert contents(folder, config, tiny_store) == contents(whole, config, tiny_store)


def test_a_run_killed_at_its_very_beginning_begins_again(
    train_on_one: Train,
    tiny_config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny_config.train.epochs = 1

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(tiny_store.vocabulary, "save", die)
        with pytest.raises(RuntimeError, match="killed"):
            train_on_one(tiny_config, tiny_store, tmp_path)
    train_on_one(tiny_config, tiny_store, tmp_path)
    assert axml_jax.load(tmp_path).label_names == tiny_store.label_names[:8]


def test_a_complete_run_is_left_as_it_is(
    train_on_one: Train,
    whole: Path,
    config: Config,
    tiny_store: Store,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = contents(whole, config, tiny_store)
    result = train_on_one(config, tiny_store, whole)
    assert result == before["result"]
    assert contents(whole, config, tiny_store) == before
    assert "this run is complete: all epochs are done" in capsys.readouterr().err


def test_another_configuration_or_folder_in_use_is_refused(
    train_on_one: Train, whole: Path, config: Config, tiny_store: Store
) -> None:
    with runs.locked(whole), pytest.raises(ConfigError, match="another process is training"):
        train_on_one(config, tiny_store, whole)
    config.model.hidden = 5
    config.train.decay = "cosine"
    with pytest.raises(ConfigError, match=r"hidden: 4 there, 5 here.*decay: 'linear' there"):
        train_on_one(config, tiny_store, whole)


def test_a_store_of_other_words_or_labels_is_refused_with_the_first_of_them(
    train_on_one: Train, whole: Path, config: Config, tiny_store: Store
) -> None:
    words, labels = list(tiny_store.vocabulary.words), list(tiny_store.label_names)
    words[5], labels[2] = "zzyzx", "strange"
    other = Store(
        tiny_store.path,
        {**tiny_store.description, "fingerprint": "0" * 64},
        Vocabulary(words),
        labels,
        tiny_store.splits,
        tiny_store.vectors,
    )
    with pytest.raises(ConfigError, match=r"another configuration.*data\.fingerprint") as caught:
        train_on_one(config, other, whole)
    told = str(caught.value)
    assert f"1 of the run's {len(words):,} words: 5 is {tiny_store.vocabulary.words[5]!r}" in told
    assert f"labels: 2 is {tiny_store.label_names[2]!r} there, 'strange' here" in told


def test_a_mistake_leaves_no_trace(
    train_on_one: Train, config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    config.data.train_documents = 1000
    with pytest.raises(ConfigError, match="only 44 documents"):
        train_on_one(config, tiny_store, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_is_refused(
    train_on_one: Train, config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="not a run folder"):
        train_on_one(config, tiny_store, tmp_path)


def test_without_validation_the_newest_weights_are_kept(
    train_on_one: Train, tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    tiny_config.data.valid_fraction = 0.0
    tiny_config.train.epochs = 1
    result = train_on_one(tiny_config, only(tiny_store, "train"), tmp_path)
    assert (result["best_step"], result["valid_documents"]) == (6, 0)
    assert result["validation"] == {}
    assert validated(tmp_path) == []
    state = contents(tmp_path, tiny_config, tiny_store)
    assert state["counters"]["finished"] == "all epochs are done"
    assert set(state["best"]) <= set(state["latest"])


def only(store: Store, split: str, vectors: np.ndarray | None = None) -> Store:
    return Store(
        store.path,
        store.description,
        store.vocabulary,
        store.label_names,
        {split: store.splits[split]},
        store.vectors if vectors is None else vectors,
    )


def test_a_drawn_validation_part_is_validated_on(
    train_on_one: Train, tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    tiny_config.data.valid_fraction = 0.2
    tiny_config.train.epochs = 1
    result = train_on_one(tiny_config, only(tiny_store, "train"), tmp_path)
    assert (result["train_documents"], result["valid_documents"]) == (35, 9)
    assert result["step"] == 5


def test_a_loss_that_is_no_number_ends_the_run(
    train_on_one: Train, tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    broken = only(tiny_store, "train", np.full(tiny_store.vectors.shape, np.nan, np.float32))  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="training stops at step 1: the loss is nan"):
        train_on_one(tiny_config, broken, tmp_path)
    # Neither a state nor a record of it is kept.
    assert not Checkpoints(tmp_path, read_only=True).has_latest()
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_frozen_word_vectors_stay_and_have_no_moments(
    train_on_one: Train, tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    tiny_config.model.train_words = False
    tiny_config.train.epochs = 1
    train_on_one(tiny_config, tiny_store, tmp_path)
    table = (len(tiny_store.vocabulary), 8)
    latest = next((tmp_path / "checkpoints" / "latest").iterdir())
    assert "vectors" not in (latest / "arrays" / "_METADATA").read_text()
    # The run folder alone has them.
    model = axml_jax.load(tmp_path)
    vectors = model.variables["constants"]["words"]["vectors"]
    assert vectors.shape == table
    np.testing.assert_array_equal(vectors, tiny_store.vectors)
    assert all(leaf.shape != table for leaf in jax.tree.leaves(model.variables["params"]))
