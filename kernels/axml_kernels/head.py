"""The head that all labels share: what it holds, and its arithmetic on one averaged vector per label.

Knows nothing of attention.
"""

from typing import NamedTuple

from jax import Array


class Head(NamedTuple):
    """One or two fully connected layers and the output layer, shared by all labels (paper, eq. 5).

    z = relu(m K1 + b1), then relu(z K2 + b2) where there is a second layer; score = z . output + output_bias.
    """

    kernels: tuple[Array, ...]  # (D, F) or (D, F), (F, F2)
    biases: tuple[Array, ...]  # (F,) or (F,), (F2,)
    output: Array  # (F,) or (F2,)
    output_bias: Array  # ()
