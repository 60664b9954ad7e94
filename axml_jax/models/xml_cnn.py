"""XML-CNN: word convolutions, pooled in chunks.  Knows nothing of training or files.

Jingzhou Liu, Wei-Cheng Chang, Yuexin Wu, Yiming Yang. Deep Learning for Extreme Multi-label Text
Classification. SIGIR 2017.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import PrecisionLike
from jax.nn import initializers
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from axml_jax.models.dropout import document_dropout
from axml_jax.models.embedding import WordRepresentation, uniform_vectors
from axml_jax.models.label_output import LabelOutput
from axml_jax.models.text_model import DocumentKeys, TextModel

# Places that draw dropout masks; a number once given stays, or seeds would mean other masks.
_SITE_BOTTLENECK = 0
_SITE_WORDS = 1


def chunk_maxima(
    features: Float[Array, "B T C"], lengths: Int[Array, " B"], chunks: int
) -> Float[Array, "B P C"]:
    """Dynamic max pooling (Liu et al., section 3.1): each document's own words in p equal parts.

    Word t of m falls into chunk floor(t p / m).  A document of fewer words than chunks leaves some
    empty; they hold -inf, which ReLU makes 0: nothing was found there.

    Args:
      features: [B, T, C] a feature map per filter; what lies beyond a length is not read.
      lengths: [B] int32.
      chunks: p.

    Returns:
      [B, p, C] the largest value of each chunk.
    """
    places = jnp.arange(features.shape[1], dtype=jnp.int32)[None, :]
    chunk = jnp.where(
        places < lengths[:, None], places * chunks // jnp.maximum(lengths, 1)[:, None], chunks
    )
    maxima = [
        jnp.where((chunk == number)[:, :, None], features, -jnp.inf).max(axis=1)
        for number in range(chunks)
    ]
    return jnp.stack(maxima, axis=1)


class XMLCNN(TextModel):
    """Word vectors, convolutions of several widths, dynamic max pooling, bottleneck, outputs.

    Of Liu et al., as their section 4 has it for small data sets: windows of 2, 4 and 8 words, 128
    filters of each (32 on Wiki-500K and Amazon-670K), ReLU, a bottleneck of 512 units, dropout 0.5,
    sigmoid outputs with binary cross-entropy; zeros behind a document's end, so that m words give m
    features.  They leave open the number p of chunks, where dropout stands and how weights start:
    here 8, on the bottleneck, and Xavier-uniform with biases of 0.

    Attributes:
      num_words, width, num_labels: As in `TextModel`.
      filter_widths: Words that a filter sees.
      filters: C, filters of each width.
      chunks: p, parts of a document that are pooled by themselves.
      bottleneck: F, units of the layer before the outputs.
      dropout: Rate on the bottleneck.
      embedding_dropout: Rate on the word vectors.
      precision: Of convolutions and matrix products, as in `jax.lax.dot_general`.
      trainable_words: Whether word vectors are trained; else they lie in "constants", not "params".
      initial_output_bias: Initial bias of every label, in log-odds.
      vectors_init: Initial word vectors [V, E].
      dtype: Type of word vectors, convolutions and products; None is float32.
    """

    filter_widths: tuple[int, ...] = (2, 4, 8)
    filters: int = 128
    chunks: int = 8
    bottleneck: int = 512
    dropout: float = 0.5
    embedding_dropout: float = 0.0
    precision: PrecisionLike = None
    trainable_words: bool = True
    initial_output_bias: float = 0.0
    vectors_init: Initializer = uniform_vectors()
    dtype: DTypeLike | None = None

    def setup(self) -> None:
        xavier = initializers.xavier_uniform()
        self.words = WordRepresentation(
            self.num_words, self.width, self.trainable_words, self.vectors_init, self.dtype
        )
        self.convolutions = [
            nn.Conv(
                self.filters,
                (width,),
                padding=[(0, width - 1)],
                dtype=self.dtype,
                precision=self.precision,
                kernel_init=xavier,
            )
            for width in self.filter_widths
        ]
        self.layer = nn.Dense(
            self.bottleneck, dtype=self.dtype, precision=self.precision, kernel_init=xavier
        )
        self.labels = LabelOutput(self.num_labels, self.precision, self.initial_output_bias)

    def encode(
        self,
        token_ids: Int[Array, "B T"],
        lengths: Int[Array, " B"],
        *,
        document_keys: DocumentKeys | None = None,
    ) -> Float[Array, "B F"]:
        """The bottleneck of each document; see `TextModel.__call__` for the arguments."""
        words = self.words(token_ids)
        if document_keys is not None:
            words = document_dropout(words, document_keys, _SITE_WORDS, self.embedding_dropout)
        real = jnp.arange(words.shape[1])[None, :] < lengths[:, None]
        words = jnp.where(real[:, :, None], words, 0)
        # ReLU after the maxima is ReLU before them, of fewer numbers.
        pooled = jnp.concatenate(
            [
                nn.relu(chunk_maxima(convolution(words), lengths, self.chunks))
                for convolution in self.convolutions
            ],
            axis=2,
        )
        z = nn.relu(self.layer(pooled.reshape(len(pooled), -1)))
        if document_keys is not None:
            z = document_dropout(z[:, None], document_keys, _SITE_BOTTLENECK, self.dropout)[:, 0]
        return z

    def scores(
        self, encoded: Float[Array, "B F"], lengths: Int[Array, " B"]
    ) -> Float[Array, "B L"]:
        """Logits of all labels, float32."""
        del lengths
        return self.labels(encoded)

    def best(
        self, encoded: Float[Array, "B F"], lengths: Int[Array, " B"], k: int
    ) -> tuple[Float[Array, "B K"], Int[Array, "B K"]]:
        """The k best labels; see `TextModel.best`."""
        del lengths
        return self.labels.top_k(encoded, k)
