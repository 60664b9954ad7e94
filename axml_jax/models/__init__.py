"""Flax modules, each usable alone: the parts, AttentionXML, and its rivals XML-RNN and XML-CNN."""

from axml_jax.models.attention_xml import AttentionXML
from axml_jax.models.bilstm import BiLSTM
from axml_jax.models.bilstm_parameters import BiLSTMParameters
from axml_jax.models.dropout import document_dropout
from axml_jax.models.embedding import WordRepresentation, uniform_vectors
from axml_jax.models.label_attention import LabelAttention
from axml_jax.models.label_output import LabelOutput
from axml_jax.models.text_model import TextModel
from axml_jax.models.xml_cnn import XMLCNN
from axml_jax.models.xml_rnn import XMLRNN

__all__ = [
    "XMLCNN",
    "XMLRNN",
    "AttentionXML",
    "BiLSTM",
    "BiLSTMParameters",
    "LabelAttention",
    "LabelOutput",
    "TextModel",
    "WordRepresentation",
    "document_dropout",
    "uniform_vectors",
]
