"""Explanations made by hand, for tests of what shows them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from axml_jax.data.text import tokens_with_places
from axml_jax.explain import Attention, Explanation


def explained(
    text: str,
    labels: Sequence[tuple[str, float, bool, bool | None]],
    *,
    unknown: Sequence[str] = (),
    max_tokens: int = 1000,
) -> Explanation:
    """A document of labels (name, probability, is predicted, is true).

    The first label attends to the first word with 0.9, the second to the second word, and so on;
    the other words share the rest.

    Args:
      text: Of at least two words.
      labels: At least one.
      unknown: Words that are not in the vocabulary.
      max_tokens: Words that are read.
    """
    tokens = tokens_with_places(text)
    read = min(len(tokens), max_tokens)
    found = []
    for place, (name, probability, is_predicted, is_true) in enumerate(labels):
        weights = np.full(read, 0.1 / (read - 1), np.float32)
        weights[place % read] = 0.9
        logit = float(np.log(probability / (1 - probability)))
        found.append(Attention(name, None, probability, logit, is_predicted, is_true, weights))
    return Explanation(text, tokens, [token.word not in unknown for token in tokens], read, found)
