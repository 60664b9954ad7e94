"""A full disk: training stops with a message, what was saved is whole, and it goes on with room."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from axml_jax.config import Config
from axml_jax.data.store import Store
from tests.train.contents import contents
from tests.train.left_behind import LEFT_BEHIND

Train = Callable[..., dict[str, Any]]

pytestmark = [pytest.mark.usefixtures("compilation_cache", "collected_here"), LEFT_BEHIND]

# As a program of its own: the limit is one of the whole process.
SCRIPT = """
import json, os, resource, sys
import jax
from axml_jax.config import from_dict
from axml_jax.data.store import open_store
from axml_jax.train.loop import _Session, train

config, store, folder = from_dict(json.loads(sys.argv[1])), open_store(sys.argv[2]), sys.argv[3]
original = _Session._steps

def allow(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def limited(at, size_of):
    def steps(self, step_fn, state, constants, step, *others):
        done = [step]
        def act_and_step(*arguments):
            done[0] += 1
            if done[0] == at:
                allow(size_of())
            return step_fn(*arguments)
        return original(self, act_and_step, state, constants, step, *others)
    _Session._steps = steps
    try:
        train(config, store, folder, devices=jax.local_devices()[:1])
    except OSError as error:
        told = str(error)
    allow(resource.RLIM_INFINITY)
    kept = sorted(int(name) for name in os.listdir(f"{folder}/checkpoints/latest"))
    print(json.dumps([told, kept]))

limited(9, lambda: 200)
limited(11, lambda: os.path.getsize(f"{folder}/metrics.jsonl") + 10)
_Session._steps = original
train(config, store, folder, devices=jax.local_devices()[:1])
"""


def test_files_that_may_not_grow_stop_training_which_goes_on_to_the_same_bits(
    whole: Path, config: Config, tiny_store: Store, tmp_path: Path, compilation_cache: Path
) -> None:
    run = tmp_path / "run"
    done = subprocess.run(
        [
            *(sys.executable, "-c", SCRIPT),
            *(json.dumps(config.to_dict()), str(tiny_store.path), str(run)),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path),
             "JAX_COMPILATION_CACHE_DIR": str(compilation_cache)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (checkpoint, kept), (metrics, kept_later) = map(json.loads, done.stdout.splitlines())
    assert f"{run}: the metrics could not be written (File too large)" in metrics
    assert "the same command continues" in metrics
    assert "could not be written" in checkpoint
    assert "File too large" in checkpoint
    assert kept == [5, 6]
    assert kept_later[-1] in (9, 10)
    assert contents(run, config, tiny_store) == contents(whole, config, tiny_store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("left", [0, 12_000], ids=["no room at all", "room for a part"])
def test_a_full_disk_stops_training_which_goes_on_to_the_same_bits(
    train_on_one: Train,
    whole: Path,
    config: Config,
    tiny_store: Store,
    small_disk: Path,
    before_step: Callable[[Callable[[int], None]], None],
    left: int,
) -> None:
    run, filling = small_disk / "run", small_disk / "filling"

    def fill(step: int) -> None:
        if step == 9 and not filling.exists():
            about = os.statvfs(small_disk)
            filling.write_bytes(bytes(max(about.f_bavail * about.f_frsize - left, 0)))

    before_step(fill)
    with pytest.raises(OSError, match=r"could not be written \(.*(No space left|RESOURCE_EXH)"):
        train_on_one(config, tiny_store, run)
    latest = {path.name for path in (run / "checkpoints" / "latest").iterdir()}
    # Of what could not be finished nothing takes up room.
    assert latest == {"5", "6"}
    filling.write_bytes(b"")
    train_on_one(config, tiny_store, run)
    assert contents(run, config, tiny_store) == contents(whole, config, tiny_store)
