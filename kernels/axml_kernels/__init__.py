"""Exact multi-label attention in bounded memory, for any JAX code base.

Knows nothing of text, data sets, Flax or training: arrays in, arrays out.
"""

from axml_kernels.api import (
    label_attention,
    label_attention_weights,
    label_scores,
    label_top_k,
)
from axml_kernels.head import Head

__all__ = [
    "Head",
    "label_attention",
    "label_attention_weights",
    "label_scores",
    "label_top_k",
]
