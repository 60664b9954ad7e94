"""The best labels of documents, or the logits of all, in bounded memory.

Ranking is on logits, never on probabilities, which saturate.  Knows nothing about files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import jax
import numpy as np

from axml_jax.data.batches import pad_documents
from axml_jax.errors import InputError
from axml_jax.layout import ByDocuments, Layout
from axml_jax.models.text_model import TextModel

# Documents sorted by length together: enough to fill batches of like lengths, few enough
# that the first answers of a stream do not wait long.
_WINDOW_BATCHES = 32
# Batches that the host may run ahead of the device: whoever ends between two waits for them.
_AHEAD = 4
# Logits of all labels that a batch may have on its devices: 32 MB.
_ALL_LOGITS = 1 << 23


def predict_buckets(max_tokens: int) -> tuple[int, ...]:
    """Padded lengths for documents of unknown lengths: a quarter, a half and all of the most."""
    return tuple(sorted({max(1, -(-max_tokens // part)) for part in (4, 2, 1)}))


class Predictor:
    """Runs a model over any number of documents.

    Args:
      model: The module.
      variables: {"params": ..., and "constants" where word vectors are frozen}.
      max_tokens: Tokens read of a document.
      batch_size: Documents at a time over all devices; rounded up to a multiple of them.
      devices: The devices to use; all local ones by default.
      layout: How work is dealt to them; `ByDocuments` by default.
      between: Called before each batch; what it raises ends the prediction.
    """

    def __init__(
        self,
        model: TextModel,
        variables: Any,
        *,
        max_tokens: int,
        batch_size: int = 64,
        devices: Sequence[Any] | None = None,
        layout: Layout | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._model = model
        self._devices = list(devices or jax.local_devices())
        self._layout = layout or ByDocuments()
        self._between = between
        self.variables = variables
        self._batch_size = -(-batch_size // len(self._devices)) * len(self._devices)
        self._buckets = predict_buckets(max_tokens)
        self._compiled: dict[int | None, Callable[..., Any]] = {}

    @property
    def variables(self) -> Any:
        """The variables of the moment; others may be set."""
        return self._variables

    @variables.setter
    def variables(self, variables: Any) -> None:
        self._variables = self._layout.placed(variables, self._devices)

    def top_k(
        self, documents: Iterable[np.ndarray], k: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (logits float32 [K], label ids int32 [K]) of each document, best first.

        Args:
          documents: int32 token ids, one array of at least one token a document; read
            ahead by a window of batches, never as a whole.
          k: Labels wanted; at most L.
        """
        stream = iter(documents)
        while window := list(islice(stream, _WINDOW_BATCHES * self._batch_size)):
            yield from zip(*self._window(window, k), strict=True)

    def top_k_arrays(
        self, documents: Iterable[np.ndarray], k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Like `top_k`, all at once: logits float32 [N, K] and label ids int32 [N, K]."""
        rows = list(self.top_k(documents, k))
        if not rows:
            return np.empty((0, k), np.float32), np.empty((0, k), np.int32)
        logits, label_ids = zip(*rows, strict=True)
        return np.stack(logits), np.stack(label_ids)

    def all_logits(
        self, documents: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields some documents' (places int64 [n], logits float32 [n, L]) at a time, unranked.

        Each document has its turn once, documents of like lengths together.  Beside what encodes
        documents, memory is that of two batches' logits, a batch of no more documents than 32 MB
        have room for (or one a device).

        Args:
          documents: As for `top_k`.
        """
        devices = len(self._devices)
        most = max(1, _ALL_LOGITS // self._model.num_labels // devices) * devices
        run = self._step(None)
        before: tuple[np.ndarray, Any] | None = None
        for places, dealt in self._batches(documents, min(self._batch_size, most)):
            found = run(self.variables, dealt)
            if before is not None:
                yield self._fetched(*before)
            before = places, found
        if before is not None:
            yield self._fetched(*before)

    def _fetched(self, places: np.ndarray, found: Any) -> tuple[np.ndarray, np.ndarray]:
        logits = np.asarray(found).reshape(-1, found.shape[-1])
        logits = logits[: len(places), : self._model.num_labels]
        _require_finite(logits)
        return places, logits

    def _window(self, documents: list[np.ndarray], k: int) -> tuple[np.ndarray, np.ndarray]:
        logits = np.empty((len(documents), k), np.float32)
        label_ids = np.empty((len(documents), k), np.int32)
        run = self._step(k)
        pending: deque[tuple[np.ndarray, Any]] = deque()

        def take() -> None:
            places, (some_logits, some_ids) = pending.popleft()
            logits[places] = np.asarray(some_logits).reshape(-1, k)[: len(places)]
            label_ids[places] = np.asarray(some_ids).reshape(-1, k)[: len(places)]

        for places, dealt in self._batches(documents, self._batch_size):
            pending.append((places, run(self.variables, dealt)))
            if len(pending) > _AHEAD:
                take()
        while pending:
            take()
        _require_finite(logits)
        return logits, label_ids

    def _batches(
        self, documents: Sequence[np.ndarray], size: int
    ) -> Iterator[tuple[np.ndarray, Any]]:
        """The places of some documents and what the compiled functions read, by length."""
        order = np.argsort([len(document) for document in documents], kind="stable")
        rows = min(size, self._rows(len(documents)))
        for first in range(0, len(order), size):
            self._between()
            places = order[first : first + size]
            padded = pad_documents([documents[place] for place in places], rows, self._buckets)
            yield places, self._layout.dealt(padded, self._devices)

    def _rows(self, documents: int) -> int:
        """Rows of a batch: fewer than batch_size for a handful of documents."""
        devices = len(self._devices)
        few = devices * 2 ** int(np.ceil(np.log2(max(documents / devices, 1))))
        return min(self._batch_size, few)

    def _step(self, k: int | None) -> Callable[..., Any]:
        """What is compiled for the best k labels, or for all logits."""
        if k not in self._compiled:
            self._compiled[k] = (
                self._layout.compiled_logits(self._model, self._devices)
                if k is None
                else self._layout.compiled_top_k(self._model, k, self._devices)
            )
        return self._compiled[k]


def _require_finite(logits: np.ndarray) -> None:
    if not np.isfinite(logits).all():
        raise InputError(
            "the model's scores are not finite: its weights are not, so training has "
            "diverged. Train anew with a lower config.train.learning_rate."
        )
