"""Flax modules, each usable alone: words, encoder, label attention, and all three: AttentionXML."""

from axml_jax.models.attention_xml import AttentionXML
from axml_jax.models.bilstm import BiLSTM
from axml_jax.models.bilstm_parameters import BiLSTMParameters
from axml_jax.models.dropout import document_dropout
from axml_jax.models.embedding import WordRepresentation, uniform_vectors
from axml_jax.models.label_attention import LabelAttention

__all__ = [
    "AttentionXML",
    "BiLSTM",
    "BiLSTMParameters",
    "LabelAttention",
    "WordRepresentation",
    "document_dropout",
    "uniform_vectors",
]
