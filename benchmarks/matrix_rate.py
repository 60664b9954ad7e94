"""How fast a device multiplies large square matrices: what a share of the floor is measured by."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

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
    makes = {"jax": _jax_product, "torch": _torch_product}
    return {
        precision: fastest(
            {name: functools.partial(make, precision, size) for name, make in makes.items()},
            2 * size**3,
        )
        for precision in precisions
    }


def fastest(
    makes: Mapping[str, Callable[[], Callable[..., None]]], amount: int
) -> dict[str, float | None]:
    """How much a second is done by a library's call, the best of five rounds.

    Args:
      makes: By library, what returns a function of the number of calls (1 by default) that
        returns when they are done; raises UnavailableError without the library.
      amount: What one call does.

    Returns:
      By library the rate, None without it; and the "largest".
    """
    found: dict[str, float | None] = {}
    for library, make in makes.items():
        try:
            run = make()
            run()
            calls = calls_of(steady_seconds(run))
            times = [seconds(lambda: run(calls)) for _ in range(5)]  # noqa: B023
            found[library] = amount * calls / min(times)
        except UnavailableError:
            found[library] = None
    return {**found, "largest": max(rate for rate in found.values() if rate)}


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
