"""What a run has brought forth, for comparing runs bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from axml_jax import runs
from axml_jax.config import Config
from axml_jax.data.store import Store
from axml_jax.train.checkpoint import Checkpoints
from axml_jax.train.optimizer import make_optimizer
from axml_jax.train.plan import make_plan
from axml_jax.train.state import TrainState


def restored(
    folder: Path, config: Config, store: Store
) -> tuple[tuple[TrainState, dict[str, Any]], tuple[Any, dict[str, Any]]]:
    """The latest state and the best weights of a run, with their counters."""
    plan = make_plan(config, store, jax.local_devices()[:1])
    optimizer = make_optimizer(config, plan.total_steps)
    tokens, lengths = jnp.ones((1, 1), jnp.int32), jnp.ones((1,), jnp.int32)

    def initial_state() -> TrainState:
        params = plan.model.init(jax.random.key(0), tokens, lengths)["params"]
        return optimizer.start(params)

    template = jax.eval_shape(initial_state)
    checkpoints = Checkpoints(folder, read_only=True)
    latest = checkpoints.restore_latest(template)
    best = checkpoints.restore_best(template.params)
    checkpoints.close()
    assert latest is not None
    return latest, best


def contents(folder: Path, config: Config, store: Store) -> dict[str, Any]:
    """All that a run has brought forth, bit for bit, but for timings."""
    latest, best = restored(folder, config, store)
    counters = {name: value for name, value in latest[1].items() if "seconds" not in name}
    return {
        "latest": [leaf.tobytes() for leaf in map(np.asarray, jax.tree.leaves(latest[0]))],
        "counters": counters,
        "best": [leaf.tobytes() for leaf in map(np.asarray, jax.tree.leaves(best[0]))],
        "best counters": best[1],
        "metrics": (folder / "metrics.jsonl").read_bytes(),
        "result": runs.read_json(folder / "result.json"),
    }
