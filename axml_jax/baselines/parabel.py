"""Parabel (Prabhu et al., 2018) in a run folder like any other model's.

    RUN/parabel/trees     omikuji's model: settings.json and a CBOR file per tree
    RUN/parabel/idf.npy   float32 [V], inverse document frequencies

A document is the bag of its word ids, all that the store kept of it; words that the vocabulary
does not have count for nothing.  Features are sublinear TF-IDF (scikit-learn), the rest is
omikuji's, with its defaults: three trees.  omikuji draws its clusters from a generator that no
seed reaches, so two trainings differ a little; predictions of one run do not.  No pickle is
involved.
"""

from __future__ import annotations

import importlib
import os
import pathlib
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import jax
import numpy as np
import scipy.sparse
from jaxtyping import Float

from axml_jax import metrics, run_names, runs
from axml_jax.baselines import omikuji_trees
from axml_jax.config import Config
from axml_jax.data.store import Store
from axml_jax.data.text import PAD, UNK
from axml_jax.errors import ConfigError, InputError
from axml_jax.jsonio import read_json, write_json
from axml_jax.progress import say
from axml_jax.top_k import PAD as NO_LABEL
from axml_jax.train.plan import Parts, choose_parts
from axml_jax.train.validation import KS

_FOLDER, _TREES, _IDF = "parabel", "trees", "idf.npy"
# Documents whose features are made together: enough to be quick, few enough to be small.
_WINDOW = 1024
# The probabilities nearest to 0 and 1 that keep the order of all float32 ones between them.
_LEAST, _MOST = float(np.finfo(np.float32).tiny), 1 - 2.0**-25


def require() -> None:
    """Refuses to go on without the packages of the extra "baselines".

    Raises:
      ConfigError: One is missing.
    """
    for module, package in (("omikuji", "omikuji"), ("sklearn", "scikit-learn")):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ConfigError(
                f"config.model.name=parabel needs {package} ({error}): "
                "pip install 'axml_jax[baselines]', or pip install omikuji scikit-learn."
            ) from error


def word_counts(documents: Sequence[np.ndarray], num_words: int) -> scipy.sparse.csr_matrix:
    """How often each document has each word.

    Args:
      documents: int32 word ids of each.
      num_words: V.

    Returns:
      float32 [N, V], indices sorted; nothing at PAD and UNK, which are no words.
    """
    kept = [document[(document != PAD) & (document != UNK)] for document in documents]
    offsets = np.concatenate([[0], np.cumsum([len(words) for words in kept])])
    words = np.concatenate([*kept, np.empty(0, np.int32)])
    ones = np.ones(len(words), np.float32)
    counts = scipy.sparse.csr_matrix((ones, words, offsets), (len(documents), num_words))
    counts.sum_duplicates()
    return counts


def log_odds(probabilities: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
    """log(p / (1 - p)), finite and in the order of p where p is 0 or 1, as Parabel's often is.

    Args:
      probabilities: float32; taken as at least 1e-38 and at most 1 - 3e-8.

    Returns:
      float32, from -87 to 17.
    """
    p = np.clip(probabilities.astype(np.float64), _LEAST, _MOST)
    return (np.log(p) - np.log1p(-p)).astype(np.float32)


class Parabel:
    """Trained trees with the weights of their features; made by `load`.

    Args:
      trees: omikuji's model.
      idf: float32 [V].
      num_labels: L.
    """

    def __init__(self, trees: Any, idf: Float[np.ndarray, " V"], num_labels: int) -> None:
        from sklearn.feature_extraction.text import TfidfTransformer

        self._trees = trees
        self._num_words = len(idf)
        self._num_labels = num_labels
        self._weighting = TfidfTransformer(sublinear_tf=True)
        self._weighting.idf_ = idf

    def top_k(
        self, documents: Iterable[np.ndarray], k: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (logits float32 [K], label ids int32 [K]) of each document, best first.

        Logits are the `log_odds` of omikuji's probabilities.  Its search follows the ten best
        branches of each tree: a document may get fewer than K labels, and -inf and -1 after them.

        Args:
          documents: int32 word ids of each document; read ahead by a window, never as a whole.
          k: Labels wanted.
        """
        for found in self._found(documents, k):
            logits, label_ids = np.full(k, -np.inf, np.float32), np.full(k, NO_LABEL, np.int32)
            if found:
                ids, scores = zip(*found, strict=True)
                label_ids[: len(ids)] = ids
                logits[: len(ids)] = log_odds(np.array(scores, np.float32))
            yield logits, label_ids

    def all_logits(
        self, documents: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields one document's (places int64 [1], logits float32 [1, L]) at a time.

        Args:
          documents: As for `top_k`.
        """
        for place, found in enumerate(self._found(documents, self._num_labels)):
            logits = np.full((1, self._num_labels), -np.inf, np.float32)
            if found:
                ids, scores = zip(*found, strict=True)
                logits[0, list(ids)] = log_odds(np.array(scores, np.float32))
            yield np.array([place]), logits

    def _found(self, documents: Iterable[np.ndarray], k: int) -> Iterator[list[tuple[int, float]]]:
        """At most k pairs of label and probability of each document, best first."""
        stream = iter(documents)
        while window := list(islice(stream, _WINDOW)):
            features = self._weighting.transform(word_counts(window, self._num_words))
            for found in omikuji_trees.best_labels(self._trees, features, k):
                found.sort(key=lambda pair: (-pair[1], pair[0]))
                yield found


def load(run_folder: str | os.PathLike[str], num_words: int, num_labels: int) -> Parabel:
    """Loads the trees of a run.

    Args:
      run_folder: What `train` made.
      num_words: V, words of the run's vocabulary.
      num_labels: L, its labels.

    Raises:
      ConfigError: The packages are missing.
      InputError: There are no trees yet, or they are damaged.
    """
    require()
    folder = pathlib.Path(run_folder) / _FOLDER
    if not folder.is_dir():
        raise InputError(
            "the run has no trees yet: it was stopped. The same launch/train.py command trains "
            "them.",
            file=folder.parent,
        )
    try:
        idf = np.load(folder / _IDF, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"it cannot be read: {error}", file=folder / _IDF) from error
    if idf.shape != (num_words,) or idf.dtype != np.float32:
        raise InputError(
            f"expected float32 of shape ({num_words},), one per word; found {idf.dtype} of shape "
            f"{idf.shape}.",
            file=folder / _IDF,
        )
    return Parabel(omikuji_trees.load(folder / _TREES, num_words), idf, num_labels)


def train(config: Config, store: Store, run_folder: str | pathlib.Path) -> dict[str, Any]:
    """Trains Parabel on the documents that any other model of this configuration trains on.

    Training cannot be interrupted and continued: what was stopped begins anew.

    Args:
      config: Of it, the seed and how documents are dealt to training and validation are read.
      store: Encoded documents; their word vectors are not read.
      run_folder: Where everything goes; made if missing.

    Returns:
      How it ended, as `axml_jax.train.loop.train` does, after one step and one epoch.

    Raises:
      ConfigError: The packages are missing, or a run folder of another configuration or in use.
      InputError: A store or folder that cannot be used.
    """
    require()
    parts = choose_parts(config.validate(), store)
    folder, settings = pathlib.Path(run_folder), config.to_dict()
    data = {
        "path": str(store.path.resolve()),
        "fingerprint": store.fingerprint,
        "vectors": None,
        "max_tokens": store.description["settings"]["max_tokens"] or 0,
        "source": store.description.get("source"),
    }
    runs.open_run(folder, settings, data)
    with runs.locked(folder):
        # Once more, now alone: meanwhile another process may have begun a run here.
        _, continued = runs.open_run(folder, settings, data)
        if continued and (folder / "result.json").is_file():
            run_names.mend_names(folder, store)
            say(f"the run in {folder} is complete. Name another for a new one.")
            return read_json(folder / "result.json")
        if not continued:
            runs.describe_run(folder, settings, data, _processors())
        run_names.write_names(folder, store)
        seconds = _write_trees(folder, store, parts)
        result = {
            "step": 1,
            "epoch": 1.0,
            "ended": "all trees are trained",
            "best_step": 1,
            "train_documents": len(parts.train),
            "valid_documents": len(parts.valid),
            "validation": _validate(folder, store, parts, seconds),
        }
        write_json(folder / "result.json", result)
    return result


def _processors() -> list[Any]:
    """The devices that omikuji uses, as JAX has them."""
    try:
        return jax.local_devices(backend="cpu")
    except RuntimeError:  # JAX_PLATFORMS names no "cpu"
        return jax.local_devices()


def _write_trees(folder: pathlib.Path, store: Store, parts: Parts) -> dict[str, float]:
    """Writes RUN/parabel, whole or not at all; returns what took how long."""
    from sklearn.feature_extraction.text import TfidfTransformer

    begin = time.monotonic()
    split = store.splits["train"]
    counts = word_counts([split.document(int(i)) for i in parts.train], len(store.vocabulary))
    weighting = TfidfTransformer(sublinear_tf=True)
    features = weighting.fit_transform(counts)
    labels = split.label_matrix(store.num_train_labels)[parts.train]
    featured = time.monotonic()
    say(f"training Parabel's trees on {len(parts.train):,} documents")
    partial = folder / f".{_FOLDER}.partial"
    for stale in (partial, folder / _FOLDER):
        shutil.rmtree(stale, ignore_errors=True)
    partial.mkdir()
    np.save(partial / _IDF, np.asarray(weighting.idf_, np.float32), allow_pickle=False)
    omikuji_trees.train(features, labels, partial / _TREES)
    os.replace(partial, folder / _FOLDER)
    trained = time.monotonic()
    return {"features_seconds": featured - begin, "training_seconds": trained - featured}


def _validate(
    folder: pathlib.Path, store: Store, parts: Parts, seconds: dict[str, float]
) -> dict[str, float]:
    """Scores the trees as they were written; adds a record to the metric files."""
    begin = time.monotonic()
    record: dict[str, Any] = {"epoch": 1.0}
    values: dict[str, float] = {}
    if len(parts.valid):
        split = store.splits[parts.valid_split]
        truth = split.label_matrix(len(store.label_names))[parts.valid]
        documents = (split.document(int(i)) for i in parts.valid)
        kept = min(max(KS), store.num_train_labels)
        trees = load(folder, len(store.vocabulary), store.num_train_labels)
        rows = trees.top_k(documents, kept)
        values = metrics.evaluate(np.stack([ids for _, ids in rows]), truth, KS)
        record["validation"] = values
        seconds = seconds | {"validation_seconds": time.monotonic() - begin}
        shown = "  ".join(f"{name} {values[name]:.2f}" for name in ("P@1", "P@3", "P@5", "nDCG@5"))
        say(f"validation  {shown}")
    writer = runs.MetricWriter(folder)
    writer.write(1, record, seconds)
    writer.close()
    return values
