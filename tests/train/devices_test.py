"""One, two, four and eight devices are the same training; so are labels split over them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from axml_jax.config import Config
from axml_jax.data.store import Store

# As a program of its own: how many devices there are is decided before JAX starts.
SCRIPT = """
import json, sys
import jax
from axml_jax.config import from_dict
from axml_jax.data.store import open_store
from axml_jax.train.loop import train

config, store, folder = from_dict(json.loads(sys.argv[1])), open_store(sys.argv[2]), sys.argv[3]
assert len(jax.local_devices()) == 8
for devices, labels in ((1, 1), (2, 1), (4, 1), (8, 1), (8, 4)):
    config.parallel.labels = labels
    train(config, store, f"{folder}/{devices}x{labels}", devices=jax.local_devices()[:devices])
config.train.epochs = 3
config.parallel.labels = 2  # the last is continued with others
train(config, store, f"{folder}/8x4", devices=jax.local_devices()[:4])
"""


def curve(folder: Path) -> list[dict[str, float]]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [
        {"step": record["step"], **record.get("validation", {"loss": record.get("loss")})}
        for record in records
    ]


def test_the_curve_does_not_depend_on_the_devices(
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    user_environment: dict[str, str],
    compilation_cache: Path,
) -> None:
    config.train.epochs = 2
    config.train.decay = "none"  # which would depend on the number of epochs
    done = subprocess.run(
        [
            *(sys.executable, "-c", SCRIPT),
            *(json.dumps(config.to_dict()), str(tiny_store.path), str(tmp_path)),
        ],
        env={
            **user_environment,
            "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
            "JAX_COMPILATION_CACHE_DIR": str(compilation_cache),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = curve(tmp_path / "1x1")
    assert len(expected) > 8
    for name in ("2x1", "4x1", "8x1", "8x4"):
        found = curve(tmp_path / name)
        if name == "8x4":
            assert found[-1]["step"] == 18
            found = found[: len(expected)]  # before it was continued
        for one, other in zip(expected, found, strict=True):
            assert one.keys() == other.keys(), name
            np.testing.assert_allclose(
                list(one.values()), list(other.values()), rtol=2e-4, err_msg=name
            )
