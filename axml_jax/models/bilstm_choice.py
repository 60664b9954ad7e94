"""Which implementation of the BiLSTM has been measured to be the fastest on a card.

The table is `benchmarks/bilstm.py --keep`'s to write: for each card that it ran on, the winner by
precision and width.  What is not there has not been measured; what lies between two widths is not
guessed.
"""

from __future__ import annotations

import functools
import json
from importlib import resources

import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from axml_kernels import target

TABLE = "measured_bilstm.json"
PRECISIONS = ("float32", "tf32", "bfloat16")
"""As `config.model.precision` names them."""


def fastest(hidden: int, dtype: DTypeLike, precision: lax.PrecisionLike) -> str | None:
    """The winner on the current target, "scan" or "cudnn"; None where nothing was measured.

    Args:
      hidden: H, units of each direction.
      dtype: Of x.
      precision: Of the matrix products; anything but the highest may round to TF32.
    """
    of_card = table().get(target.current().card, {})
    return of_card.get(_name(dtype, precision), {}).get(str(hidden))


def _name(dtype: DTypeLike, precision: lax.PrecisionLike) -> str:
    if dtype != jnp.float32:
        return jnp.dtype(dtype).name
    return "float32" if precision in ("highest", lax.Precision.HIGHEST) else "tf32"


@functools.cache
def table() -> dict[str, dict[str, dict[str, str]]]:
    """The winners by card (`jax.Device.device_kind`), precision and H, which JSON has as text."""
    text = resources.files("axml_jax.models").joinpath(TABLE).read_text(encoding="utf-8")
    found: dict[str, dict[str, dict[str, str]]] = json.loads(text)
    return found
