"""pydocs: the docstrings of the installed packages as a data set that needs no download.

A document is the docstring of a module, class, function or method of the standard library, numpy,
scipy, jax, flax, optax, orbax or absl.  Its labels are the parts of its dotted module path
(`numpy.linalg._linalg`: numpy, linalg) and the last parts of the names its See Also sections point
at (`scipy.linalg.svd`: svd).  Both leave the text (`pydocs_clean` says how).  Near-duplicates are
grouped and a hash of the group's text decides train, validation or test, so that no test document
has a twin in training; the content depends on the packages' versions, which every result states
with the fingerprint, and on nothing else: not on the order of files, not on a seed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from axml_jax.data import near_duplicates
from axml_jax.data.builders import pydocs_extract
from axml_jax.data.builders.pydocs_clean import Entry, clean, ordinary_words
from axml_jax.data.builders.pydocs_extract import STDLIB, Docstring, SourceFile
from axml_jax.data.builders.pydocs_see_also import cut_see_also
from axml_jax.data.corpus import Document
from axml_jax.errors import InputError

SPLITS = ("train", "valid", "test")
_SHARES = (0.8, 0.1, 0.1)
_WORD = re.compile(r"\w+")

# `_src` is how jax, flax and optax spell "private": it says nothing about what a text is about.
_MEANINGLESS_PARTS = frozenset({"src"})


def path_labels(module: str) -> list[str]:
    """The parts of a dotted module path, bare of the underscores that mark them private."""
    parts = (part.strip("_") for part in module.split("."))
    return [part for part in parts if part and part not in _MEANINGLESS_PARTS]


def _identifiers(docstrings: Sequence[Docstring]) -> list[str]:
    """Public-looking dotted names (numpy.linalg.svd); where two would be equal, module:name."""
    short, full = [], []
    for item in docstrings:
        parts = item.module.split(".")
        public = [part for part in parts[:-1] if not part.startswith("_")]
        last = parts[-1]
        if item.qualname == "" or not public or not last.startswith("_"):
            public.append(last)
        short.append(".".join([*public, *([item.qualname] if item.qualname else [])]))
        full.append(f"{item.module}:{item.qualname}")
    times = Counter(short)
    return [s if times[s] == 1 else f for s, f in zip(short, full, strict=True)]


def _entry(item: Docstring) -> Entry:
    text, targets = cut_see_also(item.text)
    labels = {*path_labels(item.module), *(name.rpartition(".")[2] for name in targets)}
    path = [part for part in item.module.split(".") if part.strip("_") not in _MEANINGLESS_PARTS]
    own = item.qualname.split(".") if item.qualname else path[-1:]
    return Entry(text, own, path, sorted(labels))


def documents_of(
    docstrings: Sequence[Docstring], *, minimum_words: int, minimum_documents: int
) -> list[Document]:
    """Docstrings as documents, sorted by id, rare labels and poor documents dropped.

    Args:
      docstrings: Each object once.
      minimum_words: Documents of fewer words, after cleaning, are dropped.
      minimum_documents: Labels of fewer documents are dropped, then documents without labels;
        repeated until nothing changes.
    """
    from axml_jax.progress import progress

    entries = [_entry(item) for item in docstrings]
    ordinary = ordinary_words(entries)
    documents = []
    named = zip(_identifiers(docstrings), entries, strict=True)
    for identifier, entry in progress(named, "cleaning docstrings", total=len(entries)):
        text = clean(entry, ordinary)
        if len(_WORD.findall(text)) >= minimum_words:
            documents.append(Document(text, tuple(entry.labels), identifier))
    while True:
        counts = Counter(label for document in documents for label in document.labels)
        kept = {label for label, count in counts.items() if count >= minimum_documents}
        if len(kept) == len(counts):
            return sorted(documents, key=lambda document: document.id)
        filtered = [d._replace(labels=tuple(x for x in d.labels if x in kept)) for d in documents]
        documents = [document for document in filtered if document.labels]


def split_by_group(documents: Sequence[Document], *, threshold: float) -> dict[str, list[Document]]:
    """Near-duplicates together, each group where the hash of its smallest text puts it.

    Args:
      documents: N documents.
      threshold: Jaccard similarity of three-word shingles from which on two texts are twins.

    Returns:
      About 80, 10 and 10 % of the documents as "train", "valid" and "test", in the given order.
    """
    texts = [document.text for document in documents]
    group = near_duplicates.groups(texts, threshold=threshold)
    smallest: dict[int, str] = {}
    for number, text in zip(group.tolist(), texts, strict=True):
        smallest[number] = min(smallest.get(number, text), text)
    bounds = np.cumsum(_SHARES[:-1])
    splits: dict[str, list[Document]] = {name: [] for name in SPLITS}
    for number, document in zip(group.tolist(), documents, strict=True):
        digest = hashlib.sha256(smallest[number].encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        splits[SPLITS[int(np.searchsorted(bounds, place, side="right"))]].append(document)
    return splits


def installed_files(packages: Iterable[str] = tuple(pydocs_extract.PACKAGES)) -> list[SourceFile]:
    """The source files of the packages that are installed."""
    return [
        file
        for package in packages
        for folder in pydocs_extract.locate(package)
        for file in pydocs_extract.source_files(folder, "" if package == STDLIB else package)
    ]


def build(
    *,
    minimum_words: int = 25,
    minimum_documents: int = 2,
    threshold: float = 0.5,
    files: Iterable[SourceFile] | None = None,
) -> tuple[dict[str, list[Document]], dict[str, Any]]:
    """Makes the data set and says what it is made of.

    Args:
      minimum_words: Documents of fewer words are dropped.
      minimum_documents: Labels of fewer documents are dropped.
      threshold: Jaccard similarity from which on two texts are near-duplicates.
      files: Source files to read; by default those of the installed packages.

    Returns:
      The splits as `load` gives them, and a summary fit for JSON: versions of the packages,
      counts, fingerprint, files that could not be read.

    Raises:
      InputError: No documents are left.
    """
    from axml_jax.progress import progress

    chosen = list(installed_files() if files is None else files)
    docstrings, unreadable = pydocs_extract.collect(
        progress(chosen, "reading docstrings", total=len(chosen), unit="files")
    )
    documents = documents_of(
        docstrings, minimum_words=minimum_words, minimum_documents=minimum_documents
    )
    if not documents:
        raise InputError(
            f"expected docstrings of at least {minimum_words} words and labels of at least "
            f"{minimum_documents} documents, but none of {len(docstrings)} docstrings from "
            f"{len(chosen)} files is left; install the packages "
            f"{', '.join(pydocs_extract.PACKAGES)} with their .py files, or lower the minimum."
        )
    splits = split_by_group(documents, threshold=threshold)
    return splits, summary(
        splits, files=len(chosen), docstrings=len(docstrings), unreadable=unreadable
    )


def load(
    *, minimum_words: int = 25, minimum_documents: int = 2, threshold: float = 0.5
) -> dict[str, list[Document]]:
    """The data set made from the installed packages: "train", "valid" and "test"; see `build`."""
    return build(
        minimum_words=minimum_words, minimum_documents=minimum_documents, threshold=threshold
    )[0]


def fingerprint(splits: Mapping[str, Sequence[Document]]) -> str:
    """sha256 over the names of the splits and every document's id, text and labels, in order."""
    digest = hashlib.sha256()
    for name, documents in splits.items():
        for field in (name, str(len(documents))):
            digest.update(field.encode() + b"\0")
        for document in documents:
            for field in (document.id, document.text, *document.labels):
                digest.update(field.encode() + b"\0")
            digest.update(b"\1")
    return digest.hexdigest()


def summary(
    splits: Mapping[str, Sequence[Document]],
    *,
    files: int,
    docstrings: int,
    unreadable: Sequence[str | os.PathLike[str]] = (),
) -> dict[str, Any]:
    """What the data set is made of, fit for JSON: every result states it."""
    everything = [document for documents in splits.values() for document in documents]
    labels = Counter(label for document in everything for label in document.labels)
    packages: dict[str, int] = defaultdict(int)
    for document in everything:
        root = document.id.split(".")[0]
        packages[root if root in pydocs_extract.PACKAGES else STDLIB] += 1
    words = sum(len(_WORD.findall(document.text)) for document in everything)
    return {
        "versions": pydocs_extract.versions(),
        "documents": {name: len(documents) for name, documents in splits.items()},
        "documents_by_package": dict(sorted(packages.items())),
        "labels": len(labels),
        "labels_per_document": round(sum(labels.values()) / max(len(everything), 1), 2),
        "words_per_document": round(words / max(len(everything), 1), 1),
        "fingerprint": fingerprint(splits),
        "files": files,
        "docstrings": docstrings,
        "unreadable_files": [Path(path).name for path in unreadable],
    }


def source(description: Mapping[str, Any]) -> str:
    """One line for a store's `source`: the data set and the versions it comes from."""
    versions = ", ".join(f"{name} {version}" for name, version in description["versions"].items())
    return f"pydocs: docstrings of {versions}"
