"""What training, layouts and prediction ask of a model, whichever it is.  Knows none of them."""

from __future__ import annotations

import abc
from typing import Self

from flax import linen as nn
from jaxtyping import Array, Float, Int, Key, UInt32

from axml_jax import losses
from axml_jax.errors import ConfigError

DocumentKeys = Key[Array, " B"] | UInt32[Array, "B 2"]


class TextModel(nn.Module, abc.ABC):
    """Words to label logits in two halves: `encode`, and `scores` or `best` of what it gives.

    Between the halves stands all that labels are scored by: [B, ...], a row a document.  A layout
    may encode on one device and score on others, each for its own labels.  The word table is
    `params["words"]["vectors"]` (or in "constants"), all that belongs to labels lies in
    `params["labels"]`, and whatever there has a row per label is named in `PER_LABEL`.  A field
    `initial_output_bias` says with which log-odds labels start.

    Attributes:
      num_words: V, words of the vocabulary with padding (id 0).
      width: E, width of the word vectors.
      num_labels: L.
    """

    num_words: int
    width: int
    num_labels: int

    def __call__(
        self,
        token_ids: Int[Array, "B T"],
        lengths: Int[Array, " B"],
        *,
        document_keys: DocumentKeys | None = None,
    ) -> Float[Array, "B L"]:
        """Logits of all labels: the log-odds of their probabilities.

        Args:
          token_ids: [B, T] int32; what lies beyond a document's length is not read.
          lengths: [B] int32, 0 to T; a document without tokens counts as one zero state.
          document_keys: One random key per document, typed [B] or raw [B, 2], for dropout as in
            training; None for no dropout.

        Returns:
          [B, L] float32.
        """
        encoded = self.encode(token_ids, lengths, document_keys=document_keys)
        return self.scores(encoded, lengths)

    def top_k(
        self, token_ids: Int[Array, "B T"], lengths: Int[Array, " B"], k: int
    ) -> tuple[Float[Array, "B K"], Int[Array, "B K"]]:
        """The k best labels of each document, best first, equal logits by the lower label id.

        Args:
          token_ids: [B, T] int32.
          lengths: [B] int32.
          k: Labels wanted, 1 to L.

        Returns:
          Logits [B, k] float32 and label ids [B, k] int32.
        """
        return self.best(self.encode(token_ids, lengths), lengths, k)

    @abc.abstractmethod
    def encode(
        self,
        token_ids: Int[Array, "B T"],
        lengths: Int[Array, " B"],
        *,
        document_keys: DocumentKeys | None = None,
    ) -> Float[Array, "B ..."]:
        """All that labels are scored by, with dropout if keys are given; see `__call__`."""

    @abc.abstractmethod
    def scores(
        self, encoded: Float[Array, "B ..."], lengths: Int[Array, " B"]
    ) -> Float[Array, "B L"]:
        """Logits of all labels, float32, from what `encode` gives."""

    def loss(
        self,
        encoded: Float[Array, "B ..."],
        lengths: Int[Array, " B"],
        label_ids: Int[Array, "B P"],
        weights: Float[Array, " B"] | None = None,
        *,
        first_label: Int[Array, ""] | int = 0,
        num_labels: int | None = None,
    ) -> Float[Array, ""]:
        """Eq. (6) from what `encode` gives; arguments and result as of `losses`' cross entropy.

        Here by way of all scores; a model that knows a shorter one to the gradient goes that.
        """
        return losses.binary_cross_entropy(
            self.scores(encoded, lengths),
            label_ids,
            weights,
            first_label=first_label,
            num_labels=num_labels,
        )

    @abc.abstractmethod
    def best(
        self, encoded: Float[Array, "B ..."], lengths: Int[Array, " B"], k: int
    ) -> tuple[Float[Array, "B K"], Int[Array, "B K"]]:
        """As `top_k`, from what `encode` gives; the logits of all labels never exist at once."""

    def portable(self) -> Self:
        """The same model, computed by what runs on any device."""
        return self

    def attention_weights(
        self,
        token_ids: Int[Array, "B T"],
        lengths: Int[Array, " B"],
        label_ids: Int[Array, "B K"],
    ) -> Float[Array, "B K T"]:
        """How much each token counts for chosen labels, where a model has such weights.

        Raises:
          ConfigError: It has none.
        """
        del token_ids, lengths, label_ids
        raise ConfigError(
            f"{type(self).__name__} has no attention weights: it makes one vector of a document "
            "for all labels. Only a run of config.model.name=attention_xml has them."
        )


PER_LABEL = ("queries", "label_weights", "label_biases")
"""Names of the parameters that have one row per label."""
