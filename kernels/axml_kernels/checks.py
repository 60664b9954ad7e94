"""Argument checks of the public operations: shapes and dtypes, each refusal with what to do."""

from operator import index

import jax.numpy as jnp
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from axml_kernels.head import Head


def checked_inputs(
    hidden: ArrayLike, queries: ArrayLike, lengths: ArrayLike
) -> tuple[Array, Array, Array]:
    """The three as JAX arrays; ValueError where they do not fit together."""
    hidden, queries, lengths = jnp.asarray(hidden), jnp.asarray(queries), jnp.asarray(lengths)
    if hidden.ndim != 3 or 0 in hidden.shape:
        raise ValueError(f"hidden should be [B, T, D], none of them 0, but it is {hidden.shape}.")
    batch, _, width = hidden.shape
    if queries.ndim != 2 or queries.shape[0] < 1 or queries.shape[1] != width:
        raise ValueError(
            f"queries should be [L, D] with at least one label and hidden's D, {width}, "
            f"but they are {queries.shape}."
        )
    if lengths.shape != (batch,):
        raise ValueError(
            f"lengths should be [B], one for each of hidden's {batch} documents, "
            f"but they are {lengths.shape}."
        )
    if lengths.dtype != jnp.int32:
        raise ValueError(
            f"lengths should be int32, but they are {lengths.dtype}: lengths.astype('int32')."
        )
    if not jnp.issubdtype(hidden.dtype, jnp.floating):
        raise ValueError(f"hidden should be floating point, but it is {hidden.dtype}.")
    if queries.dtype != hidden.dtype:
        raise ValueError(
            f"queries should have hidden's dtype, {hidden.dtype}, but they are {queries.dtype}: "
            "cast the one to the other."
        )
    return hidden, queries, lengths


def checked_head(head: Head, width: int) -> Head:
    """The head with JAX arrays; ValueError where its layers do not follow one another."""
    for name in ("kernels", "biases"):
        # An array has rows to go through, too; its refusal would speak of a shape nobody gave.
        if not isinstance(getattr(head, name), tuple | list):
            raise ValueError(
                f"head.{name} should be a tuple of one or two arrays, one for each layer, but it "
                f"is of {type(getattr(head, name)).__name__}: ({name},) for one layer."
            )
    kernels = tuple(jnp.asarray(kernel) for kernel in head.kernels)
    biases = tuple(jnp.asarray(bias) for bias in head.biases)
    head = Head(kernels, biases, jnp.asarray(head.output), jnp.asarray(head.output_bias))
    if len(kernels) not in (1, 2) or len(biases) != len(kernels):
        raise ValueError(
            "head should have one or two kernels and as many biases, "
            f"but it has {len(kernels)} and {len(biases)}."
        )
    for layer, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        if kernel.ndim != 2 or kernel.shape[0] != width:
            raise ValueError(
                f"head.kernels[{layer}] should have {width} rows, the width of what it is applied "
                f"to, but it is {kernel.shape}."
            )
        width = kernel.shape[1]
        if bias.shape != (width,):
            raise ValueError(
                f"head.biases[{layer}] should be ({width},) as its kernel, but it is {bias.shape}."
            )
    if head.output.shape != (width,):
        raise ValueError(
            f"head.output should be ({width},), the width of the last layer, "
            f"but it is {head.output.shape}."
        )
    if head.output_bias.shape != ():
        raise ValueError(
            f"head.output_bias should be one number, but it is {head.output_bias.shape}."
        )
    for array in (*kernels, *biases, head.output, head.output_bias):
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise ValueError(f"head should be floating point, but it holds {array.dtype}.")
    return head


def checked_k(k: int, num_labels: int) -> int:
    """k; ValueError unless it is a whole number of 1 to L."""
    if not hasattr(k, "__index__") or not 1 <= index(k) <= num_labels:
        raise ValueError(
            f"k should be a whole number from 1 to the number of labels, {num_labels}, "
            f"but it is {k!r}."
        )
    return index(k)


def checked_label_ids(label_ids: ArrayLike, batch: int) -> Array:
    """Label ids as a JAX array; ValueError unless they are [B, K] integers."""
    label_ids = jnp.asarray(label_ids)
    if label_ids.ndim != 2 or label_ids.shape[0] != batch:
        raise ValueError(
            f"label_ids should be [B, K] with a row for each of hidden's {batch} documents, "
            f"but they are {label_ids.shape}."
        )
    if not jnp.issubdtype(label_ids.dtype, jnp.integer):
        raise ValueError(
            f"label_ids should be integers, the ids of each document's labels, but they are "
            f"{label_ids.dtype}."
        )
    return label_ids


def checked_truth(label_ids: ArrayLike, batch: int, num_labels: int) -> Array:
    """As `checked_label_ids`; ValueError, too, where they are seen to be a 0/1 matrix."""
    label_ids = checked_label_ids(label_ids, batch)
    # Three or more ids, each once, cannot all be 0 or 1.  Inside `jit` there are no values to see.
    looked_at = 2 < num_labels == label_ids.shape[1] and not isinstance(label_ids, Tracer)
    if looked_at and bool(((label_ids == 0) | (label_ids == 1)).all()):
        raise ValueError(
            "label_ids should hold the ids of each document's labels, each once, but they are a "
            f"0/1 matrix of {num_labels} labels: give the places of its ones, each row filled up "
            f"with {num_labels}."
        )
    return label_ids


def checked_weights(weights: ArrayLike, batch: int) -> Array:
    """Weights of documents as a JAX array; ValueError unless they are [B] floating point."""
    weights = jnp.asarray(weights)
    if weights.shape != (batch,):
        raise ValueError(
            f"weights should be [B], one for each of hidden's {batch} documents, "
            f"but they are {weights.shape}."
        )
    if not jnp.issubdtype(weights.dtype, jnp.floating):
        raise ValueError(f"weights should be floating point, but they are {weights.dtype}.")
    return weights
