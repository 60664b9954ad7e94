"""The rule of accuracy that all kernel tests share: at most twice the error of the plain way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from axml_kernels import label_attention, label_cross_entropy, label_scores
from axml_kernels.workloads import Inputs

Parts = dict[str, np.ndarray]


def random_truth(batch: int, num_labels: int) -> tuple[jax.Array, jax.Array]:
    """One or two true labels a document and an id of no label; weights of documents."""
    rng = np.random.default_rng(3)
    true = [rng.permutation(max(num_labels, 2))[:2] for _ in range(batch)]
    none = np.where(np.arange(batch) % 2, num_labels, -1)
    rows = np.concatenate([true, none[:, None]], axis=1)
    weights = rng.uniform(0.5, 1.5, batch)
    return jnp.asarray(rows, jnp.int32), jnp.asarray(weights)


def weighted_loss(
    implementation: str | None, operation: str = "scores", precision: str | None = None
) -> Callable[..., Any]:
    """(inputs) -> a fixed weighting of all results: its gradient tells them apart."""

    def loss(hidden: Any, queries: Any, lengths: Any, head: Any) -> Any:
        chosen: Any = {"implementation": implementation, "precision": precision}
        if operation == "cross entropy":
            label_ids, shares = random_truth(len(lengths), len(queries))
            shares = shares.astype(jnp.promote_types(hidden.dtype, jnp.float32))
            truth = label_ids, shares
            result = label_cross_entropy(hidden, queries, lengths, head, *truth, **chosen)
            return result, result
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
    arguments = (0, 1) if operation == "attention" else (0, 1, 3)
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
    if operation != "attention":
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
            if operation == "cross entropy" and part == "result":
                continue  # errors that scores have in common add up: see the test of costs
            # Beside twice the plain error, the rounding of a float32 result.
            allowed = 2 * plain[part] + float(jnp.finfo(jnp.float32).eps)
            assert value <= allowed, (implementation, part)
