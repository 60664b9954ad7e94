"""Label attention tile by tile, in plain XLA: runs on any device, in bounded memory.

Nothing of size B x T x L, B x L x D or B x L x F ever exists, forward or backward: forward saves
the log-sum-exp of the scores [B, L] (and F bits per score where there is one fully connected layer
and W1 comes first), backward recomputes each tile's weights from it.

Callers pass hidden states whose padding is zero and lengths of at least 1 (api.py sees to both).
"""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.lax import PrecisionLike

from axml_kernels import tiling
from axml_kernels.blocks import from_blocks, label_blocks
from axml_kernels.finish import Layers, One, Plain, Stack
from axml_kernels.head import Head
from axml_kernels.reference import sum_dtype
from axml_kernels.tiles import Inputs, Plan, TileForward, attend, in_groups

PLAIN, STACK, ONE = Plain(), Stack(), One()


def label_attention(
    hidden: Array, queries: Array, lengths: Array, precision: PrecisionLike = None
) -> Array:
    """m[b,l] = sum_t A[b,l,t] hidden[b,t] (eq. 4), [B, L, D]."""
    plan = Plan(choose_tile(hidden, queries), precision, PLAIN)
    return attend(plan, Inputs(hidden, queries, lengths, None, ()))


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
    plan, (*_, kernel, layers) = prepare(hidden, queries, lengths, head, precision)
    num_labels = queries.shape[0]
    block = max(plan.tile.block, k)
    blocks = label_blocks(queries, block)
    firsts = jnp.arange(blocks.shape[0], dtype=jnp.int32) * block

    def group(documents: tuple[Array, Array]) -> tuple[Array, Array]:
        tile = TileForward(plan, *documents, kernel, layers)

        def step(best: tuple[Array, Array], numbered: tuple[Array, Array]) -> tuple[tuple, None]:
            first, queries = numbered
            scores, _ = tile(queries)
            ids = first + jnp.arange(block, dtype=jnp.int32)[None, :]
            scores = jnp.where(ids < num_labels, scores, -jnp.inf)
            # top_k puts the lower index first among equals, but takes -0.0 for less than 0.0.
            top, place = lax.top_k(jnp.where(scores == 0, 0.0, scores), k)
            keys = jnp.concatenate([-best[0], -top], axis=1)
            ids = jnp.concatenate([best[1], first + place], axis=1)
            keys, ids = lax.sort((keys, ids), num_keys=2)
            return (-keys[:, :k], ids[:, :k]), None

        # An id above all others loses every tie against a label.
        shape = (plan.tile.group, k)
        nothing = jnp.full(shape, -jnp.inf, sum_dtype(hidden.dtype))
        nobody = jnp.full(shape, jnp.iinfo(jnp.int32).max, jnp.int32)
        return lax.scan(step, (nothing, nobody), (firsts, blocks))[0]

    logits, ids = lax.map(group, in_groups(plan, hidden, lengths))
    return from_blocks(logits, hidden.shape[0], 0), from_blocks(ids, hidden.shape[0], 0)


def choose_tile(hidden: Array, queries: Array) -> tiling.Tile:
    """The tile for these shapes on JAX's default platform."""
    batch, tokens, _ = hidden.shape
    return tiling.tile(batch, tokens, queries.shape[0], jax.default_backend())


def prepare(
    hidden: Array, queries: Array, lengths: Array, head: Head, precision: PrecisionLike
) -> tuple[Plan, Inputs]:
    """How label_scores goes through the tiles, and with what: W1 first or last, 1 or 2 layers."""
    wide = sum_dtype(hidden.dtype)
    kernels = tuple(kernel.astype(hidden.dtype) for kernel in head.kernels)
    biases = tuple(bias.astype(wide) for bias in head.biases)
    layers = Layers(kernels, biases, head.output.astype(wide), head.output_bias.astype(wide))
    tile = choose_tile(hidden, queries)
    _, tokens, width = hidden.shape
    if not tiling.project_first(tokens, width, kernels[0].shape[1], queries.shape[0]):
        return Plan(tile, precision, STACK), Inputs(hidden, queries, lengths, None, layers)
    layers = layers._replace(kernels=kernels[1:])
    finish = STACK if layers.kernels else ONE
    return Plan(tile, precision, finish), Inputs(hidden, queries, lengths, kernels[0], layers)
