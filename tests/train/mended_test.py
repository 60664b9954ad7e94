"""What training makes anew of a run that has been damaged: best weights, names, metrics, store."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import axml_jax
from axml_jax.config import Config
from axml_jax.data.base import read_base
from axml_jax.data.store import Store, open_store
from axml_jax.errors import InputError
from axml_jax.train import door, loop
from axml_jax.train.optimizer import make_optimizer
from tests.train.checkpoint_test import assert_same
from tests.train.contents import restored
from tests.train.damage_test import largest, spoil

Train = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("compilation_cache")


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of a complete run."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def spoil_best(run: Path) -> None:
    (best,) = (run / "checkpoints" / "best").iterdir()
    spoil(largest(best / "arrays" / "d"))


def remove_best(run: Path) -> None:
    (best,) = (run / "checkpoints" / "best").iterdir()
    shutil.rmtree(best)


@pytest.mark.parametrize("harm", [spoil_best, remove_best])
def test_a_complete_run_whose_best_weights_are_lost_keeps_its_last_ones(
    train_on_one: Train,
    run: Path,
    config: Config,
    tiny_store: Store,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], None],
) -> None:
    before = json.loads((run / "result.json").read_text())
    metrics = (run / "metrics.jsonl").read_bytes()
    harm(run)
    with pytest.raises(InputError, match=r"launch/train.py command"):
        axml_jax.load(run)
    result = train_on_one(config, tiny_store, run)
    told = capsys.readouterr().err
    lost = f"the best weights, of step {before['best_step']}, are lost; those of step 18 are kept"
    assert lost in told
    last = json.loads(metrics.splitlines()[-1])
    assert last["step"] == 18
    assert result == {**before, "best_step": 18, "validation": last["validation"]}
    assert (run / "metrics.jsonl").read_bytes() == metrics
    (state, _), (weights, _) = restored(run, config, tiny_store)
    assert_same(weights, make_optimizer(config, 18).weights(state))
    # Once is enough.
    assert train_on_one(config, tiny_store, run) == result
    assert "lost" not in capsys.readouterr().err


def test_best_weights_that_were_set_aside_before_a_kill_are_not_waited_for_in_vain(
    train_on_one: Train, run: Path, config: Config, tiny_store: Store
) -> None:
    # Killed before the next validation, which need not be better than what is lost.
    remove_best(run)
    shutil.rmtree(run / "checkpoints" / "latest" / "18")
    assert train_on_one(config, tiny_store, run)["best_step"] == 18
    axml_jax.load(run)


@pytest.mark.parametrize("name", ["words.json", "labels.json"])
@pytest.mark.parametrize("damage", ["edited", "truncated", "removed"])
def test_words_and_labels_that_are_not_the_runs_are_refused_and_written_anew(
    train_on_one: Train,
    run: Path,
    config: Config,
    tiny_store: Store,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: str,
) -> None:
    file = run / name
    written = file.read_bytes()
    if damage == "removed":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(written[: len(written) // 2])
    else:
        # Still whole, and of the same shape.
        value = json.loads(written)
        names = value if name == "words.json" else value["names"]
        names[-1], names[-2] = names[-2], names[-1]
        file.write_text(json.dumps(value))
    with pytest.raises(InputError, match=str(file)):
        axml_jax.load(run)
    with pytest.raises(InputError, match=str(file)):
        read_base(run)
    train_on_one(config, tiny_store, run)
    assert file.read_bytes() == written
    (told,) = (line for line in capsys.readouterr().err.splitlines() if "anew" in line)
    assert told == f"{file} is damaged or changed: words and labels are written anew"
    axml_jax.load(run)


def test_a_run_from_before_there_were_sums_opens(run: Path) -> None:
    description = json.loads((run / "run.json").read_text())
    assert set(description.pop("sums")) == {"words.json", "labels.json"}
    (run / "run.json").write_text(json.dumps(description))
    axml_jax.load(run)
    read_base(run)


@pytest.mark.parametrize("complete", [True, False])
def test_metrics_that_have_lost_their_end_go_on_after_their_last_whole_line(
    train_on_one: Train,
    run: Path,
    config: Config,
    tiny_store: Store,
    capsys: pytest.CaptureFixture[str],
    complete: bool,
) -> None:
    whole = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    if not complete:
        shutil.rmtree(run / "checkpoints" / "latest" / "18")
    (run / "metrics.jsonl").write_bytes(b"".join(whole[:4]) + whole[4][:-5])
    train_on_one(config, tiny_store, run)
    step = json.loads(whole[3])["step"]
    (latest, *_) = sorted(int(path.name) for path in (run / "checkpoints" / "latest").iterdir())
    told = capsys.readouterr().err
    assert f"{run / 'metrics.jsonl'} has lost its end, " in told
    assert f"records of steps after {step} up to {18 if complete else latest} are missing" in told
    found = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    assert found[:4] == whole[:4]
    later = [line for line in whole if json.loads(line)["step"] > latest]
    assert found[4:] == ([] if complete else later)


def test_the_bar_has_the_best_of_the_validation_just_done(
    train_on_one: Train,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted: list[tuple[int, str]] = []

    @contextlib.contextmanager
    def noting(*_: object) -> Iterator[Callable[..., None]]:
        yield lambda n, note: noted.append((n, note))

    monkeypatch.setattr(loop, "bar", noting)
    config.train.epochs, config.train.log_steps = 1, 4
    train_on_one(config, tiny_store, tmp_path)
    records = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    values = [record["validation"]["nDCG@5"] for record in records if "validation" in record]
    first, last = (f"best nDCG@5 {value:.2f}" for value in (values[0], max(values)))
    assert first not in noted[2][1]  # validated after step 3 of 6
    assert noted[3][1].endswith(first)
    assert noted[4][1].endswith(first)
    assert noted[-1][0] == 0
    assert noted[-1][1].endswith(last)


@pytest.mark.parametrize("name", ["train/tokens.npy", "labels.json", "vectors.npy"])
@pytest.mark.parametrize("model", ["attention_xml", "parabel"])
def test_a_bit_that_has_flipped_in_the_store_ends_training_before_it_begins(
    config: Config, tiny_store: Store, tmp_path: Path, name: str, model: str
) -> None:
    path = tmp_path / "store"
    shutil.copytree(tiny_store.path, path)
    content = bytearray((path / name).read_bytes())
    place = len(content) - 4
    content[place] ^= 1
    (path / name).write_bytes(content)
    config.model.name = model
    with pytest.raises(InputError, match="write the store anew"):
        door.train(config, open_store(path), tmp_path / "run")
    assert not (tmp_path / "run").exists()
