"""What `chunked` saves and holds, by the compiler's own figures and by the traced program."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_kernels import label_cross_entropy, label_scores
from axml_kernels.workloads import Workload, random_inputs


@pytest.mark.parametrize("layers", [(32,), (32, 16)])
def test_memory_does_not_grow_with_tokens_times_labels(layers: tuple[int, ...]) -> None:
    workload = Workload(8, 64, 32, 65_536, layers)
    inputs = random_inputs(workload)

    def loss(hidden: Any, queries: Any, head: Any) -> Any:
        scores = label_scores(hidden, queries, inputs.lengths, head, implementation="chunked")
        return (scores**2).sum()

    compiled = jax.jit(jax.grad(loss, (0, 1, 2))).lower(*inputs[:2], inputs.head).compile()
    analysis = compiled.memory_analysis()
    assert analysis is not None
    weights = 4 * workload.batch * workload.tokens * workload.num_labels
    assert analysis.temp_size_in_bytes < weights / 3


@pytest.mark.parametrize("layers", [(40,), (40, 8)])
def test_saves_one_number_and_the_bits_per_score(layers: tuple[int, ...]) -> None:
    batch, tokens, width, num_labels = 4, 16, 32, 1_024
    inputs = random_inputs(Workload(batch, tokens, width, num_labels, layers))

    def scores(hidden: Any, queries: Any, head: Any) -> Any:
        return label_scores(hidden, queries, inputs.lengths, head, implementation="chunked")

    _, pull = jax.vjp(scores, *inputs[:2], inputs.head)
    saved = sum(np.asarray(x).nbytes for x in jax.tree.leaves(pull))
    given = sum(np.asarray(x).nbytes for x in jax.tree.leaves(inputs))
    bits = 4 * -(-layers[0] // 32) if len(layers) == 1 else 0
    # hidden is saved with its padding zeroed and once as it came, with a mask.
    extra = 5 * inputs.hidden.size
    assert saved <= given + extra + batch * num_labels * (4 + bits)


@pytest.mark.parametrize("layers", [(40,), (40, 8)])
def test_cross_entropy_saves_its_gradient_and_makes_the_attention_once(
    layers: tuple[int, ...],
) -> None:
    inputs = random_inputs(Workload(4, 16, 32, 1_024, layers))
    label_ids = jnp.arange(8, dtype=jnp.int32).reshape(4, 2)

    def loss(hidden: Any, queries: Any, head: Any) -> Any:
        arguments = hidden, queries, inputs.lengths, head, label_ids
        return label_cross_entropy(*arguments, implementation="chunked")

    def from_scores(hidden: Any, queries: Any, head: Any) -> Any:
        return label_scores(hidden, queries, inputs.lengths, head, implementation="chunked").sum()

    given = *inputs[:2], inputs.head
    _, pull = jax.vjp(loss, *given)
    saved = sum(np.asarray(x).nbytes for x in jax.tree.leaves(pull))
    # hidden is saved once as it came, with a mask; costs, weights and lengths of the documents.
    extra = 5 * inputs.hidden.size + 12 * len(inputs.hidden)
    assert saved <= sum(np.asarray(x).nbytes for x in jax.tree.leaves(given)) + extra

    def exponentials(compute: Any) -> int:
        """Of arrays like a tile's attention, [documents, tokens, labels]."""
        program = str(jax.make_jaxpr(jax.grad(compute, (0, 1, 2)))(*given))
        return len(re.findall(r"f32\[\d+,16,\d+\] = exp ", program))

    assert exponentials(from_scores) == 2
    assert exponentials(loss) == 1
