"""Exact multi-label attention in bounded memory, for any JAX code base.

Knows nothing of text, data sets, Flax or training: arrays in, arrays out. Needs jax, numpy and jaxtyping.
"""

from axml_kernels.api import (
    Head,
    label_attention,
    label_attention_weights,
    label_scores,
    label_top_k,
)

__all__ = [
    "Head",
    "label_attention",
    "label_attention_weights",
    "label_scores",
    "label_top_k",
]
