"""The layers that all labels share.  Knows nothing of attention."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Head(NamedTuple):
    """One or two fully connected layers and the output layer, shared by all labels (eq. 5).

    z = relu(m K1 + b1), then relu(z K2 + b2) with a second layer; score = z . output + output_bias.
    """

    kernels: tuple[Float[Array, "rows columns"], ...]  # (D, F) or (D, F), (F, F2)
    biases: tuple[Float[Array, " columns"], ...]  # (F,) or (F,), (F2,)
    output: Float[Array, " columns"]  # (F,) or (F2,)
    output_bias: Float[Array, ""]
