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
# Begun with some, continued with others.
train(config, store, f"{folder}/8x4, 4x2", devices=jax.local_devices(), max_minutes=0)
config.parallel.labels = 2
train(config, store, f"{folder}/8x4, 4x2", devices=jax.local_devices()[:4])
"""


def curve(folder: Path) -> dict[str, float]:
    """Every loss and every validation score by step."""
    found = {}
    for record in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()):
        for name, value in record.get("validation", {"loss": record.get("loss")}).items():
            found[f"{name} of step {record['step']}"] = value
    return found


def test_the_curve_does_not_depend_on_the_devices(
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    user_environment: dict[str, str],
    compilation_cache: Path,
) -> None:
    config.train.epochs = 2
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
    assert {"loss of step 12", "nDCG@5 of step 12"} <= expected.keys()
    for name in ("2x1", "4x1", "8x1", "8x4", "8x4, 4x2"):
        found = curve(tmp_path / name)
        assert expected.keys() <= found.keys(), name
        for step, value in expected.items():
            np.testing.assert_allclose(found[step], value, rtol=2e-4, err_msg=f"{name}, {step}")
