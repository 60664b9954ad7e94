"""What the benchmark of training steps measures by default, on a CPU and on a GPU."""

from __future__ import annotations

from typing import Any

from benchmarks.train_step_extrapolate import DATA_SETS

# By kind of device.  In order of importance: the last are left out first.
DEFAULTS: dict[str, dict[str, Any]] = {
    "cpu": {
        "shapes": ["eurlex"],
        "dtypes": ["float32"],
        "sweeps": False,
        "sweep_shape": "pydocs",
        "sweep_tokens": [64, 128, 256],
        "sweep_labels": [500, 2_000, 8_000],
        "sweep_batch": [10, 40],
        "sweep_words": [50_000, 200_000],
        "extrapolate": [],
        "matrix": 2048,
        "copy_mb": 512,
    },
    "gpu": {
        "shapes": ["eurlex", "amazoncat", "wikilshtc"],
        "dtypes": ["bfloat16", "tf32"],
        "sweeps": True,
        "sweep_shape": "eurlex",
        "sweep_tokens": [125, 250, 500],
        "sweep_labels": [1_000, 4_000, 16_000],
        "sweep_batch": [10, 40, 160],
        "sweep_words": [50_000, 500_000],
        "extrapolate": list(DATA_SETS),
        "matrix": 8192,
        "copy_mb": 2048,
    },
}
# A size that is swept, and the flag that says over what.
SIZES = {
    "tokens": "sweep_tokens",
    "num_labels": "sweep_labels",
    "batch": "sweep_batch",
    "num_words": "sweep_words",
}
