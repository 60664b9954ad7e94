"""Which documents train and which validate; what is refused before anything is written."""

from pathlib import Path

import jax
import numpy as np
import pytest

from axml_jax.config import Config
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, write_store
from axml_jax.errors import ConfigError, InputError
from axml_jax.train.plan import choose_parts, make_plan


@pytest.fixture(scope="module")
def without_valid(tmp_path_factory: pytest.TempPathFactory) -> Store:
    documents = [Document(f"word{i} both", (f"label{i % 3}",)) for i in range(25)]
    path = tmp_path_factory.mktemp("plan") / "store"
    return write_store(path, {"train": documents}, source="", vectors="none")


def test_a_split_valid_is_used_where_there_is_one(tiny_config: Config, tiny_store: Store) -> None:
    parts = choose_parts(tiny_config, tiny_store)
    assert parts.valid_split == "valid"
    np.testing.assert_array_equal(parts.train, np.arange(44))
    np.testing.assert_array_equal(parts.valid, np.arange(18))


def test_otherwise_a_part_is_drawn_by_seed(tiny_config: Config, without_valid: Store) -> None:
    tiny_config.data.valid_fraction = 0.2
    parts = choose_parts(tiny_config, without_valid)
    assert parts.valid_split == "train"
    assert len(parts.valid) == 5
    assert sorted([*parts.train, *parts.valid]) == list(range(25))
    assert list(parts.train) == sorted(parts.train)

    again = choose_parts(tiny_config, without_valid)
    np.testing.assert_array_equal(again.valid, parts.valid)
    tiny_config.seed = 1
    assert not np.array_equal(choose_parts(tiny_config, without_valid).valid, parts.valid)


def test_settings_that_outlast_the_training_are_told(
    tiny_config: Config, tiny_store: Store
) -> None:
    tiny_config.train.epochs = 2
    settings = tiny_config.train
    plan = make_plan(tiny_config, tiny_store, jax.local_devices()[:1])
    assert plan.total_steps == 12
    settings.warmup_steps = settings.average_steps = 12
    assert plan.notes() == []
    settings.warmup_steps, settings.average_steps = 13, 14
    warmup, average = plan.notes()
    assert "config.train.warmup_steps is 13, but all epochs have 12 steps" in warmup
    assert "config.train.average_steps is 14, but all epochs have 12 steps" in average


def test_a_fraction_of_zero_trains_on_everything(tiny_config: Config, without_valid: Store) -> None:
    tiny_config.data.valid_fraction = 0.0
    parts = choose_parts(tiny_config, without_valid)
    assert len(parts.valid) == 0
    np.testing.assert_array_equal(parts.train, np.arange(25))


def test_however_small_the_fraction_one_document_validates(
    tiny_config: Config, without_valid: Store
) -> None:
    tiny_config.data.valid_fraction = 0.001
    assert len(choose_parts(tiny_config, without_valid).valid) == 1


def test_fewer_training_documents_are_drawn_beside_the_same_validation(
    tiny_config: Config, without_valid: Store
) -> None:
    whole = choose_parts(tiny_config, without_valid)
    tiny_config.data.train_documents = 7
    few = choose_parts(tiny_config, without_valid)
    np.testing.assert_array_equal(few.valid, whole.valid)
    assert len(few.train) == 7
    assert set(few.train) < set(whole.train)
    assert list(few.train) != sorted(whole.train)[:7]

    tiny_config.data.train_documents = 100
    with pytest.raises(ConfigError, match="train_documents is 100, but only 23 documents"):
        choose_parts(tiny_config, without_valid)


def test_a_store_that_cannot_be_trained_on_is_told(tiny_config: Config, tiny_store: Store) -> None:
    splits = {"test": tiny_store.splits["test"]}
    store = Store(
        tiny_store.path,
        tiny_store.description,
        tiny_store.vocabulary,
        tiny_store.label_names,
        splits,
        tiny_store.vectors,
    )
    with pytest.raises(InputError, match="no split 'train'; it has test"):
        choose_parts(tiny_config, store)


def test_a_single_document_cannot_both_train_and_validate(
    tiny_config: Config, tmp_path: Path
) -> None:
    one = [Document("a word", ("label",))]
    store = write_store(tmp_path / "store", {"train": one}, source="", vectors="none")
    with pytest.raises(InputError, match=r"valid_fraction=0\.\d+ 1 of 1 validate"):
        choose_parts(tiny_config, store)


def test_devices_must_share_a_batch_evenly(tiny_config: Config, tiny_store: Store) -> None:
    tiny_config.data.batch_size = 6
    with pytest.raises(ConfigError, match=r"batch_size is 6, which 4 devices.*they can is 8\."):
        make_plan(tiny_config, tiny_store, jax.local_devices())
    assert make_plan(tiny_config, tiny_store, jax.local_devices()[:3]).total_steps == 3 * 8


@pytest.mark.parametrize("devices", [1, 3, 4])
def test_a_batch_has_no_room_for_documents_that_are_not_there(
    tiny_config: Config, tiny_store: Store, devices: int
) -> None:
    tiny_config.data.batch_size = 1_200_000
    plan = make_plan(tiny_config, tiny_store, jax.local_devices()[:devices])
    (batch,) = plan.batches.from_step(0, 1)
    # 44 documents, as many rows for each device.
    assert len(batch.weights) == {1: 44, 3: 45, 4: 44}[devices]
    assert batch.weights.sum() == 44
    (note,) = plan.notes()
    assert "config.data.batch_size is 1,200,000, but there are 44 documents to train on" in note


def test_an_attention_that_is_not_served_is_refused_early(
    tiny_config: Config, tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError("no kernel for this device")

    monkeypatch.setattr("axml_jax.models.label_attention.label_scores", refuse)
    tiny_config.model.attention = "pallas"
    with pytest.raises(ConfigError, match=r"attention=pallas, .*: no kernel for this device"):
        make_plan(tiny_config, tiny_store, jax.local_devices())


def test_the_plan_holds_buckets_and_model(tiny_config: Config, tiny_store: Store) -> None:
    tiny_config.data.length_buckets = 2
    plan = make_plan(tiny_config, tiny_store, jax.local_devices())
    assert plan.buckets[-1] == 16
    assert plan.total_steps == 3 * 6
    assert (plan.model.num_labels, plan.model.width) == (tiny_store.num_train_labels, 8)
