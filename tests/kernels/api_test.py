"""Arguments that do not fit are refused with what to do; those that do are taken as they come."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from axml_kernels import (
    api,
    chunked,
    compiling_for,
    gpu_tiles,
    label_attention,
    label_attention_weights,
    label_cross_entropy,
    label_scores,
    label_top_k,
    pallas_gpu,
    reference,
    target,
)
from axml_kernels.target import Target
from axml_kernels.workloads import WORKLOADS, Inputs, Workload, random_inputs


@pytest.fixture
def inputs() -> Inputs:
    return random_inputs(WORKLOADS["one-layer"])


def test_unknown_implementation_names_the_known_ones(inputs: Inputs) -> None:
    message = "'reference', 'chunked', 'pallas', but it is 'chunkd'. Did you mean 'chunked'?"
    with pytest.raises(ValueError, match=message):
        label_scores(*inputs, implementation="chunkd")
    with pytest.raises(ValueError, match=r"but it is 'triton'\.$"):
        label_attention(*inputs[:3], implementation="triton")


def test_pallas_says_why_it_cannot_run(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(message: str, arguments: Inputs = inputs) -> None:
        with pytest.raises(NotImplementedError, match=message):
            label_top_k(*arguments, 3, implementation="pallas")

    if jax.default_backend() == "cpu":
        refused("they need an NVIDIA GPU, and the device is 'cpu'. Name 'chunked'")
    old = Target("gpu", "NVIDIA T4", (7, 5))
    monkeypatch.setattr(target, "current", lambda: old)
    refused("they need compute capability 8.0 or later, and 'NVIDIA T4' has 7.5")
    monkeypatch.setattr(target, "current", lambda: old._replace(capability=(9, 0)))
    with jax.enable_x64(True):
        wide = jax.tree.map(
            lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, inputs
        )
        refused("serve float32, bfloat16 and float16, and hidden is float64", wide)


def test_pallas_is_the_default_only_where_it_was_measured_and_won(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = [
        {"dtype": "bfloat16", "layers": 1, "pallas": True},
        {"dtype": "float32", "layers": 1, "pallas": True},
        {"dtype": "bfloat16", "layers": 2, "pallas": False},
    ]
    measured = {"NVIDIA H200": {"tiles": [], "verdicts": verdicts}}
    monkeypatch.setattr(gpu_tiles, "table", lambda: measured)
    hidden, queries = inputs[:2]
    low, exact = hidden.astype(jnp.bfloat16), np.asarray(hidden, np.float64)

    def chosen(hidden: Any, layers: int = 1, name: str | None = None, **more: Any) -> object:
        return api.implementation_named(name, hidden, queries, layers, **more)

    with compiling_for("NVIDIA H200"):
        assert chosen(low) is chosen(hidden) is pallas_gpu
        assert chosen(low, layers=2) is chosen(low, layers=0) is chunked
        assert chosen(hidden, precision="highest") is chunked
        assert chosen(inputs.hidden.astype(jnp.float16)) is chosen(exact) is chunked
        assert chosen(low, name="chunked") is chunked
    with compiling_for("NVIDIA L4"):
        assert chosen(low) is chunked
        assert chosen(low, name="pallas") is pallas_gpu


def test_operations_choose_by_the_layers_of_their_head(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def is_best(device: Target, dtype: str, layers: int) -> bool:
        asked.append(layers)
        return False

    monkeypatch.setattr(gpu_tiles, "is_best", is_best)
    monkeypatch.setattr(pallas_gpu, "unavailable", lambda dtype: None)
    for name in ("one-layer", "two-layers"):
        some = random_inputs(WORKLOADS[name])
        label_attention(*some[:3])
        label_scores(*some)
        label_top_k(*some, 2)
        label_cross_entropy(*some, jnp.zeros((3, 1), jnp.int32))
    assert asked == [0, 1, 1, 1, 0, 2, 2, 2]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="a rule for CPUs")
def test_the_default_on_a_cpu_keeps_small_arrays_in_full_and_no_large_ones() -> None:
    def chosen(batch: int, tokens: int, width: int, num_labels: int) -> object:
        hidden = jnp.zeros((batch, tokens, width))
        return api.implementation_named(None, hidden, jnp.zeros((num_labels, width)), 1)

    assert chosen(40, 256, 256, 90) is reference
    assert chosen(40, 256, 256, 2_000) is chunked
    assert chosen(1, 2, 256, 9_000) is chunked  # B x L x D


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="a rule for CPUs")
def test_the_default_of_the_cross_entropy_is_never_in_full() -> None:
    """Tiles make its gradient at one visit, as fast as `reference` even where arrays are small."""
    inputs = random_inputs(Workload(10, 64, 32, 90, (16,)))
    label_ids = jnp.arange(20, dtype=jnp.int32).reshape(10, 2)

    def temporary(implementation: str | None) -> int:
        def loss(queries: jax.Array) -> jax.Array:
            given = inputs._replace(queries=queries)
            return label_cross_entropy(*given, label_ids, implementation=implementation)

        analysis = jax.jit(jax.grad(loss)).lower(inputs.queries).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    assert api.implementation_named(None, *inputs[:2], 1) is reference
    assert temporary(None) == temporary("chunked")
    assert temporary("chunked") != temporary("reference")


def test_cards_are_named_as_jax_names_them() -> None:
    with pytest.raises(ValueError, match=r"'NVIDIA H200'.*, but it is 'h200'"):
        compiling_for("h200")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": jnp.zeros((3, 7))}, r"hidden should be \[B, T, D\]"),
        ({"hidden": jnp.zeros((0, 7, 16))}, "none of them 0"),
        ({"hidden": jnp.zeros((3, 7, 16), jnp.int32)}, "hidden should be floating point"),
        ({"hidden": jnp.zeros((3, 7, 16), jnp.bfloat16)}, "queries should have hidden's dtype"),
        ({"queries": jnp.zeros((37, 15))}, "hidden's D, 16, but they are"),
        ({"queries": jnp.zeros((0, 16))}, "at least one label"),
        ({"lengths": jnp.zeros(2, jnp.int32)}, "one for each of hidden's 3 documents"),
        ({"lengths": jnp.zeros(3)}, r"should be int32, .* float32: lengths.astype\('int32'\)"),
    ],
)
def test_inputs_that_do_not_fit(inputs: Inputs, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        label_attention(*inputs._replace(**change)[:3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernels": (), "biases": ()}, "one or two kernels"),
        ({"biases": ()}, "it has 1 and 0"),
        ({"kernels": (jnp.zeros((15, 6)),)}, r"head.kernels\[0\] should have 16 rows"),
        (
            {"kernels": (jnp.zeros((16, 6)),) * 2, "biases": (jnp.zeros(6),) * 2},
            r"head.kernels\[1\] should have 6 rows",
        ),
        ({"biases": (jnp.zeros(5),)}, r"head.biases\[0\] should be \(6,\)"),
        ({"output": jnp.zeros(5)}, r"head.output should be \(6,\)"),
        ({"output_bias": jnp.zeros(1)}, "head.output_bias should be one number"),
        ({"output": jnp.zeros(6, jnp.int32)}, "it holds int32"),
        ({"kernels": jnp.zeros((16, 6))}, r"one for each layer, .*: \(kernels,\) for one layer"),
        ({"biases": jnp.zeros(6)}, "head.biases should be a tuple of one or two arrays"),
    ],
)
def test_heads_that_do_not_fit(inputs: Inputs, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        label_scores(*inputs._replace(head=inputs.head._replace(**change)))


@pytest.mark.parametrize("k", [0, 38, 2.0, None])
def test_k_is_a_whole_number_of_labels(inputs: Inputs, k: Any) -> None:
    with pytest.raises(ValueError, match="from 1 to the number of labels, 37, but it is"):
        label_top_k(*inputs, k)


def test_label_ids_are_one_row_a_document(inputs: Inputs) -> None:
    with pytest.raises(ValueError, match="a row for each of hidden's 3 documents"):
        label_attention_weights(*inputs[:3], jnp.zeros((2, 4), jnp.int32))
    with pytest.raises(ValueError, match="label_ids should be integers"):
        label_attention_weights(*inputs[:3], jnp.zeros((3, 4)))


def test_a_matrix_of_zeros_and_ones_is_not_taken_for_label_ids(inputs: Inputs) -> None:
    matrix = jnp.eye(3, 37, dtype=jnp.int32)
    with pytest.raises(ValueError, match=r"they are a 0/1 matrix of 37 labels: .* with 37"):
        label_cross_entropy(*inputs, matrix)
    # As wide, but ids: each once, and no label's where there are no more.
    listed = jnp.where(jnp.arange(37) < 2, jnp.arange(37), -1)
    assert label_cross_entropy(*inputs, jnp.stack([listed] * 3)) == label_cross_entropy(
        *inputs, jnp.stack([listed[:2]] * 3)
    )


def test_truth_is_a_row_and_a_weight_for_each_document(inputs: Inputs) -> None:
    ids = jnp.zeros((3, 2), jnp.int32)
    with pytest.raises(ValueError, match=r"label_ids should be \[B, K\] with a row for each"):
        label_cross_entropy(*inputs, ids[:2])
    with pytest.raises(ValueError, match=r"weights should be .*3 documents, but they are \(2,\)"):
        label_cross_entropy(*inputs, ids, jnp.ones(2))
    with pytest.raises(ValueError, match=r"should be integers, the ids .* they are bool"):
        label_cross_entropy(*inputs, jnp.zeros((3, 37), bool))
    with pytest.raises(ValueError, match="weights should be floating point, but they are int32"):
        label_cross_entropy(*inputs, ids, jnp.ones(3, jnp.int32))


def test_numpy_arrays_and_a_numpy_k_will_do(inputs: Inputs) -> None:
    hidden, queries, lengths = (np.asarray(x) for x in inputs[:3])
    expected = label_top_k(*inputs, 4)
    found = label_top_k(hidden, queries, lengths, inputs.head, np.int64(4))  # type: ignore[arg-type]
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_float32_head_serves_bfloat16_hidden_states(inputs: Inputs) -> None:
    low = inputs._replace(
        hidden=inputs.hidden.astype(jnp.bfloat16), queries=inputs.queries.astype(jnp.bfloat16)
    )
    expected = label_scores(*inputs, implementation="reference")
    for implementation in ("reference", "chunked"):
        scores = label_scores(*low, implementation=implementation)
        assert scores.dtype == jnp.float32
        np.testing.assert_allclose(scores, expected, atol=0.05)
