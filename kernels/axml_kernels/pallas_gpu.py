"""Label attention on NVIDIA GPUs: Pallas kernels for attention, XLA for the plain products.

With one fully connected layer that comes first, one kernel goes from hidden states to scores.
Otherwise a kernel averages the tokens for a block of labels, and XLA does the layers.  Backward
goes over blocks of labels: a kernel makes the weights and the score gradients [B, T, C] of a block;
from them matrix products make the gradients of the queries (summed over documents and tokens) and
of the hidden states (summed over labels, block after block, in one order: the same bits each time).

Saved for backward: the log-sum-exp [B, L], with one layer the scores themselves and F bits each.

Callers pass hidden states whose padding is zero and lengths of at least 1 (api.py sees to both).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.lax import PrecisionLike

from axml_kernels import gpu_tiles, pallas_triton, target
from axml_kernels.finish import Finish, One, arranged
from axml_kernels.gpu_tiles import AverageTile, GradientTile, Shape
from axml_kernels.head import Head
from axml_kernels.reference import product
from axml_kernels.streaming import Best, merged, no_best
from axml_kernels.tiles import Inputs, like

TOKEN_MULTIPLE = 8


class Plan(NamedTuple):
    """What is fixed while tracing.

    Attributes:
      average: Tile of the kernels that average.
      gradient: Tile of the kernel of score gradients.
      forward_block: Labels at a time where XLA does the layers.
      backward_block: Labels at a time backward.
      precision: Of all products.
      finish: What follows the averages.
      interpret: Whether the kernels are interpreted.
    """

    average: AverageTile
    gradient: GradientTile
    forward_block: int
    backward_block: int
    precision: PrecisionLike
    finish: Finish
    interpret: bool

    @property
    def fused(self) -> bool:
        """Whether one kernel goes all the way to the scores."""
        return isinstance(self.finish, One)


def unavailable(dtype: Any) -> str | None:
    """Why these kernels cannot run on the current target; None if they can."""
    found = target.current()
    if found.capability is None:
        return f"they need an NVIDIA GPU, and the device is {found.card!r}"
    if found.capability < (8, 0):
        return f"they need compute capability 8.0 or later, and {found.card!r} has " + ".".join(
            map(str, found.capability)
        )
    if dtype == jnp.float64:
        return "they serve float32, bfloat16 and float16, and hidden is float64"
    return None


def label_attention(
    hidden: Array, queries: Array, lengths: Array, precision: PrecisionLike = None
) -> Array:
    """m[b,l] = sum_t A[b,l,t] hidden[b,t] (eq. 4), [B, L, D]."""
    return attend(*prepare(hidden, queries, lengths, None, precision))


def label_scores(
    hidden: Array, queries: Array, lengths: Array, head: Head, precision: PrecisionLike = None
) -> Array:
    """Eq. (5) without its sigmoid, [B, L] logits."""
    return attend(*prepare(hidden, queries, lengths, head, precision))


def label_top_k(
    hidden: Array,
    queries: Array,
    lengths: Array,
    head: Head,
    k: int,
    precision: PrecisionLike = None,
) -> tuple[Array, Array]:
    """The first k of a stable sort of the scores, keeping [B, k] from block to block."""
    plan, inputs = prepare(hidden, queries, lengths, head, precision)
    values = projected(inputs, precision)

    num_labels = queries.shape[0]
    block = min(num_labels, max(plan.forward_block, k))

    def step(i: Array, best: Best) -> Best:
        first, new = block_place(i, block, num_labels)
        part = lax.dynamic_slice_in_dim(queries, first, block)
        ids = first.astype(jnp.int32) + jnp.arange(block, dtype=jnp.int32)
        return merged(best, block_scores(plan, inputs, values, part), ids, new)

    start = no_best(hidden.shape[0], k, jnp.float32)
    return lax.fori_loop(0, -(-num_labels // block), step, start)


def prepare(
    hidden: Array, queries: Array, lengths: Array, head: Head | None, precision: PrecisionLike
) -> tuple[Plan, Inputs]:
    """How the operation goes through the labels, and with what."""
    finish, kernel, layers = arranged(hidden, queries, head)
    # XLA's products want rows of whole vectors; otherwise it pads each block's weights.
    hidden = jnp.pad(hidden, ((0, 0), (0, -hidden.shape[1] % TOKEN_MULTIPLE), (0, 0)))
    batch, tokens, width = hidden.shape
    features = width if kernel is None else kernel.shape[1]
    full = hidden.dtype == jnp.float32 and is_full(precision)
    shape = Shape(batch, tokens, width, queries.shape[0], features, hidden.dtype.name, full)
    plan = choose_plan(shape, precision, finish)
    return plan, Inputs(hidden, queries, lengths, kernel, layers)


def is_full(precision: PrecisionLike) -> bool:
    """Whether a precision asks for true float32 rather than tf32."""
    if precision is None:
        precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    given = precision if isinstance(precision, tuple) else (precision,)
    names = {str(getattr(one, "name", one)).upper() for one in given}
    return bool(names & {"HIGHEST", "FLOAT32", "F32_F32_F32"})


def choose_plan(shape: Shape, precision: PrecisionLike, finish: Finish) -> Plan:
    """Tiles and blocks for these shapes on the current target."""
    device = target.current()
    return Plan(
        average=gpu_tiles.average_tile(shape, device),
        gradient=gpu_tiles.gradient_tile(shape, device),
        forward_block=gpu_tiles.average_block(shape),
        backward_block=gpu_tiles.gradient_block(shape),
        precision=precision,
        finish=finish,
        interpret=device.interpret,
    )


def projected(inputs: Inputs, precision: PrecisionLike) -> Array:
    """What is averaged, [B, T, G]: hidden, or hidden K1 where W1 comes first.

    Rounded by the product itself: a float32 copy would be the largest array of the forward pass.
    """
    hidden, kernel = inputs.hidden, inputs.kernel
    if kernel is None:
        return hidden
    dtype = hidden.dtype
    return jnp.einsum(
        "btd,df->btf", hidden, kernel, precision=precision, preferred_element_type=dtype
    )


def block_averages(
    plan: Plan, inputs: Inputs, values: Array, queries: Array
) -> tuple[Array, Array]:
    """The averages [B, C, G] of the labels of these queries, and the log-sum-exp [B, C]."""
    return pallas_triton.averages(
        inputs.hidden,
        queries,
        values,
        inputs.lengths,
        plan.average,
        plan.precision,
        plan.interpret,
    )


def fused_block(
    plan: Plan, inputs: Inputs, values: Array, queries: Array, keep: bool
) -> tuple[Array, ...]:
    """Scores [B, C] of these queries' labels by one kernel; if `keep`, also what backward needs."""
    layers = inputs.layers
    scores, *kept = pallas_triton.fused_scores(
        inputs.hidden,
        queries,
        values,
        inputs.lengths,
        layers.biases[0],
        layers.output,
        plan.average,
        plan.precision,
        keep,
        plan.interpret,
    )
    return scores + layers.output_bias, *kept


def block_scores(plan: Plan, inputs: Inputs, values: Array, queries: Array) -> Array:
    """Scores [B, C] of the labels of these queries."""
    if plan.fused:
        return fused_block(plan, inputs, values, queries, keep=False)[0]
    average, _ = block_averages(plan, inputs, values, queries)
    return plan.finish.forward(inputs.layers, average, plan.precision)[0]


def forward(plan: Plan, keep: bool, inputs: Inputs) -> tuple[Array, tuple[Array, ...]]:
    """The results, labels on axis 1, and if `keep` what backward needs of them, likewise."""
    values = projected(inputs, plan.precision)
    if plan.fused:
        scores, *kept = fused_block(plan, inputs, values, inputs.queries, keep)
        return scores, tuple(kept)

    def block(queries: Array) -> tuple[Array, Array]:
        average, log_sum = block_averages(plan, inputs, values, queries)
        return plan.finish.forward(inputs.layers, average, plan.precision)[0], log_sum

    results, log_sum = over_blocks(block, inputs.queries, plan.forward_block)
    return results, ((log_sum,) if keep else ())


def block_place(i: Array, block: int, num_labels: int) -> tuple[Array, Array]:
    """The first label of block i, and which of its labels are in no block before it.

    The last block reaches back over the one before it: nothing is padded and nothing copied.
    """
    first = jnp.minimum(i * block, num_labels - block)
    return first, first + jnp.arange(block) >= i * block


def over_blocks(function: Any, queries: Array, block: int) -> Any:
    """function(block of queries), whose results have labels on axis 1, for all of them."""
    num_labels = queries.shape[0]
    if block >= num_labels:
        return function(queries)
    shapes = jax.eval_shape(function, queries[:block])
    start = jax.tree.map(
        lambda x: jnp.zeros((x.shape[0], num_labels, *x.shape[2:]), x.dtype), shapes
    )

    def step(i: Array, results: Any) -> Any:
        first, _ = block_place(i, block, num_labels)
        found = function(lax.dynamic_slice_in_dim(queries, first, block))
        return jax.tree.map(
            lambda x, part: lax.dynamic_update_slice_in_dim(x, part, first, 1), results, found
        )

    return lax.fori_loop(0, -(-num_labels // block), step, start)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend(plan: Plan, inputs: Inputs) -> Array:
    """finish(sum_t A[b,l,t] project(hidden)[b,t]) of all labels, on axis 1; never A as a whole."""
    return forward(plan, False, inputs)[0]


def attend_forward(plan: Plan, inputs: Inputs) -> tuple[Array, Any]:
    """Saves the inputs and what `forward` keeps, with one layer also the scores."""
    results, kept = forward(plan, True, inputs)
    return results, (inputs, kept, results if plan.fused else None)


def attend_backward(plan: Plan, saved: Any, gradient: Array) -> tuple[Inputs]:
    """The chain rule block by block, each block's weights recomputed from the log-sum-exp."""
    inputs, kept, scores = saved
    hidden, queries, lengths, kernel, layers = inputs
    precision, block = plan.precision, plan.backward_block
    num_labels, dtype = queries.shape[0], hidden.dtype
    values = projected(inputs, precision)
    weighted = plan.finish.weigh(layers, values)

    def step(i: Array, sums: tuple) -> tuple:
        d_hidden, d_values, d_queries, shares = sums
        first, new = block_place(i, block, num_labels)

        def part(x: Array, axis: int = 1) -> Array:
            return lax.dynamic_slice_in_dim(x, first, block, axis)

        some = Block(part(queries, 0), part(gradient), *jax.tree.map(part, (kept, scores)))
        counts = new.reshape(1, -1, *(1,) * (gradient.ndim - 2))
        some = some._replace(gradient=jnp.where(counts, some.gradient, 0))
        e, drift, share = upper_gradients(plan, inputs, values, some)
        weights, d_scores = pallas_triton.score_gradients(
            hidden,
            some.queries,
            weighted,
            e,
            some.kept[0],
            drift,
            lengths,
            plan.gradient,
            precision,
            plan.interpret,
        )
        if dtype == jnp.float32:
            # The log-sum-exp is rounded: one relative error for all weights of a label, which no
            # sum averages out.
            weights /= weights.sum(axis=1, keepdims=True)
        # drift and the kernel round differently: without this the sum over tokens, zero by
        # definition, would be the largest error of the query gradients.
        rest = d_scores.sum(axis=1, keepdims=True, dtype=jnp.float32)
        d_scores = (d_scores - weights * rest).astype(dtype)
        d_some = product("btc,btd->cd", d_scores, hidden, precision).astype(queries.dtype)
        return (
            d_hidden + product("btc,cd->btd", d_scores, some.queries, precision),
            d_values + product("btc,bcg->btg", weights, e, precision),
            lax.dynamic_update_slice_in_dim(d_queries, part(d_queries, 0) + d_some, first, 0),
            jax.tree.map(jnp.add, shares, share),
        )

    zeros = jnp.zeros(hidden.shape, jnp.float32), jnp.zeros(values.shape, jnp.float32)
    start = (*zeros, jnp.zeros_like(queries), plan.finish.start(layers))
    count = -(-num_labels // block)
    d_hidden, d_values, d_queries, shares = lax.fori_loop(0, count, step, start)
    d_values, d_layers = plan.finish.conclude(layers, values, d_values, shares)
    d_layers, d_kernel = like(d_layers, layers), None
    if kernel is None:
        d_hidden += d_values
    else:
        narrow = d_values.astype(dtype)
        d_hidden += product("btf,df->btd", narrow, kernel, precision)
        d_kernel = product("btd,btf->df", hidden, narrow, precision).astype(kernel.dtype)
    return (Inputs(d_hidden.astype(dtype), d_queries, None, d_kernel, d_layers),)


class Block(NamedTuple):
    """Of a block of labels what backward starts from."""

    queries: Array  # (C, D)
    gradient: Array  # (B, C) or (B, C, D), of the results
    kept: tuple[Array, ...]  # (B, C) log-sum-exps; with one layer also its bits (B, C, words)
    scores: Array | None  # (B, C), with one layer


def upper_gradients(
    plan: Plan, inputs: Inputs, values: Array, some: Block
) -> tuple[Array, Array, Any]:
    """e [B, C, G], the share of the layers' sums, and drift [B, C] = sum_t A dA = e . average."""
    layers, precision = inputs.layers, plan.precision

    def narrow(e: Array) -> tuple[Array, Array]:
        e = e.astype(values.dtype)
        return e, e.astype(jnp.float32)

    def averaged() -> Array:
        return block_averages(plan, inputs, values, some.queries)[0]

    if plan.fused:
        kept = plan.finish.unpacked(layers, some.kept[1].astype(jnp.uint32))
        e, share = plan.finish.backward(layers, some.gradient, kept, averaged, precision)
        e, wide = narrow(e)
        # The averages are gone, but score = output_bias + sum_f on_f output_f (average_f + bias_f).
        rounded = some.gradient.astype(values.dtype).astype(jnp.float32)
        drift = rounded * (some.scores - layers.output_bias)
        drift -= product("bcf,f->bc", wide, layers.output * layers.biases[0], "highest")
        return e, drift, share
    average = averaged()
    e, share = plan.finish.backward(layers, some.gradient, (), lambda: average, precision)
    e, wide = narrow(e)
    return e, (wide * average).sum(axis=2), share


attend.defvjp(attend_forward, attend_backward)
