"""Eqs. (4) and (5) in NumPy float64, one document and one label at a time: no JAX, no masks."""

from __future__ import annotations

from typing import Any

import numpy as np


def real_states(hidden: np.ndarray, length: int) -> np.ndarray:
    """A document's hidden states without padding; an empty document's are one state of zeros."""
    return hidden[:length] if length else np.zeros((1, hidden.shape[1]))


def attention(states: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Weights of the tokens of one document for one label."""
    powers = np.exp(states @ query - (states @ query).max())
    return powers / powers.sum()


def score(states: np.ndarray, query: np.ndarray, head: Any) -> float:
    """The logit of one label."""
    z = attention(states, query) @ states
    for kernel, bias in zip(head.kernels, head.biases, strict=True):
        z = np.maximum(z @ kernel + bias, 0)
    return float(z @ head.output + head.output_bias)


def scores(hidden: np.ndarray, queries: np.ndarray, lengths: np.ndarray, head: Any) -> np.ndarray:
    """Logits [B, L]."""
    documents = [real_states(h, n) for h, n in zip(hidden, lengths, strict=True)]
    return np.array([[score(states, query, head) for query in queries] for states in documents])


def averages(hidden: np.ndarray, queries: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """m [B, L, D]."""
    documents = [real_states(h, n) for h, n in zip(hidden, lengths, strict=True)]
    return np.array([[attention(x, query) @ x for query in queries] for x in documents])
