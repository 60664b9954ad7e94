"""What a perfect program would need for a training step and its parts: operations, or bytes moved.

Arithmetic bounds the BiLSTM and the label attention with its layers, memory bounds reading word
vectors and updating weights.  Knows nothing of who computes, nor of how fast a device is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from axml_jax.data.batches import Batch
from benchmarks.train_step_data import Shape

FLOAT32 = 4  # bytes


def operations_of_parts(shape: Shape, batches: Sequence[Batch]) -> dict[str, dict[str, int]]:
    """Additions and multiplications that no exact way spares; padding is none.

    A token costs each direction of the BiLSTM the products E x 4H and H x 4H, three times as much
    with gradients.  Each label costs a token D for the score and F for the sum, where W1 comes
    first, and a document the layers after W1; three times as much with gradients: no
    attention has to be computed a second time.

    Args:
      shape: The shape.
      batches: The documents.

    Returns:
      Of "encoder" and "head" those of "forward" and "forward_backward", for all documents together.
    """
    documents = sum(int(batch.weights.sum()) for batch in batches)
    tokens = sum(_tokens(batch) for batch in batches)
    encoder = 2 * tokens * 2 * (shape.word_width + shape.hidden) * 4 * shape.hidden
    after = sum(n * m for n, m in zip(shape.layers, (*shape.layers[1:], 1), strict=True))
    width = 2 * shape.hidden + shape.layers[0]
    head = 2 * shape.num_labels * (tokens * width + documents * after)
    return {
        "encoder": {"forward": encoder, "forward_backward": 3 * encoder},
        "head": {"forward": head, "forward_backward": 3 * head},
    }


def operations(shape: Shape, batches: Sequence[Batch]) -> dict[str, int]:
    """Those of whole passes, "training" and "prediction": the sums over the parts.

    What only moves memory, such as the update of the weights, counts as nothing.
    """
    parts = operations_of_parts(shape, batches).values()
    return {
        "training": sum(part["forward_backward"] for part in parts),
        "prediction": sum(part["forward"] for part in parts),
    }


def bytes_of_parts(
    shape: Shape, batch: Batch, other_weights: int, itemsize: int
) -> dict[str, dict[str, int]]:
    """Bytes that the parts without large products read and write at least; padding is none.

    The embedding reads the row of each distinct word once, as float32, and writes one for each
    token; its gradient reads one for each token and writes one for each distinct word, as much
    again.  The update reads gradient, weight and two moments, and writes weight and moments: seven
    float32 for each number in the rows of the batch's words and in all other weights.  Token ids
    count as nothing, nor do the rows of other words, which dense Adam moves, too.

    Args:
      shape: The shape.
      batch: The documents.
      other_weights: Numbers in the weights without the word table.
      itemsize: Bytes of a number of the activations.

    Returns:
      Of "embedding" those of "forward" and "forward_backward", of "update" those of "forward".
    """
    real = np.arange(batch.token_ids.shape[1]) < batch.lengths[:, None]
    rows = len(np.unique(batch.token_ids[real & (batch.weights[:, None] > 0)]))
    embedding = shape.word_width * (FLOAT32 * rows + itemsize * _tokens(batch))
    return {
        "embedding": {"forward": embedding, "forward_backward": 2 * embedding},
        "update": {"forward": 7 * FLOAT32 * (rows * shape.word_width + other_weights)},
    }


def add_shares(
    times: Mapping[str, Any], needs: Mapping[str, Mapping[str, int]], what: str, rate: float
) -> None:
    """Adds to each part that needs something how much, and what share of its time that explains.

    Args:
      times: By part and kind, as `train_step_parts.time_parts` gives those of a contender.
      needs: By part and kind, as above.
      what: "operations" or "bytes".
      rate: Of these a second.
    """
    for part, kinds in needs.items():
        for kind, amount in kinds.items():
            about = times.get(part, {}).get(kind, {})
            if "median_s" in about:
                about[what] = amount
                about["share_of_floor"] = amount / rate / about["median_s"]


def _tokens(batch: Batch) -> int:
    return int((batch.lengths * batch.weights).sum())
