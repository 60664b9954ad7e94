"""AttentionXML for one document at a time in plain NumPy, float64.

Written from the paper's equations (1) to (6) and the documented biases and layouts alone; shares no
code with the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Tree = Mapping[str, Any]


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def lstm(x: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Eq. (2) for one direction: x [T, E] to states [T, H], from the first row to the last."""
    w_i, w_f, w_o, w_g = np.split(kernel, 4, axis=1)
    u_i, u_f, u_o, u_g = np.split(recurrent, 4, axis=1)
    b_i, b_f, b_o, b_g = np.split(bias, 4)
    h = np.zeros(recurrent.shape[0])
    c = np.zeros(recurrent.shape[0])
    states = []
    for x_t in x:
        i = sigmoid(x_t @ w_i + h @ u_i + b_i)
        f = sigmoid(x_t @ w_f + h @ u_f + b_f)
        o = sigmoid(x_t @ w_o + h @ u_o + b_o)
        g = np.tanh(x_t @ w_g + h @ u_g + b_g)
        c = f * c + i * g
        h = o * np.tanh(c)
        states.append(h)
    return np.array(states).reshape(len(x), recurrent.shape[0])


def bilstm(
    x: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """Eq. (3) for one document without padding: x [T, E] to [T, 2H]."""
    forward = lstm(x, kernel[0], recurrent[0], bias[0])
    backward = lstm(x[::-1], kernel[1], recurrent[1], bias[1])[::-1]
    return np.concatenate([forward, backward], axis=1)


def attention(hidden: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The weights of eq. (4): hidden [T, D], queries [L, D] to [L, T]."""
    scores = np.exp(queries @ hidden.T)
    return scores / scores.sum(axis=1, keepdims=True)


def logits(params: Tree, token_ids: Sequence[int]) -> np.ndarray:
    """Eqs. (1) to (5) without the last sigmoid: one document's tokens to [L]."""
    vectors = params["words"]["vectors"]
    x = np.array([vectors[t] if t != 0 else np.zeros(vectors.shape[1]) for t in token_ids])
    encoder, labels = params["encoder"], params["labels"]
    hidden = bilstm(x, encoder["input_kernel"], encoder["recurrent_kernel"], encoder["bias"])
    z = attention(hidden, labels["queries"]) @ hidden
    layer = 0
    while f"kernel_{layer}" in labels:
        z = np.maximum(z @ labels[f"kernel_{layer}"] + labels[f"bias_{layer}"], 0)
        layer += 1
    return z @ labels["output"][:, 0] + labels["output_bias"]


def loss(params: Tree, documents: Sequence[Sequence[int]], targets: np.ndarray) -> float:
    """Eq. (6): mean over documents and labels; targets [N, L] of 0 and 1."""
    total = 0.0
    for tokens, y in zip(documents, targets, strict=True):
        y_hat = sigmoid(logits(params, tokens))
        total -= (y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat)).sum()
    return total / targets.size
