"""XML-RNN: AttentionXML without its attention.  Knows nothing of training or files."""

from __future__ import annotations

from typing import Self

import jax.numpy as jnp
from flax import linen as nn
from flax.typing import PrecisionLike
from jax.nn import initializers
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from axml_jax.models.bilstm import BiLSTM
from axml_jax.models.dropout import document_dropout
from axml_jax.models.embedding import WordRepresentation, uniform_vectors
from axml_jax.models.label_output import LabelOutput
from axml_jax.models.text_model import DocumentKeys, TextModel

# Places that draw dropout masks; a number once given stays, or seeds would mean other masks.
_SITE_STATE = 0
_SITE_WORDS = 1


class XMLRNN(TextModel):
    """Word vectors, BiLSTM, max pooling over the words, fully connected layers, one output a label.

    The ablation of AttentionXML's paper: "the same settings as AttentionXML (with a max pooling
    instead of attention mechanism)", eqs. (1) to (3), then for m_d = max over t of h_t,d:
    logit_l = w_l . f(K2 f(K1 m + b1) + b2) + c_l, f = ReLU, with one or two layers.

    Dropout is on m, not on each h_t as in AttentionXML: a maximum seeks out those states that
    dropout kept and scaled up, so that prediction, where none are, would see other sizes.

    Attributes:
      num_words, width, num_labels: As in `TextModel`.
      hidden: H, LSTM units of each direction.
      fully_connected: Widths of the shared layers.
      dropout: Rate on the pooled state.
      embedding_dropout: Rate on the word vectors.
      recurrence: Implementation of eqs. (2) and (3), "scan", "cudnn"; None chooses.
      precision: Of all matrix products, as in `jax.lax.dot_general`.
      trainable_words: Whether word vectors are trained; else they lie in "constants", not "params".
      initial_output_bias: Initial bias of every label, in log-odds.
      vectors_init: Initial word vectors [V, E].
      dtype: Type of word vectors, hidden states and products; None is float32.
    """

    hidden: int = 256
    fully_connected: tuple[int, ...] = (256,)
    dropout: float = 0.5
    embedding_dropout: float = 0.0
    recurrence: str | None = None
    precision: PrecisionLike = None
    trainable_words: bool = True
    initial_output_bias: float = 0.0
    vectors_init: Initializer = uniform_vectors()
    dtype: DTypeLike | None = None

    def setup(self) -> None:
        self.words = WordRepresentation(
            self.num_words, self.width, self.trainable_words, self.vectors_init, self.dtype
        )
        self.encoder = BiLSTM(self.hidden, self.recurrence, self.precision)
        self.layers = [
            nn.Dense(
                units,
                dtype=self.dtype,
                precision=self.precision,
                kernel_init=initializers.xavier_uniform(),
            )
            for units in self.fully_connected
        ]
        self.labels = LabelOutput(self.num_labels, self.precision, self.initial_output_bias)

    def encode(
        self,
        token_ids: Int[Array, "B T"],
        lengths: Int[Array, " B"],
        *,
        document_keys: DocumentKeys | None = None,
    ) -> Float[Array, "B F"]:
        """The last shared layer of each document; see `TextModel.__call__` for the arguments."""
        words = self.words(token_ids)
        if document_keys is not None:
            words = document_dropout(words, document_keys, _SITE_WORDS, self.embedding_dropout)
        hidden = self.encoder(words, lengths)
        # Where there is no token, the first state is zero, as all beyond a document's length are.
        real = jnp.arange(hidden.shape[1])[None, :] < jnp.maximum(lengths, 1)[:, None]
        z = jnp.where(real[:, :, None], hidden, -jnp.inf).max(axis=1)
        if document_keys is not None:
            z = document_dropout(z[:, None], document_keys, _SITE_STATE, self.dropout)[:, 0]
        for layer in self.layers:
            z = nn.relu(layer(z))
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

    def portable(self) -> Self:
        """The same model, its recurrence by XLA."""
        return self.clone(recurrence="scan")
