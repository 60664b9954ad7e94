"""How fast a device multiplies large square matrices: what a share of the floor is measured by."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from benchmarks.contenders import PRECISIONS, UnavailableError, import_torch, torch_device
from benchmarks.timing import calls_of, seconds, steady_seconds


def matrix_rates(precisions: Sequence[str], size: int) -> dict[str, dict[str, float | None]]:
    """Operations per second of a product of two square matrices, the best of five rounds.

    Args:
      precisions: Names of precisions.
      size: Rows of the matrices.

    Returns:
      By precision: those of jax, of torch (None without it) and the largest.
    """
    found: dict[str, dict[str, float | None]] = {}
    for precision in precisions:
        by_library: dict[str, float | None] = {}
        for library, make in (("jax", _jax_product), ("torch", _torch_product)):
            try:
                product = make(precision, size)
                product()
                calls = calls_of(steady_seconds(product))
                times = [seconds(lambda: product(calls)) for _ in range(5)]  # noqa: B023
                by_library[library] = 2 * size**3 * calls / min(times)
            except UnavailableError:
                by_library[library] = None
        largest = max(rate for rate in by_library.values() if rate)
        found[precision] = {**by_library, "largest": largest}
    return found


def _jax_product(precision: str, size: int) -> Callable[..., None]:
    dtype, allowed = PRECISIONS[precision]
    multiply = jax.jit(functools.partial(jnp.matmul, precision=allowed))
    x = jax.random.normal(jax.random.key(0), (size, size), jnp.float32).astype(dtype)

    def run(calls: int = 1) -> None:
        for _ in range(calls):
            last = multiply(x, x)  # the one before is let go: together they would fill the card
        jax.block_until_ready(last)

    return run


def _torch_product(precision: str, size: int) -> Callable[..., None]:
    torch, device = import_torch(), torch_device()
    dtype = getattr(torch, PRECISIONS[precision][0])
    x = torch.randn(size, size, device=device).to(dtype)
    y = torch.empty_like(x)

    def run(calls: int = 1) -> None:
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        for _ in range(calls):
            torch.matmul(x, x, out=y)
        if device == "cuda":
            torch.cuda.synchronize()

    return run
