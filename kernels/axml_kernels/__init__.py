"""Exact multi-label attention in bounded memory, for any JAX code base.

Knows nothing of text, data sets, Flax or training: arrays in, arrays out.
"""

from axml_kernels.api import (
    label_attention,
    label_attention_weights,
    label_cross_entropy,
    label_scores,
    label_top_k,
)
from axml_kernels.head import Head
from axml_kernels.target import compiling_for, interpreted

__all__ = [
    "Head",
    "compiling_for",
    "interpreted",
    "label_attention",
    "label_attention_weights",
    "label_cross_entropy",
    "label_scores",
    "label_top_k",
]
