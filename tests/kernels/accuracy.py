"""The rule of accuracy that all kernel tests share: at most twice the error of the plain way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from axml_kernels import label_attention, label_scores
from axml_kernels.workloads import Inputs

Parts = dict[str, np.ndarray]


def weighted_loss(
    implementation: str | None, operation: str = "scores", precision: str | None = None
) -> Callable[..., Any]:
    """(inputs) -> a fixed weighting of all results: its gradient tells them apart."""

    def loss(hidden: Any, queries: Any, lengths: Any, head: Any) -> Any:
        chosen = {"implementation": implementation, "precision": precision}
        if operation == "scores":
            result = label_scores(hidden, queries, lengths, head, **chosen)
        else:
            result = label_attention(hidden, queries, lengths, **chosen)
        weights = np.random.default_rng(2).standard_normal(result.shape)
        return (result * jnp.asarray(weights, result.dtype)).sum(), result

    return loss


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _gradients_and_result(
    inputs: Inputs, implementation: str | None, operation: str, precision: str | None
) -> Any:
    loss = weighted_loss(implementation, operation, precision)
    arguments = (0, 1, 3) if operation == "scores" else (0, 1)
    return jax.grad(loss, arguments, has_aux=True)(*inputs)


def results_and_gradients(
    inputs: Inputs,
    implementation: str | None,
    operation: str = "scores",
    precision: str | None = None,
) -> Parts:
    """The operation's result and the gradient of every input, in float64."""
    gradient, result = _gradients_and_result(inputs, implementation, operation, precision)
    named = {"result": result, "hidden": gradient[0], "queries": gradient[1]}
    if operation == "scores":
        named |= {f"head {i}": x for i, x in enumerate(jax.tree.leaves(gradient[2]))}
    return {name: np.asarray(x, np.float64) for name, x in named.items()}


def exact_parts(cases: Sequence[Inputs], operation: str = "scores") -> list[Parts]:
    """What the definition gives in float64."""
    with jax.enable_x64(True):
        exact = jax.tree.map(
            lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x,
            list(cases),
        )
        return [results_and_gradients(inputs, "reference", operation) for inputs in exact]


def errors(found: Sequence[Parts], truth: Sequence[Parts]) -> dict[str, float]:
    """Of all cases together, relative to the truth as a whole: single entries may be near zero."""
    return {
        part: float(
            np.sqrt(
                sum(np.sum((f[part] - t[part]) ** 2) for f, t in zip(found, truth, strict=True))
            )
            / np.sqrt(sum(np.sum(t[part] ** 2) for t in truth))
        )
        for part in truth[0]
    }


def check(
    cases: Sequence[Inputs],
    implementations: Sequence[str],
    operation: str = "scores",
    precision: str | None = None,
) -> None:
    """Fails unless every part errs at most twice as much as the reference does in this precision.

    Cases are taken together: whether one score fell on this or that side of a ReLU is chance.
    """
    truth = exact_parts(cases, operation)

    def found(implementation: str) -> dict[str, float]:
        parts = [results_and_gradients(x, implementation, operation, precision) for x in cases]
        return errors(parts, truth)

    plain = found("reference")
    for implementation in implementations:
        for part, value in found(implementation).items():
            # Beside twice the plain error, the rounding of a float32 result.
            allowed = 2 * plain[part] + float(jnp.finfo(jnp.float32).eps)
            assert value <= allowed, (implementation, part)
