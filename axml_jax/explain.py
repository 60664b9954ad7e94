"""Which words a model attends to for which label: Figure 2 of the paper, as data.

Knows nothing of pages or pictures: `axml_jax.explain_page` and `axml_jax.explain_picture` show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Float32, Int
from scipy.special import expit

from axml_jax.data.batches import pad_documents
from axml_jax.data.text import Token, tokens_with_places
from axml_jax.data.titles import shown_label
from axml_jax.errors import ConfigError, InputError
from axml_jax.model import DEFAULT_TOP_K, Model
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.predict import predict_buckets

MOST_MISSED = 20
_BATCH = 16


class Attention(NamedTuple):
    """A label of a document and what it attends to.

    Attributes:
      label: The label's name.
      title: What people call it; None where the data came without titles.
      probability: sigmoid(logit), y_hat of eq. (5).
      logit: The log-odds.
      is_predicted: Whether it is among the best `top_k` labels.
      is_true: Whether it is a true label; None where these are not known.
      weights: float32 [R], alpha of eq. (4) of each token that was read; they sum to one.
    """

    label: str
    title: str | None
    probability: float
    logit: float
    is_predicted: bool
    is_true: bool | None
    weights: Float32[np.ndarray, " R"]

    @property
    def shown(self) -> str:
        """The label as people see it."""
        return shown_label(self.label, self.title)


class Explanation(NamedTuple):
    """A document and its labels.

    Attributes:
      text: As it was given.
      tokens: All its words with their places in the text.
      is_known: Of each token, whether the vocabulary has it; all others are one unknown word.
      num_read: R: the model reads the first so many tokens only.
      labels: The predicted labels, best first, then true ones that were missed, likewise.
      unknown_labels: True labels that the model does not know.
      num_left_out: Missed labels beyond the MOST_MISSED most probable, which are left out.
    """

    text: str
    tokens: list[Token]
    is_known: list[bool]
    num_read: int
    labels: list[Attention]
    unknown_labels: tuple[str, ...] = ()
    num_left_out: int = 0


def explain(
    model: Model,
    texts: Iterable[str],
    labels: Iterable[Iterable[str]] | None = None,
    top_k: int | None = None,
) -> Iterator[Explanation]:
    """Explains texts one by one, in input order.

    The attention of the chosen labels alone is computed, whatever the number of labels.

    Args:
      model: What `fit` or `load` gave.
      texts: Texts of at least one word each; read ahead by a few, never as a whole.
      labels: The true label names of each text, if they are known.
      top_k: Labels predicted of each text; None for five, or for all where there are fewer.

    Returns:
      An Explanation a text.

    Raises:
      ConfigError: The model has no attention, or fewer labels than `top_k`.
      InputError: A text without words, or texts and labels of different numbers.
      ValueError: A single string for texts or for a list of labels.
    """
    if not isinstance(model.module, AttentionXML):
        raise ConfigError(
            f"the model of this run, {model.config.model.name}, has no attention that could be "
            "shown; choose a run of config.model.name=attention_xml."
        )
    if isinstance(texts, str):
        raise ValueError("texts must be an iterable of strings; a single string came.")
    # The generator begins after the checks: they speak now, not at the first answer.
    if top_k is None:
        top_k = min(DEFAULT_TOP_K, len(model.label_names))
    if not 1 <= top_k <= len(model.label_names):
        raise ConfigError(
            f"top_k is {top_k}; this model has {len(model.label_names)} labels, so it must be "
            f"from 1 to {len(model.label_names)}."
        )
    return _explanations(model, texts, labels, top_k)


def _explanations(
    model: Model, texts: Iterable[str], labels: Iterable[Iterable[str]] | None, top_k: int
) -> Iterator[Explanation]:
    chosen = _ChosenLabels(model)
    ids = {name: i for i, name in enumerate(model.label_names)}
    pairs = enumerate(_paired(texts, labels), start=1)
    while window := list(islice(pairs, _BATCH)):
        tokens = [_tokens(text, number) for number, (text, _) in window]
        documents = [model.encode(text) for _, (text, _) in window]
        best = [label_ids.tolist() for _, label_ids in model.predict_ids(documents, top_k)]
        missed = [
            [ids[name] for name in names or () if name in ids and ids[name] not in row]
            for (_, (_, names)), row in zip(window, best, strict=True)
        ]
        wanted = [
            row + _most_probable(chosen, document, more)
            for row, document, more in zip(best, documents, missed, strict=True)
        ]
        for place, (logits, weights) in enumerate(chosen(documents, wanted)):
            text, names = window[place][1]
            order = [*range(top_k), *(top_k + np.argsort(-logits[top_k:], kind="stable"))]
            found = []
            for i in order:
                label_id = wanted[place][i]
                name = model.label_names[label_id]
                found.append(
                    Attention(
                        name,
                        model.label_titles[label_id],
                        float(expit(np.float64(logits[i]))),
                        float(logits[i]),
                        i < top_k,
                        None if names is None else name in names,
                        weights[i],
                    )
                )
            yield Explanation(
                text,
                tokens[place],
                [token.word in model.vocabulary for token in tokens[place]],
                len(documents[place]),
                found,
                tuple(name for name in names or () if name not in ids),
                max(len(missed[place]) - MOST_MISSED, 0),
            )


def _paired(
    texts: Iterable[str], labels: Iterable[Iterable[str]] | None
) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    if labels is None:
        yield from ((text, None) for text in texts)
        return
    try:
        for text, names in zip(texts, labels, strict=True):
            if isinstance(names, str):
                raise ValueError(f"labels must be a list of names a text; {names!r:.60} came.")
            yield text, tuple(dict.fromkeys(names))
    except ValueError as error:
        if "zip()" not in str(error):
            raise
        raise InputError(f"texts and labels are not equally many ({error}).") from error


def _tokens(text: str, number: int) -> list[Token]:
    tokens = tokens_with_places(text)
    if not tokens:
        raise InputError(f"text {number} has no word, {text!r:.60}: there is nothing to explain.")
    return tokens


def _most_probable(
    chosen: _ChosenLabels, document: np.ndarray, label_ids: Sequence[int]
) -> list[int]:
    """Those of a document's labels that are shown: all, or the MOST_MISSED of highest logits."""
    if len(label_ids) <= MOST_MISSED:
        return list(label_ids)
    logits = [
        next(iter(chosen([document], [label_ids[begin : begin + MOST_MISSED]])))[0]
        for begin in range(0, len(label_ids), MOST_MISSED)
    ]
    order = np.argsort(-np.concatenate(logits), kind="stable")[:MOST_MISSED]
    return [label_ids[place] for place in order]


class _ChosenLabels:
    """Logits and attention of a few labels, of which alone the queries go to the device.

    Args:
      model: What `fit` or `load` gave.
    """

    def __init__(self, model: Model) -> None:
        params = dict(model.variables["params"])
        labels = dict(params["labels"])
        self._queries = labels.pop("queries")
        others = {**model.variables, "params": {**params, "labels": labels}}
        # The queries may lie in parts, on the host or on several devices; the rest need not.
        self._others = jax.device_put(others, jax.local_devices()[0])
        self._buckets = predict_buckets(model.max_tokens)
        assert isinstance(model.module, AttentionXML)  # `explain` has seen to it
        self._module = model.module
        self._compiled = jax.jit(self._run)

    def __call__(
        self, documents: Sequence[np.ndarray], wanted: Sequence[Sequence[int]]
    ) -> Iterator[tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K R"]]]:
        """Yields logits [K] and attention [K, R] of each document's wanted labels.

        Args:
          documents: Token ids, at most _BATCH documents.
          wanted: Label ids of each document, at least one.
        """
        # Few widths, each of them compiled once.
        width = -(-max(map(len, wanted)) // 8) * 8
        label_ids = np.zeros((_BATCH, width), np.int32)
        for row, ids in zip(label_ids, wanted, strict=False):
            row[: len(ids)] = ids
        token_ids, lengths = pad_documents(documents, _BATCH, self._buckets)
        queries = np.asarray(self._queries[label_ids.ravel()])
        found = self._compiled(self._others, queries, token_ids, lengths)
        logits, weights = map(np.asarray, found)
        for place, ids in enumerate(wanted):
            yield logits[place, : len(ids)], weights[place, : len(ids), : lengths[place]]

    def _run(
        self,
        others: Any,
        queries: Float[Array, "BK D"],
        token_ids: Int[Array, "B T"],
        lengths: Int[Array, " B"],
    ) -> tuple[Float[Array, "B K"], Float[Array, "B K T"]]:
        places = jnp.arange(len(queries)).reshape(len(token_ids), -1)

        def chosen(module: AttentionXML) -> tuple[Array, Array]:
            hidden = module.encode(token_ids, lengths)
            # Each document is scored for the labels of all: few, and so the code is one.
            logits = jnp.take_along_axis(module.labels(hidden, lengths), places, axis=1)
            return logits, module.labels.attention_weights(hidden, lengths, places)

        params = others["params"]
        params = {**params, "labels": {**params["labels"], "queries": queries}}
        few = self._module.clone(num_labels=len(queries))
        found: Any = few.apply({**others, "params": params}, method=chosen)
        return found
