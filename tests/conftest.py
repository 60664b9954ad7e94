"""Settings of the whole test suite: the device, JAX's strictness, the `gpu` marker.

The environment variables below must stand before jax is first imported, which is why they are set
while this file is read and not in a fixture.
"""

from __future__ import annotations

import gc
import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from axml_jax.config import Config
    from axml_jax.data.store import Store

ROOT = Path(__file__).resolve().parent.parent
PLATFORM = os.environ.get("AXML_TEST_PLATFORM", "cpu")
SIMULATED_DEVICES = 4
MOST_MAPS = 20_000  # of 65,530; beyond, it is "out of memory" and "can't start new thread"
DEVICE_COUNT_FLAG = "--xla_force_host_platform_device_count"

if PLATFORM not in ("cpu", "gpu"):
    raise pytest.UsageError(f"AXML_TEST_PLATFORM is 'cpu' (the default) or 'gpu', not {PLATFORM!r}")

_xla_flags = os.environ.get("XLA_FLAGS", "")
if DEVICE_COUNT_FLAG not in _xla_flags:
    os.environ["XLA_FLAGS"] = f"{_xla_flags} {DEVICE_COUNT_FLAG}={SIMULATED_DEVICES}".strip()
os.environ["JAX_PLATFORMS"] = "cuda,cpu" if PLATFORM == "gpu" else "cpu"
# Tests share the card with whatever else runs on it.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax  # noqa: E402

# Broadcasting between different ranks hides mistakes in shapes; float64 hides loss of precision.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_enable_x64", False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the tests marked `gpu` unless a GPU was asked for; asked for but absent is an error."""
    if PLATFORM == "gpu":
        if jax.default_backend() != "gpu":
            raise pytest.UsageError("AXML_TEST_PLATFORM=gpu, but JAX sees no GPU")
        return
    skip = pytest.mark.skip(reason="needs a GPU: run `make test-gpu` where there is one")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)


@pytest.fixture(autouse=True, scope="module")
def few_memory_maps() -> Iterator[None]:
    """Lets go of compiled programs before their pages are more than Linux gives a process."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return ROOT


@pytest.fixture
def user_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables for a test that starts a program, as a user's shell has them.

    Of the settings above only the platform is kept: the program sees one CPU device. It finds the
    packages of this checkout, installed or not, and a cache folder of its own.
    """
    environment = dict(os.environ)
    environment["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "kernels")))
    flags = [f for f in environment.pop("XLA_FLAGS").split() if not f.startswith(DEVICE_COUNT_FLAG)]
    if flags:
        environment["XLA_FLAGS"] = " ".join(flags)
    return environment


@pytest.fixture
def heard_signals() -> Iterator[None]:
    """A test, and programs that it starts, hear what a shell's background or nohup ignores."""
    ignored = (signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in ignored}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def full_device(tmp_path: Path) -> Path:
    """A device of the test's own that has no room, as /dev/full."""
    device = tmp_path / "full"
    try:
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 7))
        device.open("wb").close()
    except OSError as error:
        device.unlink(missing_ok=True)
        pytest.skip(f"only root makes a device, where the system lets it: {error}")
    return device


@pytest.fixture(scope="session")
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Compiles equal programs once: training the same tiny model again takes a second, not ten."""
    from jax.experimental.compilation_cache import compilation_cache as cache

    folder = tmp_path_factory.mktemp("compiled")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    cache.reset_cache()
    yield folder
    jax.config.update("jax_compilation_cache_dir", None)
    cache.reset_cache()


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Docstrings of absl: 44 documents to train on, 18 to validate, 20 to test; 8-wide vectors."""
    from axml_jax.data.builders import pydocs
    from axml_jax.data.store import write_store

    splits, _ = pydocs.build(files=pydocs.installed_files(("absl",)))
    few = {"train": splits["train"][:44], "valid": splits["valid"], "test": splits["test"]}
    path = tmp_path_factory.mktemp("data") / "store"
    return write_store(path, few, source="docstrings of absl", vector_width=8)


@pytest.fixture(scope="session")
def new_tiny_config() -> Callable[[], Config]:
    """Makes configurations of a tiny model: 6 steps an epoch, the last of half a batch."""
    return _tiny_config


def _tiny_config() -> Config:
    from axml_jax.config import Config

    config = Config()
    config.data.max_tokens = 16
    config.data.batch_size = 8
    config.model.hidden = 4
    config.model.fully_connected = (4,)
    config.train.learning_rate = 0.05
    config.train.epochs = 3
    config.train.log_steps = 2
    return config


@pytest.fixture
def tiny_config() -> Config:
    """See `new_tiny_config`; a fresh one for each test."""
    return _tiny_config()


@pytest.fixture(scope="session")
def tiny_run(
    tmp_path_factory: pytest.TempPathFactory, tiny_store: Store, compilation_cache: Path
) -> Path:
    """A run folder: `tiny_config` trained on `tiny_store`.  Read it only."""
    from axml_jax.train.loop import train

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(_tiny_config(), tiny_store, folder)
    return folder
