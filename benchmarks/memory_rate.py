"""How fast a device moves memory: what shares of floors that are bytes are measured by."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.contenders import import_torch, torch_device
from benchmarks.matrix_rate import fastest


def memory_rate(megabytes: int) -> dict[str, float | None]:
    """Bytes read and written per second where a large array is copied, the best of five rounds.

    Args:
      megabytes: Of the array; it should be more than any cache holds.

    Returns:
      The rate of jax, which negates it in place, of torch, which copies it into another array
      (None without it), and the largest.
    """
    count = megabytes * 2**20 // 4
    makes = {"jax": lambda: _jax_copy(count), "torch": lambda: _torch_copy(count)}
    return fastest(makes, 2 * 4 * count)


def _jax_copy(count: int) -> Callable[..., None]:
    # In place, as a step updates weights; a new array at each call would cost fresh pages.
    negate = jax.jit(jnp.negative, donate_argnums=0)
    held = [jnp.ones(count, jnp.float32)]

    def run(calls: int = 1) -> None:
        for _ in range(calls):
            held[0] = negate(held[0])
        jax.block_until_ready(held[0])

    return run


def _torch_copy(count: int) -> Callable[..., None]:
    torch, device = import_torch(), torch_device()
    x = torch.ones(count, device=device)
    y = torch.empty_like(x)

    def run(calls: int = 1) -> None:
        for _ in range(calls):
            y.copy_(x)
        if device == "cuda":
            torch.cuda.synchronize()

    return run
