"""The weights of the bidirectional LSTM, which its implementations share."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Float


class BiLSTMParameters(NamedTuple):
    """Weights of both directions; index 0 reads from left to right, 1 from right to left.

    The last axis holds the gates i, f, o, g of eq. (2) in this order, H columns each.
    """

    input_kernel: Float[Array, "2 E 4H"]  # the W of eq. (2), transposed
    recurrent_kernel: Float[Array, "2 H 4H"]  # its U, transposed
    bias: Float[Array, "2 4H"]  # one per gate, not the two of some libraries
