"""What a store holds, in numbers: lengths, labels, coverage, what is cut, what is unseen, twins.

NumPy only.  Arrays on disk are read in blocks; what is kept in memory is a few numbers for each
document, label and word.  `axml_jax.data.statistics_tables` prints the numbers,
`statistics_plot` draws them.  Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Int64

from axml_jax.data import table_one, twins
from axml_jax.data.description import TRAIN
from axml_jax.data.opened import Split, Store
from axml_jax.data.text import UNK
from axml_jax.progress import bar

CUT_OFFS = (128, 256, 500, 1000)
RARE = 5
"""A label of at most so many training documents is rare."""

HEAD = 0.1
"""This share of the labels, the most frequent ones, is the head."""

QUANTILES = {"min": 0.0, "p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95,
             "max": 1.0}  # fmt: skip
_BLOCK = 1 << 22
_BINS = 48


def gather(
    store: Store,
    name: str,
    cut_offs: Sequence[int] = CUT_OFFS,
    *,
    similarity: float = 0.8,
    examples: int = 5,
    labels_shown: int = 10,
) -> dict[str, Any]:
    """All statistics of a store.

    Args:
      store: The store.
      name: What the data set is called.
      cut_offs: Lengths in words at which documents might be cut.
      similarity: Smallest Jaccard similarity of near-duplicates; see `twins.between`.
      examples: Pairs of near-duplicates named at most, the most similar first.
      labels_shown: How many of the most frequent, and of the rarest, labels are named.

    Returns:
      Numbers and names, fit for JSON; shares are between 0 and 1.
    """
    cut_offs = sorted(set(cut_offs))
    description = store.description
    known = store.num_train_labels
    counts = _occurrences(store.splits[TRAIN].label_ids, known, "labels")
    # Labels that only the store's base knows have none.
    rarest = [i for i in np.argsort(counts, kind="stable") if counts[i]]
    return {
        "name": name,
        "store": {
            key: description[key]
            for key in ("source", "settings", "fingerprint", "words", "labels", "num_train_labels")
        }
        | {"base": description.get("base")},
        "table_one": table_one.row_of_store(name, store)._asdict(),
        "splits": {split: _of_split(store, split, cut_offs) for split in store.splits},
        "documents_per_label": documents_per_label(counts[counts > 0]),
        "most_frequent_labels": _named(
            store, counts, np.argsort(-counts, kind="stable"), labels_shown
        ),
        "rarest_labels": _named(store, counts, np.array(rarest), labels_shown),
        "length_histogram": _histogram(store),
        "near_duplicates": _near_duplicates(store, similarity, examples),
    }


def quantiles(values: Int[np.ndarray, " N"]) -> dict[str, float | int]:
    """Mean and quantiles; each quantile is one of the values, the least that reaches its share."""
    found = np.quantile(values, list(QUANTILES.values()), method="inverted_cdf")
    named = {key: int(value) for key, value in zip(QUANTILES, found, strict=True)}
    return {"mean": float(np.mean(values)), **named}


def documents_per_label(counts: Int64[np.ndarray, " L"]) -> dict[str, Any]:
    """How documents spread over labels.

    Args:
      counts: Training documents of each label, at least 1.

    Returns:
      Mean and quantiles; how many labels are rare, their share of the labels and of all label
      entries; the head's share of the entries; and how many labels have how many documents.
    """
    entries = int(counts.sum())
    rare = counts[counts <= RARE]
    head = np.sort(counts)[::-1][: max(1, round(HEAD * len(counts)))]
    values, labels = np.unique(counts, return_counts=True)
    return {
        **quantiles(counts),
        "rare_labels": len(rare),
        "rare_share": len(rare) / len(counts),
        "rare_entries_share": int(rare.sum()) / entries,
        "head_labels": len(head),
        "head_entries_share": int(head.sum()) / entries,
        "distribution": [
            [int(value), int(number)] for value, number in zip(values, labels, strict=True)
        ],
    }


def cut_at(lengths: Int[np.ndarray, " N"], cut_off: int) -> dict[str, float | int]:
    """What is lost where documents are cut after `cut_off` words.

    Args:
      lengths: Words of each document.
      cut_off: Words kept.
    """
    over = np.maximum(lengths.astype(np.int64) - cut_off, 0)
    cut, lost = int(np.count_nonzero(over)), int(over.sum())
    return {
        "cut_off": cut_off,
        "documents": cut,
        "documents_share": cut / len(lengths),
        "words": lost,
        "words_share": lost / int(lengths.sum(dtype=np.int64)),
    }


def _of_split(store: Store, name: str, cut_offs: Sequence[int]) -> dict[str, Any]:
    split, about = store.splits[name], store.description["splits"][name]
    # A document without words holds one unknown word in its place.
    words = about["tokens"] - about["empty_documents"]
    return {
        "documents": len(split),
        "words": words,
        "words_per_document": {
            **quantiles(split.lengths),
            "mean": words / len(split),
        },
        "labels_per_document": quantiles(np.diff(split.label_offsets)),
        "documents_without_words": about["empty_documents"],
        "documents_without_labels": about["documents_without_labels"],
        "documents_cut_in_store": about["truncated_documents"],
        "skipped": about.get("skipped", {}),
        "coverage": _coverage(store, name, words),
        "cut": [cut_at(split.lengths, cut_off) for cut_off in cut_offs],
        "unseen": {
            "labels": about["labels_unseen_in_train"],
            "labels_share": _share(about["labels_unseen_in_train"], about["distinct_labels"]),
            "entries": about["entries_unseen_in_train"],
            "entries_share": _share(about["entries_unseen_in_train"], about["labels"]),
        },
    }


def _coverage(store: Store, name: str, words: int) -> dict[str, Any]:
    """How much of a split the vocabulary and the word vectors know."""
    about = store.description["splits"][name]
    counts = _occurrences(store.splits[name].tokens, len(store.vocabulary), f"words of {name}")
    known = counts[UNK + 1 :]
    distinct = int(np.count_nonzero(known))
    unknown = about.get("distinct_unknown_words")  # stores of old do not say
    vectors = store.description["vectors"]
    with_vector = None
    if vectors is not None and "ppmi" in (vectors["kind"], vectors.get("of")):
        # A word that never stands beside another has a row of zeros.
        with_vector = _share(int(known[_has_vector(store)[UNK + 1 :]].sum()), words)
    elif vectors is not None:
        # Words not found in the file have random rows: only who read it could tell them.
        with_vector = vectors.get("split_coverage", {}).get(name)
        if with_vector is None and name == TRAIN:
            with_vector = vectors.get("token_coverage")  # a base's are of other documents
    return {
        "words_known": _share(int(known.sum()), words),
        "distinct_words_known": distinct,
        "distinct_words_known_share": None
        if unknown is None
        else _share(distinct, distinct + unknown),
        "vocabulary_share": _share(distinct, len(known)),
        "words_with_vector": with_vector,
    }


def _has_vector(store: Store) -> np.ndarray:
    assert store.vectors is not None
    rows = max(1, _BLOCK // store.vectors.shape[1])
    parts = range(0, len(store.vectors), rows)
    return np.concatenate([np.any(store.vectors[at : at + rows] != 0, axis=1) for at in parts])


def _occurrences(ids: np.ndarray, number: int, what: str) -> Int64[np.ndarray, " number"]:
    """How often each id below `number` occurs; read block by block."""
    counts = np.zeros(number, np.int64)
    with bar(f"counting {what}", len(ids), "entries") as advance:
        for begin in range(0, len(ids), _BLOCK):
            block = ids[begin : begin + _BLOCK]
            counts += np.bincount(block[block < number], minlength=number)
            advance(len(block))
    return counts


def _named(store: Store, counts: np.ndarray, order: np.ndarray, most: int) -> list[dict[str, Any]]:
    return [
        {
            "label": store.label_names[label],
            "title": store.label_titles[label],
            "documents": int(counts[label]),
        }
        for label in order[:most].tolist()
    ]


def _histogram(store: Store) -> dict[str, Any]:
    """Documents of each split by length, in bins that grow with the length."""
    longest = max(int(split.lengths.max()) for split in store.splits.values())
    edges = np.unique(np.rint(np.geomspace(1, longest + 1, _BINS)).astype(np.int64))
    if len(edges) < 2:
        edges = np.array([1, longest + 1])
    counts = {
        name: np.histogram(split.lengths, edges)[0].tolist() for name, split in store.splits.items()
    }
    return {"edges": edges.tolist(), "documents": counts}


def _near_duplicates(store: Store, similarity: float, examples: int) -> list[dict[str, Any]]:
    """For each pair of splits, the documents of the later one that have a twin in the earlier."""
    names = list(store.splits)
    words = len(store.vocabulary)
    keys = {
        name: twins.band_keys(store.splits[name], words, what=name)
        for name in names
        if len(names) > 1
    }
    found = []
    for place, other in enumerate(names):
        for name in names[place + 1 :]:
            first, second = store.splits[name], store.splits[other]
            pairs = twins.between(
                first, second, words, similarity, keys=keys[name], other_keys=keys[other]
            )
            best = np.argsort(-pairs.similarity, kind="stable")[:examples]
            found.append(
                {
                    "split": name,
                    "other": other,
                    "similarity": similarity,
                    "documents": len(pairs.documents),
                    "documents_share": len(pairs.documents) / len(first),
                    "identical": int(np.count_nonzero(pairs.similarity == 1)),
                    "pairs": [
                        {
                            "document": _document_name(first, int(pairs.documents[at])),
                            "twin": _document_name(second, int(pairs.others[at])),
                            "similarity": float(pairs.similarity[at]),
                        }
                        for at in best
                    ],
                }
            )
    return found


def _document_name(split: Split, i: int) -> str:
    return split.ids[i] if split.ids else f"document {i + 1}"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
