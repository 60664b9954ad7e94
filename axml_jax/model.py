"""fit, load and Model: the whole library for those who have texts and want labels."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import scipy.sparse
from scipy.special import expit

from axml_jax import metrics
from axml_jax.analysis import Thresholds
from axml_jax.baselines import parabel
from axml_jax.config import Config
from axml_jax.data.base import Base, read_base
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, open_store, write_store
from axml_jax.data.text import Vocabulary
from axml_jax.errors import ConfigError, InputError
from axml_jax.layout import Layout
from axml_jax.layout_choice import choose_layout
from axml_jax.models.text_model import TextModel
from axml_jax.predict import Predictor
from axml_jax.top_k import PAD
from axml_jax.train.door import train
from axml_jax.train.trained import read_run, read_variables

DEFAULT_TOP_K = 5


class Prediction(NamedTuple):
    """One predicted label.

    Attributes:
      label: The label's name.
      probability: sigmoid(logit), y_hat of eq. (5); it may round to 1.
      logit: The log-odds, by which labels are ranked.
      title: What people call the label; None where the data came without titles.
    """

    label: str
    probability: float
    logit: float
    title: str | None = None


class Ranker(Protocol):
    """What ranks the labels of encoded documents: a `Predictor`, or what stands for one."""

    def top_k(
        self, documents: Iterable[np.ndarray], k: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (logits float32 [K], label ids int32 [K]) of each document, best first.

        A list may end early: in -inf and -1.
        """

    def all_logits(
        self, documents: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields some documents' (places int64 [n], logits float32 [n, L]) at a time."""


class Model:
    """A trained model with its vocabulary and label names; made by `fit` and `load`.

    Attributes:
      config: The experiment's configuration.
      description: What run.json says: data fingerprint, versions, commit.
      vocabulary: Words and their ids.
      label_names: Names of the L labels, by id.
      label_titles: What people call them, by id; None for a label without a title.
      label_counts: int64 [L], training documents of each label.
      num_train_documents: N of the propensity formulas.
      max_tokens: Words read of a text; those after them change nothing.
      module: The Flax module; None where the model is none (Parabel).
      variables: Its variables, {"params": ..., and perhaps "constants"}; {} without a module.
    """

    def __init__(
        self,
        config: Config,
        description: dict[str, Any],
        vocabulary: Vocabulary,
        labels: dict[str, Any],
        module: TextModel | None,
        variables: Any,
        ranker: Ranker | None = None,
    ) -> None:
        self.config = config
        self.description = description
        self.vocabulary = vocabulary
        self.label_names: list[str] = labels["names"]
        # Runs made before there were titles have none.
        self.label_titles: list[str | None] = labels.get("titles") or [None] * len(labels["names"])
        self.label_counts = np.asarray(labels["train_counts"], np.int64)
        self.num_train_documents: int = labels["train_documents"]
        self.module = module
        self.variables = variables
        self.max_tokens: int = description["data"]["max_tokens"]
        if ranker is None:
            assert module is not None
            ranker = Predictor(
                module,
                variables,
                max_tokens=self.max_tokens,
                batch_size=64,
                layout=_layout(config, module.num_labels),
            )
        self._ranker = ranker

    def predict(
        self,
        texts: Iterable[str],
        top_k: int | None = None,
        min_probability: float = 0.0,
        thresholds: Thresholds | None = None,
    ) -> list[list[Prediction]]:
        """The best labels of each text, best first.

        Args:
          texts: Texts; one without words counts as a single unknown word.
          top_k: Labels wanted of each text, at most as many as there are; None for five, or
            for all where there are fewer.
          min_probability: Leave out labels less probable than this.
          thresholds: Leave out labels whose logits do not reach theirs; [L], for logits.

        Returns:
          A list a text, in input order.
        """
        return list(self.predict_stream(texts, top_k, min_probability, thresholds))

    def predict_stream(
        self,
        texts: Iterable[str],
        top_k: int | None = None,
        min_probability: float = 0.0,
        thresholds: Thresholds | None = None,
    ) -> Iterator[list[Prediction]]:
        """Like `predict`, text by text, with memory for a few thousand texts only."""
        _refuse_single_string(texts)
        if not 0.0 <= min_probability <= 1.0:
            raise ValueError(f"min_probability is {min_probability}; it must be from 0 to 1.")
        least = np.full(len(self.label_names), -np.inf)
        if thresholds is not None:
            if thresholds.by_label.shape != least.shape:
                raise ValueError(
                    f"there are {len(thresholds.by_label)} thresholds and {len(least)} labels."
                )
            least = thresholds.by_label
        # The generator begins after the checks: they speak now, not at the first answer.
        if top_k is None:
            top_k = min(DEFAULT_TOP_K, len(self.label_names))
        rows = self.predict_ids(map(self.encode, texts), top_k)
        return (self._named(*row, min_probability, least) for row in rows)

    def _named(
        self,
        logits: np.ndarray,
        label_ids: np.ndarray,
        min_probability: float,
        least: np.ndarray,
    ) -> list[Prediction]:
        # float64, so that a large logit's probability stays below 1 for longer.
        probabilities = expit(logits.astype(np.float64))
        return [
            Prediction(self.label_names[i], float(probability), float(logit), self.label_titles[i])
            for i, probability, logit in zip(label_ids, probabilities, logits, strict=True)
            if probability >= min_probability and i != PAD and logit >= least[i]
        ]

    def predict_ids(
        self, documents: Iterable[np.ndarray], top_k: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(logits float32 [K], label ids int32 [K]) of encoded documents, best first.

        Parabel may find fewer labels: its lists then end in -inf and -1.

        Args:
          documents: int32 token ids of each document, by this model's vocabulary.
          top_k: K.
        """
        if not 1 <= top_k <= len(self.label_names):
            raise ValueError(
                f"top_k is {top_k}; this model has {len(self.label_names)} labels, so it must "
                f"be from 1 to {len(self.label_names)}."
            )
        return self._ranker.top_k(documents, top_k)

    def all_logits(
        self, documents: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Some documents' (places int64 [n], logits float32 [n, L]) at a time, labels by id.

        Each document has its turn once, in what order suits; nothing is ranked, and n x L stays
        small.  Labels that Parabel does not find have -inf.

        Args:
          documents: int32 token ids of each document, by this model's vocabulary.
        """
        return self._ranker.all_logits(documents)

    def encode(self, text: str) -> np.ndarray:
        """The int32 token ids of a text, cut where training documents were."""
        if not isinstance(text, str):
            raise ValueError(f"a text must be a string; {text!r:.60} came.")
        return self.vocabulary.encode(text, self.max_tokens)

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

        Raises:
          ValueError: texts and labels of different numbers, or no text at all.
        """
        _refuse_single_string(texts)
        k = min(max(ks), len(self.label_names))
        encoded = [self.encode(text) for text in texts]
        truth, num_labels = self._truth(labels)
        if truth.shape[0] != len(encoded):
            raise ValueError(f"there are {len(encoded)} texts but {truth.shape[0]} label lists.")
        rows = list(self.predict_ids(encoded, k))
        label_ids = np.stack([ids for _, ids in rows]) if rows else np.empty((0, k), np.int32)
        inverse = self.inverse_propensities(num_labels, data_set)
        return metrics.evaluate(label_ids, truth, ks, inverse_propensities=inverse)

    def inverse_propensities(self, num_labels: int, data_set: str = "") -> np.ndarray | None:
        """1 / p of each label for PSP@k and PSnDCG@k, from the counts of the training split.

        Counts and N are those of the store's whole split "train": a validation part drawn
        from it is counted in, and `config.data.train_documents` changes nothing.

        Args:
          num_labels: Labels of the truth; those beyond the model's own count 0.
          data_set: Chooses the constants: see `metrics.propensity_constants`.

        Returns:
          float64 [num_labels]; None with fewer than three training documents, for which
          propensities are not defined.
        """
        if self.num_train_documents < 3:
            return None
        counts = np.zeros(num_labels, np.int64)
        counts[: len(self.label_counts)] = self.label_counts
        a, b = metrics.propensity_constants(data_set)
        return metrics.inverse_propensities(counts, self.num_train_documents, a, b)

    def _truth(self, labels: Iterable[Iterable[str]]) -> tuple[scipy.sparse.csr_matrix, int]:
        ids = {name: i for i, name in enumerate(self.label_names)}
        indices: list[int] = []
        offsets = [0]
        for names in labels:
            _refuse_string_of_labels(names)
            indices += sorted({ids.setdefault(name, len(ids)) for name in names})
            offsets.append(len(indices))
        shape = (len(offsets) - 1, len(ids))
        ones = np.ones(len(indices), np.float32)
        return scipy.sparse.csr_matrix((ones, indices, offsets), shape), len(ids)


def _refuse_single_string(texts: Any) -> None:
    if isinstance(texts, str):
        raise ValueError("texts must be an iterable of strings; a single string came.")


def _refuse_string_of_labels(names: Any) -> None:
    # A string is an iterable of names too: of its letters.
    if isinstance(names, str):
        raise ValueError(f"labels must hold a list of names per text; the string {names!r} came.")


def load(run_folder: str | os.PathLike[str]) -> Model:
    """Loads the best weights of a run; nothing in the folder is executed.

    Args:
      run_folder: What launch/train.py or `fit` made.

    Returns:
      A Model, ready to predict.

    Raises:
      InputError: not a run folder, a damaged one, or one without weights yet.
    """
    run = read_run(run_folder)
    if run.module is None:
        ranker = parabel.load(run.folder, len(run.vocabulary), len(run.labels["names"]))
        return Model(run.config, run.description, run.vocabulary, run.labels, None, {}, ranker)
    with _layout(run.config, run.module.num_labels).workspace():
        variables = read_variables(run)
    return Model(run.config, run.description, run.vocabulary, run.labels, run.module, variables)


def _layout(config: Config, num_labels: int) -> Layout:
    """As in training, or in as many parts as there are devices for."""
    devices, wanted = jax.local_devices(), config.parallel.labels
    parts = max(n for n in range(1, len(devices) + 1) if len(devices) % n == 0 and n <= wanted)
    return choose_layout(devices, num_labels, parts)


def fit(
    texts: Sequence[str],
    labels: Sequence[Iterable[str]],
    *,
    config: Config | None = None,
    run_folder: str | os.PathLike[str],
    max_minutes: float | None = None,
    init_from: str | os.PathLike[str] | None = None,
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
      init_from: A run whose best weights, words and labels to begin with; labels it does not know
        are added.  The configuration must have its shapes.

    Returns:
      The trained Model, as `load` gives it.

    Raises:
      InputError: texts and labels of different numbers, or without any label.
      ConfigError: settings that cannot be, or a run folder of other texts.
    """
    config = (config or Config()).validate()
    _refuse_single_string(texts)
    if len(texts) != len(labels):
        raise InputError(f"there are {len(texts)} texts but {len(labels)} label lists.")
    documents = []
    for text, names in zip(texts, labels, strict=True):
        if not isinstance(text, str):
            raise ValueError(f"a text must be a string; {text!r:.60} came.")
        _refuse_string_of_labels(names)
        documents.append(Document(text, tuple(dict.fromkeys(names))))
    folder = pathlib.Path(os.path.abspath(run_folder))
    base = None if init_from is None else read_base(init_from)
    store = _store_beside(folder, documents, config, base)
    train(config, store, folder, max_minutes=max_minutes, init_from=init_from)
    return load(folder)


def _nameless(base: dict[str, Any] | None) -> dict[str, Any] | None:
    """A base whose folder may have been renamed."""
    return base and {name: part for name, part in base.items() if name != "name"}


def _store_beside(
    folder: pathlib.Path, documents: list[Document], config: Config, base: Base | None
) -> Store:
    """RUN_FOLDER.store, written unless these documents stand there already."""
    path = folder.with_name(folder.name + ".store")
    digest = hashlib.sha256()
    for document in documents:
        digest.update(repr(tuple(document)).encode("utf-8", "backslashreplace"))
    source = f"{len(documents)} texts in memory, sha256 {digest.hexdigest()}"
    settings: dict[str, Any] = {}
    if base is None:
        reads_vectors = config.model.word_vectors == "store" and config.model.name != "parabel"
        settings["vectors"] = "ppmi" if reads_vectors else "none"
        settings |= {"vector_width": config.model.word_width, "seed": config.seed}
    if not path.exists():
        return write_store(path, {"train": documents}, source=source, base=base, **settings)
    store = open_store(path)
    made = store.description
    if (
        made["source"] != source
        or _nameless(made.get("base")) != _nameless(base and base.describe())
        or any(made["settings"].get(name) != value for name, value in settings.items())
    ):
        raise ConfigError(
            f"{path} was made of other texts or labels, with another seed or other word vectors, "
            f"or for a run begun otherwise; name another run_folder, or remove {folder} and {path}."
        )
    return store
