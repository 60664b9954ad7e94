"""AttentionXML: words to label logits, eqs. (1) to (5).  Knows nothing of training or files."""

from __future__ import annotations

from typing import Self

from jax import lax
from jax.nn import initializers
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from axml_jax.losses import document_shares
from axml_jax.models.bilstm import BiLSTM
from axml_jax.models.dropout import document_dropout
from axml_jax.models.embedding import WordRepresentation, uniform_vectors
from axml_jax.models.label_attention import LabelAttention
from axml_jax.models.text_model import DocumentKeys, TextModel

# Places that draw dropout masks; a number once given stays, or seeds would mean other masks.
_SITE_ENCODER = 0
_SITE_WORDS = 1


class AttentionXML(TextModel):
    """The whole model: word vectors, BiLSTM, multi-label attention, shared fully connected layers.

    The paper's two settings: `hidden=256, fully_connected=(256,)` (RCV1, EUR-Lex, Wiki10-31K) and
    `hidden=512, fully_connected=(512, 256)` (WikiLSHTC, AmazonCat-13K), both with 300-dimensional
    words and dropout 0.5.

    Attributes:
      num_words, width, num_labels: As in `TextModel`.
      hidden: H, LSTM units of each direction; hidden states have width D = 2H.
      fully_connected: Widths of the one or two shared layers.
      dropout: Rate between encoder and attention.
      embedding_dropout: Rate on the word vectors.
      attention: Implementation of eqs. (4) and (5), "reference", "chunked", "pallas"; None chooses.
      recurrence: Implementation of eqs. (2) and (3), "scan", "cudnn"; None chooses.
      precision: Of all matrix products, as in `jax.lax.dot_general`.
      trainable_words: Whether word vectors are trained; else they lie in "constants", not "params".
      initial_output_bias: Initial output bias in log-odds.
      vectors_init: Initial word vectors [V, E].
      queries_init: Initial label queries [L, D].
      dtype: Type of word vectors, hidden states and the encoder's products; None is float32.
    """

    hidden: int = 256
    fully_connected: tuple[int, ...] = (256,)
    dropout: float = 0.5
    embedding_dropout: float = 0.0
    attention: str | None = None
    recurrence: str | None = None
    precision: lax.PrecisionLike = None
    trainable_words: bool = True
    initial_output_bias: float = 0.0
    vectors_init: Initializer = uniform_vectors()
    queries_init: Initializer = initializers.xavier_uniform()
    dtype: DTypeLike | None = None

    def setup(self) -> None:
        self.words = WordRepresentation(
            self.num_words, self.width, self.trainable_words, self.vectors_init, self.dtype
        )
        self.encoder = BiLSTM(self.hidden, self.recurrence, self.precision)
        self.labels = LabelAttention(
            self.num_labels,
            2 * self.hidden,
            self.fully_connected,
            self.attention,
            self.precision,
            self.initial_output_bias,
            self.queries_init,
        )

    def encode(
        self,
        token_ids: Int[Array, "B T"],
        lengths: Int[Array, " B"],
        *,
        document_keys: DocumentKeys | None = None,
    ) -> Float[Array, "B T D"]:
        """Hidden states, eqs. (1) to (3), with dropout if keys are given; see `TextModel.__call__`.

        Returns:
          [B, T, 2H], zero beyond a document's length.
        """
        words = self.words(token_ids)
        if document_keys is not None:
            words = document_dropout(words, document_keys, _SITE_WORDS, self.embedding_dropout)
        hidden = self.encoder(words, lengths)
        if document_keys is not None:
            hidden = document_dropout(hidden, document_keys, _SITE_ENCODER, self.dropout)
        return hidden

    def scores(
        self, encoded: Float[Array, "B T D"], lengths: Int[Array, " B"]
    ) -> Float[Array, "B L"]:
        """Logits of all labels, eqs. (4) and (5): the log-odds of y_hat, float32."""
        return self.labels(encoded, lengths)

    def loss(
        self,
        encoded: Float[Array, "B T D"],
        lengths: Int[Array, " B"],
        label_ids: Int[Array, "B P"],
        weights: Float[Array, " B"] | None = None,
        *,
        first_label: Int[Array, ""] | int = 0,
        num_labels: int | None = None,
    ) -> Float[Array, ""]:
        """Eq. (6) with eqs. (4) and (5), gradients on the same way; see `TextModel.loss`."""
        labels = self.num_labels if num_labels is None else num_labels
        shares = document_shares(weights, len(lengths), labels)
        return self.labels.cross_entropy(encoded, lengths, label_ids, shares, first_label, labels)

    def best(
        self, encoded: Float[Array, "B T D"], lengths: Int[Array, " B"], k: int
    ) -> tuple[Float[Array, "B K"], Int[Array, "B K"]]:
        """The k best labels; see `TextModel.best`."""
        return self.labels.top_k(encoded, lengths, k)

    def portable(self) -> Self:
        """The same model by XLA, in blocks of labels."""
        return self.clone(attention="chunked", recurrence="scan")

    def attention_weights(
        self,
        token_ids: Int[Array, "B T"],
        lengths: Int[Array, " B"],
        label_ids: Int[Array, "B K"],
    ) -> Float[Array, "B K T"]:
        """How much each token counts for chosen labels: alpha of eq. (4).

        Args:
          token_ids: [B, T] int32.
          lengths: [B] int32.
          label_ids: [B, K] int32, chosen labels of each document.

        Returns:
          [B, K, T].
        """
        return self.labels.attention_weights(self.encode(token_ids, lengths), lengths, label_ids)
