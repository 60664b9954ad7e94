"""fit, load and Model: the whole library for those who have texts and want labels."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from axml_jax import config as config_lib
from axml_jax import metrics, runs
from axml_jax.config import Config
from axml_jax.data.corpus import Document
from axml_jax.data.store import open_store, write_store
from axml_jax.data.text import Vocabulary
from axml_jax.errors import InputError
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.predict import Predictor
from axml_jax.train.checkpoint import Checkpoints
from axml_jax.train.initial import make_model
from axml_jax.train.loop import train


class Prediction(NamedTuple):
    """One predicted label.

    Attributes:
      label: The label's name.
      probability: sigmoid(logit), y_hat of eq. (5); it may round to 1.
      logit: The log-odds, by which labels are ranked.
    """

    label: str
    probability: float
    logit: float


class Model:
    """A trained model with its vocabulary and label names; made by `fit` and `load`.

    Attributes:
      config: The experiment's configuration.
      description: What run.json says: data fingerprint, versions, commit.
      vocabulary: Words and their ids.
      label_names: Names of the L labels, by id.
      label_counts: int64 [L], training documents of each label.
      num_train_documents: N of the propensity formulas.
      module: The Flax module.
      variables: Its variables, {"params": ..., and perhaps "constants"}.
    """

    def __init__(
        self,
        config: Config,
        description: dict[str, Any],
        vocabulary: Vocabulary,
        labels: dict[str, Any],
        module: AttentionXML,
        variables: Any,
    ) -> None:
        self.config = config
        self.description = description
        self.vocabulary = vocabulary
        self.label_names: list[str] = labels["names"]
        self.label_counts = np.asarray(labels["train_counts"], np.int64)
        self.num_train_documents: int = labels["train_documents"]
        self.module = module
        self.variables = variables
        self._predictor = Predictor(
            module, variables, max_tokens=config.data.max_tokens, batch_size=64
        )

    def predict(
        self, texts: Iterable[str], top_k: int = 5, min_probability: float = 0.0
    ) -> list[list[Prediction]]:
        """The best labels of each text, best first.

        Args:
          texts: Texts; one without words counts as a single unknown word.
          top_k: Labels wanted of each text; no more than there are.
          min_probability: Leave out labels less probable than this.

        Returns:
          A list a text, in input order.
        """
        return list(self.predict_stream(texts, top_k, min_probability))

    def predict_stream(
        self, texts: Iterable[str], top_k: int = 5, min_probability: float = 0.0
    ) -> Iterator[list[Prediction]]:
        """Like `predict`, text by text, with memory for a few thousand texts only."""
        if isinstance(texts, str):
            raise ValueError("texts must be an iterable of strings; a single string came.")
        if not 0.0 <= min_probability <= 1.0:
            raise ValueError(f"min_probability is {min_probability}; it must be from 0 to 1.")
        for logits, label_ids in self.predict_ids(map(self.encode, texts), top_k):
            # float64, so that a large logit's probability stays below 1 for longer.
            probabilities = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
            yield [
                Prediction(self.label_names[i], float(probability), float(logit))
                for i, probability, logit in zip(label_ids, probabilities, logits, strict=True)
                if probability >= min_probability
            ]

    def predict_ids(
        self, documents: Iterable[np.ndarray], top_k: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(logits float32 [K], label ids int32 [K]) of encoded documents, best first.

        Args:
          documents: int32 token ids of each document, by this model's vocabulary.
          top_k: K.
        """
        if not 1 <= top_k <= len(self.label_names):
            raise ValueError(
                f"top_k is {top_k}; this model has {len(self.label_names)} labels, so it must "
                f"be from 1 to {len(self.label_names)}."
            )
        return self._predictor.top_k(documents, top_k)

    def encode(self, text: str) -> np.ndarray:
        """The int32 token ids of a text, cut at the configuration's max_tokens."""
        return self.vocabulary.encode(text, self.config.data.max_tokens)

    def evaluate(
        self,
        texts: Iterable[str],
        labels: Iterable[Iterable[str]],
        ks: Sequence[int] = (1, 3, 5),
        data_set: str = "",
    ) -> dict[str, float]:
        """Scores the model on labelled texts: see `axml_jax.metrics`.

        Args:
          texts: Texts.
          labels: The true label names of each text; names unknown to the model stay in the
            truth, where nothing can hit them.
          ks: Cut-offs.
          data_set: Chooses the propensity constants: see `metrics.propensity_constants`.

        Returns:
          Percentages by name, such as "P@1".
        """
        k = min(max(ks), len(self.label_names))
        encoded = [self.encode(text) for text in texts]
        truth, num_labels = self._truth(labels)
        if truth.shape[0] != len(encoded):
            raise ValueError(f"there are {len(encoded)} texts but {truth.shape[0]} label lists.")
        rows = list(self.predict_ids(encoded, k))
        label_ids = np.stack([ids for _, ids in rows]) if rows else np.empty((0, k), np.int32)
        counts = np.concatenate(
            [self.label_counts, np.zeros(num_labels - len(self.label_counts), np.int64)]
        )
        a, b = metrics.propensity_constants(data_set)
        inverse = metrics.inverse_propensities(counts, self.num_train_documents, a, b)
        return metrics.evaluate(label_ids, truth, ks, inverse_propensities=inverse)

    def _truth(self, labels: Iterable[Iterable[str]]) -> tuple[scipy.sparse.csr_matrix, int]:
        ids = {name: i for i, name in enumerate(self.label_names)}
        indices: list[int] = []
        offsets = [0]
        for names in labels:
            if isinstance(names, str):
                raise ValueError("labels must hold a list of names per text; a string came.")
            indices += sorted({ids.setdefault(name, len(ids)) for name in names})
            offsets.append(len(indices))
        shape = (len(offsets) - 1, len(ids))
        ones = np.ones(len(indices), np.float32)
        return scipy.sparse.csr_matrix((ones, indices, offsets), shape), len(ids)


def load(run_folder: str | os.PathLike[str]) -> Model:
    """Loads the best weights of a run; nothing in the folder is executed.

    Args:
      run_folder: What launch/train.py or `fit` made.

    Returns:
      A Model, ready to predict.

    Raises:
      InputError: not a run folder, a damaged one, or one without weights yet.
    """
    folder = pathlib.Path(run_folder)
    description = runs.read_description(folder)
    config = config_lib.from_dict(description["config"])
    vocabulary = Vocabulary.load(folder / "words.json")
    labels = runs.read_json(folder / "labels.json")
    module = make_model(
        config, len(vocabulary), len(labels["names"]), description["data"]["word_width"]
    )
    shapes = dict(
        jax.eval_shape(
            module.init, jax.random.key(0), jnp.ones((1, 2), jnp.int32), jnp.full((1,), 2)
        )
    )
    params = shapes.pop("params")
    checkpoints = Checkpoints(folder)
    try:
        weights, _ = checkpoints.restore_best(params)
        constants = checkpoints.restore_constants(shapes)
    finally:
        checkpoints.close()
    return Model(
        config, description, vocabulary, labels, module, {"params": weights, **constants}
    )


def fit(
    texts: Sequence[str],
    labels: Sequence[Iterable[str]],
    *,
    config: Config | None = None,
    run_folder: str | os.PathLike[str],
    max_minutes: float | None = None,
) -> Model:
    """Trains a model on texts in memory; the same call again continues an interrupted one.

    The texts are encoded into RUN_FOLDER.store beside the run, word vectors included where
    the configuration starts from the store's.

    Args:
      texts: Training texts.
      labels: The label names of each text.
      config: The experiment; `Config()`, the paper's medium-scale setting, by default.
      run_folder: Where the run goes.
      max_minutes: End training by then, with the best weights so far.

    Returns:
      The trained Model, as `load` gives it.

    Raises:
      InputError: texts and labels of different numbers, or without any label.
      ConfigError: settings that cannot be.
    """
    config = (config or Config()).validate()
    if len(texts) != len(labels):
        raise InputError(f"there are {len(texts)} texts but {len(labels)} label lists.")
    folder = pathlib.Path(run_folder)
    store_path = folder.with_name(folder.name + ".store")
    if store_path.exists():
        store = open_store(store_path)
    else:
        documents = [
            Document(text, tuple(dict.fromkeys(names)))
            for text, names in zip(texts, labels, strict=True)
        ]
        store = write_store(
            store_path,
            {"train": documents},
            source="texts in memory",
            vectors="ppmi" if config.model.word_vectors == "store" else "none",
            vector_width=config.model.word_width,
            seed=config.seed,
        )
    train(config, store, folder, max_minutes=max_minutes)
    return load(folder)
