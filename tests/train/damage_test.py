"""Damaged checkpoints: found by checksum, named, set aside; the one before serves."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
import pytest

import axml_jax
from axml_jax.config import Config
from axml_jax.data.store import Store
from axml_jax.errors import InputError
from axml_jax.train.checkpoint import Checkpoints
from tests.train.checkpoint_test import assert_same, make_state
from tests.train.contents import contents
from tests.train.left_behind import LEFT_BEHIND

Train = Callable[..., dict[str, Any]]

pytestmark = [pytest.mark.usefixtures("compilation_cache", "collected_here"), LEFT_BEHIND]

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "one bit flipped": lambda content: bytes([content[0] ^ 4]) + content[1:],
}


def largest(folder: Path) -> Path:
    return max(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )


def spoil(file: Path, damage: str = "one bit flipped") -> None:
    file.write_bytes(DAMAGES[damage](file.read_bytes()))


def two_states(folder: Path) -> Path:
    checkpoints = Checkpoints(folder)
    for step in (3, 5):
        checkpoints.save_latest(make_state(step), {"n": step})
    checkpoints.close()
    return folder / "checkpoints" / "latest"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "of", ["arrays/d", "arrays/_METADATA", "counters/metadata", "checksums.json"]
)
def test_a_damaged_latest_state_is_set_aside_and_the_one_before_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, of: str
) -> None:
    latest = two_states(tmp_path)
    file = latest / "5" / of
    spoil(largest(file) if file.is_dir() else file, damage)
    checkpoints = Checkpoints(tmp_path)
    restored = checkpoints.restore_latest(make_state(0))
    assert restored is not None
    assert_same(restored[0], make_state(3))
    assert restored[1] == {"n": 3}
    told = capsys.readouterr().err
    assert f"{latest / '5'}: the checkpoint of step 5 is damaged: " in told
    aside = tmp_path / "checkpoints" / "damaged" / "latest_5.0"
    assert f"set aside as {aside}" in told
    assert (aside / "arrays").is_dir()
    # Its place is free again.
    checkpoints.save_latest(make_state(5), {"n": 5})
    again = checkpoints.restore_latest(make_state(0))
    assert again is not None
    assert again[1] == {"n": 5}
    checkpoints.close()


def test_a_missing_file_of_the_latest_state_is_damage(tmp_path: Path) -> None:
    latest = two_states(tmp_path)
    largest(latest / "5" / "arrays" / "d").unlink()
    reader = Checkpoints(tmp_path, read_only=True)
    restored = reader.restore_latest(make_state(0))
    assert restored is not None
    assert restored[1] == {"n": 3}
    reader.close()
    assert (latest / "5").is_dir()  # a reader sets nothing aside


def test_where_all_states_are_damaged_it_says_so(tmp_path: Path) -> None:
    latest = two_states(tmp_path)
    for step in ("3", "5"):
        spoil(largest(latest / step / "arrays" / "d"))
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(InputError, match="no state to continue from is whole"):
        checkpoints.restore_latest(make_state(0))
    assert not checkpoints.has_latest()
    checkpoints.close()
    aside = {path.name for path in (tmp_path / "checkpoints" / "damaged").iterdir()}
    assert aside == {"latest_3.0", "latest_5.0"}


def as_before_checksums(checkpoint: Path) -> None:
    (checkpoint / "checksums.json").unlink()
    file = checkpoint / "counters" / "metadata"
    counters = json.loads(file.read_text())
    del counters["has_checksums"]
    file.write_text(json.dumps(counters))


def test_a_state_from_before_there_were_checksums_opens(tmp_path: Path) -> None:
    latest = two_states(tmp_path)
    as_before_checksums(latest / "5")
    checkpoints = Checkpoints(tmp_path)
    restored = checkpoints.restore_latest(make_state(0))
    checkpoints.close()
    assert restored is not None
    assert restored[1] == {"n": 5}


def test_checksums_that_are_missing_where_there_were_some_are_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latest = two_states(tmp_path)
    (latest / "5" / "checksums.json").unlink()
    checkpoints = Checkpoints(tmp_path)
    restored = checkpoints.restore_latest(make_state(0))
    checkpoints.close()
    assert restored is not None
    assert restored[1] == {"n": 3}
    assert "step 5 is damaged: checksums.json is missing. It is set" in capsys.readouterr().err


def test_a_whole_state_that_cannot_be_read_is_not_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest = two_states(tmp_path)
    checkpoints = Checkpoints(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "restore", fail)
        with pytest.raises(InputError, match=r"step 5 is whole, but cannot be read: .*open files"):
            checkpoints.restore_latest(make_state(0))
    checkpoints.close()
    assert (latest / "5").is_dir()


@pytest.mark.parametrize(
    "error",
    [
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"),
        MemoryError("out of memory: 9 GiB"),
    ],
)
def test_a_device_or_a_machine_without_room_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    latest = two_states(tmp_path)
    as_before_checksums(latest / "5")
    checkpoints = Checkpoints(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "restore", fail)
        with pytest.raises(type(error), match="out of memory"):
            checkpoints.restore_latest(make_state(0))
    checkpoints.close()
    assert (latest / "5").is_dir()


def test_counters_that_are_none_are_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latest = two_states(tmp_path)
    (latest / "5" / "checksums.json").unlink()
    (latest / "5" / "counters" / "metadata").write_text("[5]")
    checkpoints = Checkpoints(tmp_path)
    restored = checkpoints.restore_latest(make_state(0))
    checkpoints.close()
    assert restored is not None
    assert restored[1] == {"n": 3}
    assert "step 5 is damaged: its counters are none. It is set" in capsys.readouterr().err


@pytest.mark.parametrize(
    "of",
    ["manifest.ocdbt", "d", "_METADATA", "_sharding", "../counters/metadata"],
)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_without_checksums_is_found_by_reading_it_or_has_no_share_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, of: str
) -> None:
    latest = two_states(tmp_path)
    as_before_checksums(latest / "5")
    file = latest / "5" / "arrays" / of
    for one in file.iterdir() if file.is_dir() else [file]:
        spoil(one, damage)
    checkpoints = Checkpoints(tmp_path)
    restored = checkpoints.restore_latest(make_state(0))
    checkpoints.close()
    assert restored is not None
    told = capsys.readouterr().err
    if of == "_sharding":  # where arrays lay, which is not read
        assert_same(restored[0], make_state(5))
    else:
        assert_same(restored[0], make_state(3))
        (line,) = told.splitlines()
        assert "the checkpoint of step 5 is damaged: " in line
        assert "It is set aside as" in line


def test_damaged_frozen_tables_are_written_anew(tmp_path: Path) -> None:
    tables = {"constants": {"words": make_state(3).params["words"]}}
    for _ in range(2):
        checkpoints = Checkpoints(tmp_path)
        checkpoints.save_constants(tables)
        assert_same(checkpoints.restore_constants(tables), tables)
        checkpoints.close()
        spoil(largest(tmp_path / "checkpoints" / "constants" / "0" / "arrays" / "d"))
    reader = Checkpoints(tmp_path, read_only=True)
    with pytest.raises(InputError, match="the checkpoint of step 0 is damaged"):
        reader.restore_constants(tables)
    reader.close()


def test_predicting_with_damaged_best_weights_says_so(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (best,) = (run / "checkpoints" / "best").iterdir()
    spoil(largest(best / "arrays" / "d"))
    with pytest.raises(InputError, match=rf"the checkpoint of step {best.name} is damaged") as told:
        axml_jax.load(run)
    assert str(best) in str(told.value)
    assert best.is_dir()


def test_training_goes_on_from_the_state_before_to_the_same_bits(
    train_on_one: Train, whole: Path, config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    spoil(largest(run / "checkpoints" / "latest" / "18" / "arrays" / "d"))
    train_on_one(config, tiny_store, run)
    assert contents(run, config, tiny_store) == contents(whole, config, tiny_store)


def test_damaged_best_weights_are_replaced_by_the_next_validations(
    train_on_one: Train,
    whole: Path,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (best,) = (run / "checkpoints" / "best").iterdir()
    shutil.rmtree(run / "checkpoints" / "latest" / "18")
    spoil(largest(best / "arrays" / "d"))
    result = train_on_one(config, tiny_store, run)
    assert f"the checkpoint of step {best.name} is damaged" in capsys.readouterr().err
    assert result["best_step"] == 18
    assert len(axml_jax.load(run).predict(["flags"])[0]) == 5
