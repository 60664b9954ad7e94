"""Scores the weights of the moment on the validation documents, for choosing the best ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from axml_jax import metrics
from axml_jax.config import Config
from axml_jax.data.store import Store
from axml_jax.layout import Layout
from axml_jax.models.text_model import TextModel
from axml_jax.predict import Predictor
from axml_jax.train import processes
from axml_jax.train.plan import Parts

KS = (1, 3, 5)
SELECTION = "nDCG@5"


class CutShortError(Exception):
    """Something more urgent has come than the end of a validation."""


class Validator:
    """Predicts the validation documents and compares with their labels.

    Args:
      config: The experiment.
      store: Encoded documents.
      parts: Whose validation documents are scored; there is at least one.
      model: The module.
      devices: This process's devices to predict on; several processes share the documents.
      layout: How work is dealt to them.
      between: Called before each batch; what it raises, `CutShortError` say, ends the validation.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        parts: Parts,
        model: TextModel,
        devices: Sequence[Any],
        layout: Layout,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._split = store.splits[parts.valid_split]
        self._documents = parts.valid
        # Labels never seen in training stay in the truth: they are there to be missed.
        self._truth = self._split.label_matrix(len(store.label_names))[parts.valid]
        self._kept = min(max(KS), store.num_train_labels)
        self._predictor = Predictor(
            model,
            {},
            max_tokens=config.data.max_tokens,
            batch_size=max(64, config.data.batch_size),
            devices=devices,
            layout=layout,
            between=between,
        )

    def score(self, variables: Any) -> dict[str, float]:
        """P, nDCG, R and RP at each k of KS, in percent, of a model with these variables.

        Variables that the layout has placed on the devices are scored where they are.
        """
        self._predictor.variables = variables
        share = self._documents[processes.own_share(len(self._documents))]
        documents = (self._split.document(int(i)) for i in share)
        try:
            _, label_ids = self._predictor.top_k_arrays(documents, self._kept)
        finally:
            self._predictor.variables = {}  # a mean of weights would stay until the next time
        label_ids = processes.gather(label_ids, len(self._documents))
        return metrics.evaluate(label_ids, self._truth, KS)
