"""The Pallas kernels, in the dialect of Pallas that Triton compiles (Ampere cards and later).

Three kernels, each a grid over documents and blocks of labels:

- `averages`: streams a document's tokens past a block of labels with a running softmax;
- `fused_scores`: the same, and the one fully connected layer and the output at its end;
- `score_gradients`: weights and score gradients of a tile of tokens and labels, for the products
  that XLA does.

Blocks are powers of two; what is beyond an array's end is masked where it is loaded and stored.
Knows nothing of layers beyond the first, of loops over labels, or of differentiation.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plt
from jax.lax import PrecisionLike

from axml_kernels.blocks import MASKED
from axml_kernels.finish import WORD
from axml_kernels.gpu_tiles import AverageTile, GradientTile


class Columns:
    """Blocks of `size` along an axis of `width`, the last one perhaps partly beyond its end.

    JAX refuses a slice past the end, masked or not, unless its start is known at run time only:
    hence a zero that it does not see through.  Made outside of loops.
    """

    def __init__(self, width: int, size: int) -> None:
        self.width, self.size, self.count = width, size, -(-width // size)
        self.zero = pl.program_id(0) * 0

    def at(self, i: Any) -> tuple[Any, Array | None]:
        """The slice of block i, and which of its columns are real: None where all always are."""
        first = i * self.size + self.zero
        real = None if self.width % self.size == 0 else first + iota(self.size) < self.width
        return pl.ds(first, self.size), real


def iota(size: int) -> Array:
    return lax.iota(jnp.int32, size)


def both(rows: Array | None, columns: Array | None) -> Array | None:
    """The mask of a matrix from those of its rows and columns."""
    if rows is None:
        return None if columns is None else columns[None, :]
    return rows[:, None] if columns is None else rows[:, None] & columns[None, :]


def load(ref: Any, mask: Array | None) -> Array:
    return plt.load(ref) if mask is None else plt.load(ref, mask=mask, other=0)


def dot(x: Array, y: Array, dims: tuple[int, int], precision: PrecisionLike) -> Array:
    """A product that contracts axis dims[0] of x with axis dims[1] of y, summed in float32."""
    contract = (((dims[0],), (dims[1],)), ((), ()))
    return lax.dot_general(x, y, contract, precision=precision, preferred_element_type=jnp.float32)


def tile_product(
    rows: Callable[[Any, Any], Array],
    columns: Callable[[Any, Any], Array],
    shape: tuple[int, int],
    width: Columns,
    precision: PrecisionLike,
) -> Array:
    """rows . columns^T summed over `width` in steps; each gives its part of a step's slice."""

    def step(i: Any, total: Array) -> Array:
        part, real = width.at(i)
        return total + dot(rows(part, real), columns(part, real), (1, 1), precision)

    zeros = jnp.zeros(shape, jnp.float32)
    if width.count == 1:
        return step(0, zeros)
    return lax.fori_loop(jnp.int32(0), jnp.int32(width.count), step, zeros)


def stream_tokens(
    hidden_ref: Any,
    queries_ref: Any,
    values_ref: Any,
    length: Array,
    features: tuple[Any, Array | None],
    tile: AverageTile,
    precision: PrecisionLike,
) -> tuple[Array, Array]:
    """Averages [labels, features] of a document's values and the log-sum-exp [labels].

    One pass over the document's tokens with a running softmax: for each block of them the sums so
    far are scaled to the largest score seen.
    """
    depth = Columns(hidden_ref.shape[1], tile.depth)
    first = pl.program_id(1) * tile.labels
    labels = pl.ds(first, tile.labels)
    real_label = first + iota(tile.labels) < queries_ref.shape[0]
    columns, real_column = features

    def queries(part: Any, real: Array | None) -> Array:
        return load(queries_ref.at[labels, part], both(real_label, real))

    if depth.count == 1:
        # Loaded once, the block stays in shared memory while tokens stream past it.
        kept = queries(*depth.at(0))

        def queries(part: Any, real: Array | None) -> Array:
            return kept

    def step(i: Any, sums: tuple[Array, Array, Array, Array]) -> tuple[Array, ...]:
        most, total, rounded_total, average = sums
        tokens = pl.ds(i * tile.tokens, tile.tokens)
        real = i * tile.tokens + iota(tile.tokens) < length

        def hidden(part: Any, real_part: Array | None) -> Array:
            return load(hidden_ref.at[tokens, part], both(real, real_part))

        shape = (tile.labels, tile.tokens)
        scores = tile_product(queries, hidden, shape, depth, precision)
        scores = jnp.where(real[None, :], scores, MASKED)
        new_most = jnp.maximum(most, scores.max(axis=1))
        scale = jnp.exp(most - new_most)
        weights = jnp.exp(scores - new_most[:, None])
        values = load(values_ref.at[tokens, columns], both(real, real_column))
        rounded = weights.astype(values.dtype)
        average = average * scale[:, None] + dot(rounded, values, (1, 0), precision)
        total = total * scale + weights.sum(axis=1)
        rounded_total = rounded_total * scale + rounded.astype(jnp.float32).sum(axis=1)
        return new_most, total, rounded_total, average

    zeros = jnp.zeros((tile.labels,), jnp.float32)
    averages = jnp.zeros((tile.labels, tile.features), jnp.float32)
    start = jnp.full_like(zeros, MASKED), zeros, zeros, averages
    count = lax.div(length + jnp.int32(tile.tokens - 1), jnp.int32(tile.tokens))
    most, total, rounded_total, average = lax.fori_loop(jnp.int32(0), count, step, start)
    # Divided by the sum of the weights as rounded: an average, whatever rounding did to them.
    return average / rounded_total[:, None], most + jnp.log(total)


def averages_kernel(
    hidden_ref: Any,
    queries_ref: Any,
    values_ref: Any,
    lengths_ref: Any,
    averages_ref: Any,
    log_sum_ref: Any,
    *,
    tile: AverageTile,
    precision: PrecisionLike,
) -> None:
    width = Columns(values_ref.shape[1], tile.features)
    labels, real_label = Columns(queries_ref.shape[0], tile.labels).at(pl.program_id(1))
    for i in range(width.count):
        features = width.at(i)
        average, log_sum = stream_tokens(
            hidden_ref, queries_ref, values_ref, lengths_ref[0], features, tile, precision
        )
        store(averages_ref.at[labels, features[0]], average, both(real_label, features[1]))
    store(log_sum_ref.at[labels], log_sum, real_label)


def fused_scores_kernel(
    hidden_ref: Any,
    queries_ref: Any,
    values_ref: Any,
    lengths_ref: Any,
    bias_ref: Any,
    output_ref: Any,
    scores_ref: Any,
    *kept_refs: Any,
    tile: AverageTile,
    precision: PrecisionLike,
) -> None:
    width = Columns(values_ref.shape[1], tile.features)
    labels, real_label = Columns(queries_ref.shape[0], tile.labels).at(pl.program_id(1))
    words = Columns(-(-values_ref.shape[1] // WORD), tile.features // WORD)
    score = jnp.zeros((tile.labels,), jnp.float32)
    for i in range(width.count):
        features = columns, real_column = width.at(i)
        average, log_sum = stream_tokens(
            hidden_ref, queries_ref, values_ref, lengths_ref[0], features, tile, precision
        )
        z = average + load(bias_ref.at[columns], real_column)[None, :]
        output = load(output_ref.at[columns], real_column)
        score += (jnp.maximum(z, 0) * output[None, :]).sum(axis=1)
        if kept_refs:
            bits = (z > 0).astype(jnp.int32).reshape(tile.labels, -1, WORD)
            bits = (bits << iota(WORD)[None, None, :]).sum(axis=2, dtype=jnp.int32)
            part, real_word = words.at(i)
            store(kept_refs[1].at[labels, part], bits, both(real_label, real_word))
    store(scores_ref.at[labels], score, real_label)
    if kept_refs:
        store(kept_refs[0].at[labels], log_sum, real_label)


def score_gradients_kernel(
    hidden_ref: Any,
    queries_ref: Any,
    values_ref: Any,
    e_ref: Any,
    log_sum_ref: Any,
    drift_ref: Any,
    lengths_ref: Any,
    weights_ref: Any,
    gradients_ref: Any,
    *,
    tile: GradientTile,
    precision: PrecisionLike,
) -> None:
    num_tokens, width = hidden_ref.shape
    length = lengths_ref[0]
    first = pl.program_id(2) * tile.tokens
    tokens, in_batch = Columns(num_tokens, tile.tokens).at(pl.program_id(2))
    labels, real_label = Columns(queries_ref.shape[0], tile.labels).at(pl.program_id(1))
    real = first + iota(tile.tokens) < length
    shape = (tile.tokens, tile.labels)
    depth, feature_depth = Columns(width, tile.depth), Columns(values_ref.shape[1], tile.depth)

    def rows_of(ref: Any, rows: Any, real: Array | None) -> Callable[[Any, Any], Array]:
        return lambda part, real_part: load(ref.at[rows, part], both(real, real_part))

    def product(x: Any, y: Any, depth: Columns) -> Array:
        rows, columns = rows_of(x, tokens, real), rows_of(y, labels, real_label)
        return tile_product(rows, columns, shape, depth, precision)

    def compute() -> tuple[Array, Array]:
        scores = product(hidden_ref, queries_ref, depth)
        log_sum = load(log_sum_ref.at[labels], real_label)
        scores = jnp.where(real[:, None], scores - log_sum[None, :], MASKED)
        weights = jnp.exp(scores)
        d_weights = product(values_ref, e_ref, feature_depth)
        drift = load(drift_ref.at[labels], real_label)
        gradients = weights * (d_weights - drift[None, :])
        return weights.astype(weights_ref.dtype), gradients.astype(gradients_ref.dtype)

    def padding() -> tuple[Array, Array]:
        return jnp.zeros(shape, weights_ref.dtype), jnp.zeros(shape, gradients_ref.dtype)

    weights, gradients = lax.cond(first < length, compute, padding)
    mask = both(in_batch, real_label)
    store(weights_ref.at[tokens, labels], weights, mask)
    store(gradients_ref.at[tokens, labels], gradients, mask)


def store(ref: Any, values: Array, mask: Array | None) -> None:
    plt.store(ref, values, mask=mask)


def averages(
    hidden: Array,
    queries: Array,
    values: Array,
    lengths: Array,
    tile: AverageTile,
    precision: PrecisionLike,
    interpret: bool,
) -> tuple[Array, Array]:
    """sum_t A[b,l,t] values[b,t] as [B, L, G] float32, and the log-sum-exp [B, L]."""
    batch, num_labels = hidden.shape[0], queries.shape[0]
    kernel = functools.partial(averages_kernel, tile=tile, precision=precision)
    return pl.pallas_call(
        kernel,
        grid=(batch, -(-num_labels // tile.labels)),
        in_specs=[of_document(hidden), whole(queries), of_document(values), LENGTH],
        out_specs=[of_rows((num_labels, values.shape[2])), of_rows((num_labels,))],
        out_shape=[
            jax.ShapeDtypeStruct((batch, num_labels, values.shape[2]), jnp.float32),
            jax.ShapeDtypeStruct((batch, num_labels), jnp.float32),
        ],
        compiler_params=compiler_params(tile),
        interpret=interpret,
        name="label_attention_averages",
    )(hidden, queries, values, lengths)


def fused_scores(
    hidden: Array,
    queries: Array,
    values: Array,
    lengths: Array,
    bias: Array,
    output: Array,
    tile: AverageTile,
    precision: PrecisionLike,
    keep: bool,
    interpret: bool,
) -> tuple[Array, ...]:
    """relu(sum_t A[b,l,t] values[b,t] + bias) . output, [B, L] float32.

    If `keep`, also the log-sum-exp [B, L] and which features are above zero, as bits
    [B, L, F / 32 rounded up] int32.
    """
    batch, num_labels, words = hidden.shape[0], queries.shape[0], -(-values.shape[2] // WORD)
    float_row = of_rows((num_labels,)), jax.ShapeDtypeStruct((batch, num_labels), jnp.float32)
    bits = (
        of_rows((num_labels, words)),
        jax.ShapeDtypeStruct((batch, num_labels, words), jnp.int32),
    )
    outputs = (float_row, float_row, bits) if keep else (float_row,)
    kernel = functools.partial(fused_scores_kernel, tile=tile, precision=precision)
    return tuple(
        pl.pallas_call(
            kernel,
            grid=(batch, -(-num_labels // tile.labels)),
            in_specs=[
                *(of_document(hidden), whole(queries), of_document(values), LENGTH),
                *(whole(bias), whole(output)),
            ],
            out_specs=[spec for spec, _ in outputs],
            out_shape=[shape for _, shape in outputs],
            compiler_params=compiler_params(tile),
            interpret=interpret,
            name="label_attention_scores",
        )(hidden, queries, values, lengths, bias, output)
    )


def score_gradients(
    hidden: Array,
    queries: Array,
    values: Array,
    e: Array,
    log_sum: Array,
    drift: Array,
    lengths: Array,
    tile: GradientTile,
    precision: PrecisionLike,
    interpret: bool,
) -> tuple[Array, Array]:
    """A and the gradients A (values . e - drift) of the scores, [B, T, C] each in hidden's dtype.

    e [B, C, G]; log_sum and drift [B, C].
    """
    batch, tokens, _ = hidden.shape
    num_labels = queries.shape[0]
    tile_shape = jax.ShapeDtypeStruct((batch, tokens, num_labels), hidden.dtype)
    kernel = functools.partial(score_gradients_kernel, tile=tile, precision=precision)
    return tuple(
        pl.pallas_call(
            kernel,
            grid=(batch, -(-num_labels // tile.labels), -(-tokens // tile.tokens)),
            in_specs=[
                *(of_document(hidden), whole(queries), of_document(values), of_document(e)),
                *(of_document(log_sum), of_document(drift), LENGTH),
            ],
            out_specs=[of_rows((tokens, num_labels))] * 2,
            out_shape=[tile_shape] * 2,
            compiler_params=compiler_params(tile),
            interpret=interpret,
            name="label_attention_gradients",
        )(hidden, queries, values, e, log_sum, drift, lengths)
    )


def of_rows(shape: tuple[int, ...]) -> pl.BlockSpec:
    """A document's part of an array [B, *shape]: the first index of the grid is the document."""
    return pl.BlockSpec((None, *shape), lambda document, *_: (document, *(0 for _ in shape)))


def of_document(x: Array) -> pl.BlockSpec:
    return of_rows(x.shape[1:])


def whole(x: Array) -> pl.BlockSpec:
    return pl.BlockSpec(x.shape, lambda *_: (0,) * x.ndim)


LENGTH = pl.BlockSpec((1,), lambda document, *_: (document,))


def compiler_params(tile: AverageTile | GradientTile) -> plt.CompilerParams:
    return plt.CompilerParams(num_warps=tile.warps, num_stages=tile.stages)
