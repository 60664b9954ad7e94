"""Settings of the whole test suite: the device, JAX's strictness, the `gpu` marker.

The environment variables below must stand before jax is first imported, which is why they are set
while this file is read and not in a fixture.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLATFORM = os.environ.get("AXML_TEST_PLATFORM", "cpu")
SIMULATED_DEVICES = 4
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


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return ROOT


@pytest.fixture
def user_environment() -> dict[str, str]:
    """Environment variables for a test that starts a program, as a user's shell has them.

    Of the settings above only the platform is kept: the program sees one CPU device. It finds the
    packages of this checkout, installed or not.
    """
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "kernels")))
    flags = [f for f in environment.pop("XLA_FLAGS").split() if not f.startswith(DEVICE_COUNT_FLAG)]
    if flags:
        environment["XLA_FLAGS"] = " ".join(flags)
    return environment
