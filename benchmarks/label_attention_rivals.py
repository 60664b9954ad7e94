"""What the benchmark of label attention compares, and whether it computes the right thing.

The implementations of `axml_kernels.label_scores`, and equations (4) and (5) as one would first
write them in PyTorch and in JAX, which keep every attention weight and every average.  All get the
same arrays, and all set padding aside.  PyTorch is imported when a contender asks for it.  Knows
nothing of time or memory.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from axml_kernels import Head, label_cross_entropy, label_scores
from axml_kernels.workloads import Inputs, Workload, random_inputs
from benchmarks.compiling import compiled_together, given
from benchmarks.contenders import (
    PRECISIONS,
    import_torch,
    relative_error,
    torch_device,
)

BASELINE = "torch-eager"
# In order of importance: where time runs out, the last ones are left out.
METHODS = (BASELINE, "chunked", "pallas", "reference", "jax-naive", "torch-compile")
# These hold every attention weight at once.
MATERIALISING = (BASELINE, "reference", "jax-naive", "torch-compile")
# Largest relative error |x - reference| / |reference|, Euclidean norms of whole arrays: of the
# scores, of each gradient.  A gradient is ruled by ReLUs whose input is nearly zero: rounding
# throws about as large a part of them to the other side as the scores are wrong, and the error is
# up to the square root of that part.  What is computed wrongly errs by a tenth and more.
TOLERANCES = {"float32": (1e-5, 5e-3), "tf32": (3e-3, 3e-2), "bfloat16": (2e-2, 1e-1)}
CHECKED_DOCUMENTS, CHECKED_LABELS = 4, 1_100
DRAWN_LABELS = 65_536


PASSES = ("forward", "forward_backward", "training")
TRUE_LABELS = 6  # of a document; EUR-Lex has 5.3


class Case(NamedTuple):
    """Arguments of `label_scores`, and those of two losses.

    "forward_backward" is the gradient of the scores' weighted sum: what any loss needs.
    "training" is that of the binary cross entropy with the true labels, eq. (6) but for its mean:
    lists of them for `label_cross_entropy`, a dense target for the naive ones.
    """

    inputs: Inputs
    weights: Any  # [B, L] float32
    label_ids: Any  # [B, P] int32
    target: Any  # [B, L] float32, 1 for true labels
    document_weights: Any  # [B] float32
    counted: Any  # [B, L] float32, document_weights; 0 for labels that do not count
    num_labels: Any  # int32: how many do


def make_case(workload: Workload, precision: str, ragged: bool) -> Case:
    """A case as NumPy arrays; of more labels than DRAWN_LABELS the rest repeats the first ones."""
    drawn = workload._replace(num_labels=min(workload.num_labels, DRAWN_LABELS))
    with jax.default_device(_host()):
        inputs = random_inputs(drawn, dtype=PRECISIONS[precision][0], full_lengths=not ragged)
        inputs = jax.tree.map(np.asarray, inputs)
    if drawn != workload:
        queries = np.resize(inputs.queries, (workload.num_labels, workload.width))
        inputs = inputs._replace(queries=queries)
    shape = workload.batch, workload.num_labels
    weights = np.random.default_rng(1).standard_normal(shape, np.float32)
    weights += 0.5  # its sum, the gradient of the output's bias, shall not be nearly zero
    rng = np.random.default_rng(2)
    ids = rng.integers(0, workload.num_labels, (workload.batch, TRUE_LABELS), np.int32)
    ids.sort(axis=1)
    ids[:, 1:][ids[:, 1:] == ids[:, :-1]] = -1  # each once
    target = np.zeros(shape, np.float32)
    np.put_along_axis(target, np.maximum(ids, ids[:, :1]), 1, axis=1)
    ones = np.ones(workload.batch, np.float32)
    counted = np.ones(shape, np.float32)
    return Case(inputs, weights, ids, target, ones, counted, np.int32(workload.num_labels))


def _host() -> Any:
    try:
        return jax.devices("cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS names no "cpu"
        return jax.devices()[0]


def materialised_bytes(workload: Workload, precision: str) -> int:
    """Least memory of a gradient: all weights, averages and layers, and the gradient of one."""
    widths = workload.tokens + workload.width + sum(workload.layers)
    widths += max(workload.tokens, workload.width)
    size = jnp.dtype(PRECISIONS[precision][0]).itemsize
    return size * workload.batch * workload.num_labels * widths


# --- JAX -----------------------------------------------------------------------------------------


def naive_jax(
    hidden: jax.Array, queries: jax.Array, lengths: jax.Array, head: Head, precision: str
) -> jax.Array:
    """Equations (4) and (5) as they stand, [B, L]."""
    tokens = jnp.arange(hidden.shape[1])[None, :]
    hidden = jnp.where((tokens < lengths[:, None])[:, :, None], hidden, 0)
    real = tokens < jnp.maximum(lengths, 1)[:, None]
    scores = jnp.einsum("btd,ld->blt", hidden, queries, precision=precision)
    weights = jax.nn.softmax(jnp.where(real[:, None, :], scores, -jnp.inf), axis=-1)
    z = jnp.einsum("blt,btd->bld", weights, hidden, precision=precision)
    for kernel, bias in zip(head.kernels, head.biases, strict=True):
        z = jnp.einsum("bld,df->blf", z, kernel, precision=precision)
        z = jax.nn.relu(z + bias[None, None, :])
    return jnp.einsum("blf,f->bl", z, head.output, precision=precision) + head.output_bias


class JaxContender:
    """`label_scores` in one implementation, or the naive one, compiled for one shape."""

    def __init__(self, method: str, precision: str) -> None:
        allowed = PRECISIONS[precision][1]

        def scores(inputs: Inputs) -> jax.Array:
            if method == "jax-naive":
                return naive_jax(*inputs, precision=allowed).astype(jnp.float32)
            return label_scores(*inputs, implementation=method, precision=allowed)

        def loss(arrays: tuple[Any, ...], lengths: jax.Array, weights: jax.Array) -> jax.Array:
            hidden, queries, head = arrays
            return jnp.sum(scores(Inputs(hidden, queries, lengths, head)) * weights)

        def cost(arrays: tuple[Any, ...], lengths: jax.Array, case: Case) -> jax.Array:
            hidden, queries, head = arrays
            inputs = Inputs(hidden, queries, lengths, head)
            if method == "jax-naive":
                logits = scores(inputs)
                costs = jax.nn.softplus(logits) - case.target * logits
                return jnp.sum(costs * case.counted)
            return label_cross_entropy(
                *inputs,
                case.label_ids,
                case.document_weights,
                num_labels=case.num_labels,
                implementation=method,
                precision=allowed,
            )

        def forward(case: Case) -> jax.Array:
            return scores(case.inputs)

        def forward_backward(case: Case) -> tuple[jax.Array, Any]:
            hidden, queries, lengths, head = case.inputs
            arrays = (hidden, queries, head)
            return jax.value_and_grad(loss)(arrays, lengths, case.weights)

        def training(case: Case) -> tuple[jax.Array, Any]:
            hidden, queries, lengths, head = case.inputs
            return jax.value_and_grad(cost)((hidden, queries, head), lengths, case)

        self._passes = dict(zip(PASSES, (forward, forward_backward, training), strict=True))
        self._compiled: dict[str, Any] = {}

    def place(self, case: Case) -> Any:
        """The case on the device."""
        return jax.block_until_ready(jax.device_put(case))

    def prepare(self, placed: Any, passes: Sequence[str] = PASSES) -> None:
        """Compiles passes, beside each other; nothing runs yet."""
        lower = [partial(jax.jit(self._passes[name]).lower, placed) for name in passes]
        for name, program in zip(passes, compiled_together(lower), strict=True):
            self._compiled[name] = given(program)

    def run(self, name: str, placed: Any) -> Any:
        """One pass: scores [B, L], or the loss and the gradients; may still be under way."""
        return self._compiled[name](placed)

    def wait(self, result: Any) -> None:
        jax.block_until_ready(result)

    def arrays(self, result: Any) -> list[np.ndarray]:
        """A result's arrays in float32: scores; or gradients of hidden, queries and the head."""
        arrays = jax.tree.leaves(result[1] if isinstance(result, tuple) else result)
        return [np.asarray(array).astype(np.float32) for array in arrays]

    def temporary_bytes(self) -> dict[str, int] | None:
        """What the compiler sets aside beside arguments and results, by pass."""
        found = {name: run.memory_analysis() for name, run in self._compiled.items()}
        return {name: about.temp_size_in_bytes for name, about in found.items() if about} or None


# --- PyTorch -------------------------------------------------------------------------------------


def naive_torch(
    hidden: Any, queries: Any, lengths: Any, kernels: Any, biases: Any, output: Any, bias: Any
) -> Any:
    """Equations (4) and (5) as they stand, [B, L]."""
    import torch

    tokens = torch.arange(hidden.shape[1], device=hidden.device)[None, :]
    hidden = hidden.masked_fill((tokens >= lengths[:, None])[:, :, None], 0)
    padding = tokens >= lengths.clamp(min=1)[:, None]
    scores = torch.einsum("btd,ld->blt", hidden, queries)
    weights = torch.softmax(scores.masked_fill(padding[:, None, :], float("-inf")), dim=-1)
    z = torch.einsum("blt,btd->bld", weights, hidden)
    for kernel, layer_bias in zip(kernels, biases, strict=True):
        z = torch.relu(z @ kernel + layer_bias)
    return z @ output + bias


class TorchContender:
    """The naive one in PyTorch, as it is or through torch.compile."""

    def __init__(self, method: str, precision: str) -> None:
        torch = self._torch = import_torch()
        self._device, self._precision = torch_device(), precision
        self._scores: Callable[..., Any] = naive_torch
        if method == "torch-compile":
            # Beyond this number of shapes and dtypes torch.compile would quietly stop compiling.
            limits = importlib.import_module("torch._dynamo").config
            limits.recompile_limit, limits.accumulated_recompile_limit = 1000, 10_000
            self._scores = torch.compile(naive_torch, dynamic=False, fullgraph=True)

    def place(self, case: Case) -> Any:
        """Tensors on the device: what is differentiated, lengths, weights."""
        torch = self._torch
        dtype = getattr(torch, PRECISIONS[self._precision][0])

        def tensor(array: np.ndarray) -> Any:
            # A copy, writable and not shared: bfloat16 has no name in NumPy that PyTorch knows.
            return torch.tensor(array.astype(np.float32)).to(self._device, dtype)

        hidden, queries, lengths, head = case.inputs
        arrays = jax.tree.map(tensor, (hidden, queries, head))
        for leaf in jax.tree.leaves(arrays):
            leaf.requires_grad_(True)
        others = lengths, case.weights, case.target, case.counted
        return arrays, *(torch.tensor(array).to(self._device) for array in others)

    def prepare(self, placed: Any, passes: Sequence[str] = PASSES) -> None:
        """Runs passes once where that is what compiles them."""
        if self._scores is not naive_torch:
            for name in passes:
                self.run(name, placed)

    def run(self, name: str, placed: Any) -> Any:
        """One pass: scores [B, L], or the loss and the gradients; may still be under way."""
        torch = self._torch
        exact = self._precision != "tf32"
        torch.set_float32_matmul_precision("highest" if exact else "high")
        arrays, lengths, weights, target, counted = placed
        hidden, queries, head = arrays
        with torch.set_grad_enabled(name != "forward"):
            scores = self._scores(hidden, queries, lengths, *head)
            if name == "forward":
                return scores
            if name == "training":
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    scores.float(), target, counted, reduction="sum"
                )
            else:
                loss = (scores.float() * weights).sum()
            return loss, torch.autograd.grad(loss, jax.tree.leaves(arrays))

    def wait(self, result: Any) -> None:
        del result
        if self._device == "cuda":
            self._torch.cuda.synchronize()

    def arrays(self, result: Any) -> list[np.ndarray]:
        """A result's arrays in float32: scores; or gradients of hidden, queries and the head."""
        tensors = result[1] if isinstance(result, tuple) else [result]
        return [tensor.detach().float().cpu().numpy() for tensor in tensors]

    def temporary_bytes(self) -> None:
        """PyTorch does not know beforehand."""
        return None


Contender = JaxContender | TorchContender


def contender(method: str, precision: str) -> Contender:
    """The contender of a method's name; raises UnavailableError where its library is missing."""
    kind = TorchContender if method.startswith("torch-") else JaxContender
    return kind(method, precision)


# --- Correctness ---------------------------------------------------------------------------------


def checked_case(case: Case, passes: Sequence[str] = PASSES) -> tuple[Case, list[np.ndarray]]:
    """A case of the same shapes that a small one answers, and the answer of the reference.

    The weights are zero but for the first few documents and labels, so the gradients are those of
    the crop, and zero elsewhere: what is timed is what is checked, however large.

    Args:
      case: Of ragged lengths: an empty document, a full one.
      passes: What is to be answered.

    Returns:
      The case, and in float32, pass by pass: scores of the crop; of the weighted sum and of the
      cross entropy, gradients of hidden, queries and the head.
    """
    documents, labels = CHECKED_DOCUMENTS, min(CHECKED_LABELS, case.weights.shape[1])
    weights, counted = np.zeros_like(case.weights), np.zeros_like(case.counted)
    weights[:documents, :labels] = case.weights[:documents, :labels]
    counted[:documents, :labels] = 1
    document_weights = np.zeros_like(case.document_weights)
    document_weights[:documents] = 1
    checked = case._replace(
        weights=weights,
        document_weights=document_weights,
        counted=counted,
        num_labels=np.int32(labels),
    )
    wide: Inputs = jax.tree.map(lambda x: np.asarray(x, np.float32), case.inputs)
    crop = checked._replace(
        inputs=Inputs(
            wide.hidden[:documents],
            wide.queries[:labels],
            case.inputs.lengths[:documents],
            wide.head,
        ),
        weights=weights[:documents, :labels],
        label_ids=case.label_ids[:documents],
        target=case.target[:documents, :labels],
        document_weights=document_weights[:documents],
        counted=counted[:documents, :labels],
    )
    reference = JaxContender("reference", "float32")
    placed = reference.place(crop)
    reference.prepare(placed, passes)
    expected: list[np.ndarray] = []
    for name in passes:
        arrays = reference.arrays(reference.run(name, placed))
        if name != "forward":
            for number, whole in enumerate((wide.hidden, wide.queries)):
                padded = np.zeros_like(whole)
                padded[: len(arrays[number])] = arrays[number]
                arrays[number] = padded
        expected += arrays
    return checked, expected


def errors_of(
    contestant: Contender,
    placed: Any,
    expected: list[np.ndarray],
    passes: Sequence[str] = PASSES,
) -> tuple[dict[str, float], bool]:
    """How far a prepared contender is from the reference on a case of `checked_case`.

    Returns:
      The relative error of each array (infinite where one is not finite), and whether a second
      run gave the same bits of every gradient.
    """
    errors: dict[str, float] = {}
    same, rest = True, iter(expected)
    for name in passes:
        arrays = contestant.arrays(contestant.run(name, placed))
        if name == "forward":
            named = {"scores": arrays[0][:CHECKED_DOCUMENTS, :CHECKED_LABELS]}
        else:
            again = contestant.arrays(contestant.run(name, placed))
            same &= all(
                np.array_equal(one.view(np.uint32), other.view(np.uint32))
                for one, other in zip(arrays, again, strict=True)
            )
            prefix = "training " if name == "training" else ""
            named = {prefix + part: x for part, x in zip(_parts(arrays), arrays, strict=True)}
        errors |= {part: relative_error(x, next(rest)) for part, x in named.items()}
    return errors, same


def _parts(gradients: list[np.ndarray]) -> list[str]:
    """What a pass's gradients are of."""
    layers = (len(gradients) - 4) // 2
    parts = [f"{part}_{i}" for part in ("kernel", "bias") for i in range(1, layers + 1)]
    return ["hidden", "queries", *parts, "output", "output_bias"]


def too_wrong(errors: dict[str, float], precision: str) -> list[str]:
    """Names of the arrays whose error is above the tolerance."""
    for_scores, for_gradients = TOLERANCES[precision]
    return [
        name
        for name, error in errors.items()
        if not error <= (for_scores if name == "scores" else for_gradients)
    ]
