"""What a system predicted for the documents of a split, whoever made it and whatever file it is in.

`read_predictions` reads a file of any of the formats of `axml_jax.baselines.prediction_files` and
checks it against the label set and the number of documents; `write_predictions` writes ours.
Needs NumPy and SciPy; knows nothing about models or stores.  Reading takes about 75 bytes of memory
a prediction.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Float64, Int32, Int64
from scipy.special import expit

from axml_jax.baselines import prediction_files
from axml_jax.baselines.choices import AUTO, JSON_LINES, KINDS, LOGIT, PROBABILITY, SCORE
from axml_jax.baselines.labels import resolve
from axml_jax.errors import InputError
from axml_jax.jsonio import whole_file
from axml_jax.top_k import PAD

_PLURALS = {LOGIT: "logits", PROBABILITY: "probabilities", SCORE: "scores"}


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Ranked lists of labels, one a document; a list may be short or empty.

    Attributes:
      offsets: Where the list of each document begins, and the end of the last.
      label_ids: The lists one after another, best first, each label once in a list.
      scores: Their scores, never rising within a list.
      num_labels: L.
      kind: What a score is: "logit" (log-odds), "probability" (0 to 1), or "score" (only its order
        means something).
      taken_for: How the file was read and why, for people; "" for what was no file.
      source: What it came from, for messages; "" for nothing that could be named.
    """

    offsets: Int64[np.ndarray, " N+1"]
    label_ids: Int32[np.ndarray, " entries"]
    scores: Float64[np.ndarray, " entries"]
    num_labels: int
    kind: str
    taken_for: str = ""
    source: str = ""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def longest(self) -> int:
        """Labels in the longest list."""
        return int(np.diff(self.offsets).max(initial=0))

    def rows(self) -> Int64[np.ndarray, " entries"]:
        """The document of each entry."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.offsets))

    def ranks(self) -> Int64[np.ndarray, " entries"]:
        """The place of each entry in its list, from 0."""
        return np.arange(len(self.label_ids)) - self.offsets[self.rows()]

    def top_k(self, k: int) -> Int32[np.ndarray, "N k"]:
        """The first k labels of each list, -1 after the last: what `axml_jax.metrics` scores."""
        best = np.full((len(self), k), PAD, np.int32)
        rows, ranks = self.rows(), self.ranks()
        kept = ranks < k
        best[rows[kept], ranks[kept]] = self.label_ids[kept]
        return best

    def cut(self, k: int) -> Predictions:
        """The first k labels of each list."""
        kept = self.ranks() < k
        counts = np.minimum(np.diff(self.offsets), k)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return dataclasses.replace(
            self, offsets=offsets, label_ids=self.label_ids[kept], scores=self.scores[kept]
        )

    def matrix(self) -> sp.csr_matrix:
        """The scores as a sparse matrix [N, L], labels ascending; zeros are stored as well."""
        order = np.lexsort((self.label_ids, self.rows()))
        arrays = (self.scores[order], self.label_ids[order], self.offsets)
        return sp.csr_matrix(arrays, (len(self), self.num_labels))

    def probabilities(self) -> Float64[np.ndarray, " entries"]:
        """The scores as probabilities.

        Raises:
          InputError: They are scores of which nobody knows what they mean.
        """
        if self.kind == SCORE:
            raise InputError(not_probabilities(self), file=self.source or None)
        return expit(self.scores) if self.kind == LOGIT else self.scores


def from_lists(
    label_ids: Int32[np.ndarray, "N K"],
    scores: Float[np.ndarray, "N K"],
    num_labels: int,
    kind: str = LOGIT,
) -> Predictions:
    """Predictions of lists that are ranked already, as `Predictor.top_k_arrays` returns them.

    Args:
      label_ids: [N, K], best first, -1 after the last.
      scores: [N, K]; those at a -1 are not looked at.
      num_labels: L.
      kind: What the scores are; see `Predictions`.
    """
    kept = label_ids != PAD
    offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64)
    values = np.asarray(scores, np.float64)[kept]
    return Predictions(offsets, label_ids[kept].astype(np.int32), values, num_labels, kind)


def read_predictions(
    path: str | os.PathLike[str],
    label_names: Sequence[str],
    num_documents: int,
    *,
    num_train_labels: int | None = None,
    format: str = AUTO,
    labels: str = AUTO,
    own_names: Sequence[str] | None = None,
    kind: str = AUTO,
    assumed: Collection[str] = (),
) -> Predictions:
    """Reads a prediction file.

    Row i belongs to document i.  A list need not be sorted; labels of equal scores stay in the
    file's order, which a file with rounded scores has for a reason (in .npz: by label).

    Args:
      path: The file; text may be compressed (.gz, .xz).
      label_names: Names of the L labels, by id.
      num_documents: Documents that it must have.
      num_train_labels: Labels of the training documents, the first ones; a system that was trained
        on these alone may say so where the file holds a number of labels.  None for all.
      format: One of `choices.FORMATS`; "auto" lets the file tell.
      labels: What stands for a label: "names", or "ids", its place in `label_names`; "auto" takes
        names where all that occur are names, and refuses numbers that could be either.  JSON lines
        always have names.
      own_names: The system's own label names by its own numbers, where these are not ours.
      kind: What the scores are (see `Predictions`); "auto" takes logits where the file calls them
        so, else probabilities where all lie in 0..1, else scores.
      assumed: "own_names" and "scores", where these were said of several files at once: JSON lines
        keep their names then, and scores in 0..1 are not taken for logits unasked.

    Returns:
      The predictions; `taken_for` says what was decided.

    Raises:
      InputError: The file cannot be read, or is not what it was taken for; has another number of
        documents or labels; names an unknown label, one twice for a document, or a score that is
        no finite number; or says that its scores are something else; with file and line.
      ValueError: An argument that is none of its choices.
    """
    path = Path(path)
    if kind not in (AUTO, *KINDS):
        raise ValueError(f"kind is {kind!r}: expected one of auto, {', '.join(KINDS)}")
    raw = prediction_files.read(path, format)
    if raw.format == JSON_LINES and "own_names" in assumed:
        own_names = None
    rows = np.repeat(np.arange(len(raw.offsets) - 1), np.diff(raw.offsets))

    def line_of(entry: int) -> int | None:
        return None if raw.first_line is None else int(rows[entry]) + raw.first_line

    if len(raw.offsets) - 1 != num_documents:
        raise InputError(
            f"expected {num_documents} documents, one a row, found {len(raw.offsets) - 1}: these "
            "must be the predictions for this very split, in its order.",
            file=path,
        )
    broken = np.flatnonzero(~np.isfinite(raw.scores))
    if len(broken):
        raise InputError(
            f"expected a finite score, found {raw.scores[broken[0]]} (row {rows[broken[0]] + 1}).",
            file=path,
            line=line_of(broken[0]),
        )
    mapping, how = resolve(
        raw, label_names, labels, own_names, num_train_labels, path=path, line_of=line_of
    )
    label_ids = mapping[raw.codes]
    # Stable: equal scores stay as the file has them, but in a matrix its order says nothing.
    tie = raw.codes if raw.first_line is None else np.arange(len(rows))
    order = np.lexsort((tie, -raw.scores, rows))
    _refuse_twice(rows, label_ids, label_names, path, line_of)
    found, why = _kind(raw, kind, "scores" in assumed, path)
    return Predictions(
        raw.offsets,
        label_ids[order].astype(np.int32),
        raw.scores[order],
        len(label_names),
        found,
        f"{raw.format} ({raw.why}); {how}; {why}",
        str(path),
    )


def write_predictions(
    path: str | os.PathLike[str], predictions: Predictions, label_names: Sequence[str]
) -> None:
    """Writes JSON lines as launch/predict.py does: {"line": 1, "labels": [{"label": ...}, ...]}.

    Each label has its "probability", and its "logit" where logits are known.  The file appears
    when it is whole; see `whole_file`.

    Args:
      path: The file.
      predictions: Logits or probabilities.
      label_names: Names of the L labels, by id.

    Raises:
      InputError: The predictions are neither logits nor probabilities.
    """
    probabilities = predictions.probabilities()
    with whole_file(path) as partial, open(partial, "w", encoding="utf-8") as file:
        for line in range(len(predictions)):
            span = slice(predictions.offsets[line], predictions.offsets[line + 1])
            labels = list(_records(predictions, probabilities, span, label_names))
            file.write(json.dumps({"line": line + 1, "labels": labels}, ensure_ascii=False) + "\n")


def not_probabilities(predictions: Predictions) -> str:
    """Why these scores cannot be taken for probabilities, and what to do."""
    low, high = predictions.scores.min(initial=0), predictions.scores.max(initial=0)
    return (
        f"expected logits or probabilities, found scores from {low:g} to {high:g} of which only "
        f"the order is known; if they are log-odds, say so: {_say(predictions.source, LOGIT)}."
    )


def _say(path: str | os.PathLike[str], kind: str) -> str:
    return f"{os.fspath(path) or 'FILE'}::scores={kind}, or kind={kind!r} in Python"


def _records(
    predictions: Predictions, probabilities: np.ndarray, span: slice, names: Sequence[str]
) -> Iterable[dict[str, Any]]:
    ids, scores = predictions.label_ids[span].tolist(), predictions.scores[span].tolist()
    for label, probability, score in zip(ids, probabilities[span].tolist(), scores, strict=True):
        record = {"label": names[label], "probability": probability}
        yield {**record, "logit": score} if predictions.kind == LOGIT else record


def _refuse_twice(
    rows: np.ndarray, label_ids: np.ndarray, names: Sequence[str], path: Path, line_of: Any
) -> None:
    order = np.lexsort((label_ids, rows))
    twice = (np.diff(rows[order]) == 0) & (np.diff(label_ids[order]) == 0)
    if twice.any():
        entry = order[1:][np.argmax(twice)]
        raise InputError(
            f"the label {names[label_ids[entry]]!r} stands twice in row {rows[entry] + 1}; each "
            "label can be predicted once for a document: merge its scores first.",
            file=path,
            line=line_of(entry),
        )


def _kind(raw: prediction_files.Raw, wanted: str, is_assumed: bool, path: Path) -> tuple[str, str]:
    if raw.kind and {wanted, raw.kind} == {LOGIT, PROBABILITY}:
        raise InputError(
            f"expected {_PLURALS[wanted]}, found {_PLURALS[raw.kind]}, as it says itself; leave "
            f"that to the file: {_say(path, AUTO)}.",
            file=path,
        )
    inside = bool(((raw.scores >= 0) & (raw.scores <= 1)).all())
    if wanted == PROBABILITY and not inside:
        raise InputError(
            f"expected probabilities, from 0 to 1, found scores from {raw.scores.min():g} to "
            f"{raw.scores.max():g}.",
            file=path,
        )
    if wanted == LOGIT != raw.kind and is_assumed and inside and len(raw.scores):
        raise InputError(
            "all its scores lie in 0..1, as probabilities do; what was said of all files does not "
            f"settle it: {_say(path, PROBABILITY)}, or logit.",
            file=path,
        )
    if wanted != AUTO:
        return wanted, f"scores are {_PLURALS[wanted]}, as asked for"
    if raw.kind is not None:
        return raw.kind, f"scores are {_PLURALS[raw.kind]}, as the file says"
    if inside:
        return PROBABILITY, "scores are probabilities, as all lie in 0..1"
    return SCORE, "scores only rank, as some lie outside 0..1"
