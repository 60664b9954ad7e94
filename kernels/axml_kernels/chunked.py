"""Label attention tile by tile, in plain XLA: runs on any device, in bounded memory.

Nothing of size B x T x L, B x L x D or B x L x F ever exists, forward or backward: forward saves
the log-sum-exp of the scores [B, L] (and F bits per score where there is one fully connected layer
and W1 comes first), backward recomputes each tile's weights from it.  Of the cross entropy forward
makes the gradients and saves them.

Callers pass hidden states whose padding is zero and lengths of at least 1 (api.py sees to both).
"""

import jax.numpy as jnp
from jax import Array, lax
from jax.lax import PrecisionLike

from axml_kernels import target, tiling
from axml_kernels.blocks import from_blocks, label_blocks
from axml_kernels.cross_entropy import Truth
from axml_kernels.finish import arranged
from axml_kernels.head import Head
from axml_kernels.reference import sum_dtype
from axml_kernels.streaming import Best, merged, no_best
from axml_kernels.tiled_loss import loss
from axml_kernels.tiles import Inputs, Plan, TileForward, attend, in_groups


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
    plan, (*_, kernel, layers) = prepare(hidden, queries, lengths, head, precision)
    num_labels = queries.shape[0]
    block = max(plan.tile.block, k)
    blocks = label_blocks(queries, block)
    firsts = jnp.arange(blocks.shape[0], dtype=jnp.int32) * block

    def group(documents: tuple[Array, Array]) -> tuple[Array, Array]:
        tile = TileForward(plan, *documents, kernel, layers)

        def step(best: Best, numbered: tuple[Array, Array]) -> tuple[Best, None]:
            first, queries = numbered
            scores, _ = tile(queries)
            ids = first + jnp.arange(block, dtype=jnp.int32)
            return merged(best, scores, ids, ids < num_labels), None

        best = no_best(plan.tile.group, k, sum_dtype(hidden.dtype))
        return lax.scan(step, best, (firsts, blocks))[0]

    logits, ids = lax.map(group, in_groups(plan, hidden, lengths))
    return from_blocks(logits, hidden.shape[0], 0), from_blocks(ids, hidden.shape[0], 0)


def label_cross_entropy(
    hidden: Array,
    queries: Array,
    lengths: Array,
    head: Head,
    truth: Truth,
    precision: PrecisionLike = None,
) -> Array:
    """The loss of the scores; its gradients are made with them, at one visit to each tile."""
    plan, inputs = prepare(hidden, queries, lengths, head, precision)
    # What fills up the last block of labels does not count.
    first, end = truth.labels
    labels = jnp.stack([first, jnp.minimum(end, first + queries.shape[0])])
    return loss(plan, inputs, truth._replace(labels=labels))


def choose_tile(hidden: Array, queries: Array) -> tiling.Tile:
    """The tile for these shapes on the current target."""
    batch, tokens, _ = hidden.shape
    cache = target.second_level_cache()
    return tiling.tile(batch, tokens, queries.shape[0], target.current().platform, cache)


def prepare(
    hidden: Array, queries: Array, lengths: Array, head: Head | None, precision: PrecisionLike
) -> tuple[Plan, Inputs]:
    """How an operation goes through the tiles, and with what; without a head: to averages."""
    finish, kernel, layers = arranged(hidden, queries, head)
    plan = Plan(choose_tile(hidden, queries), precision, finish)
    return plan, Inputs(hidden, queries, lengths, kernel, layers)
