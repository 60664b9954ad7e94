"""store.json: what it must say, checked once where a store is opened.

A store may come from somebody else: nothing in its description leads out of its folder, and what
passed here need not be doubted again.  Knows nothing about the arrays themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from axml_jax.data.store_files import (
    DESCRIPTION,
    LABELS,
    REMEDY,
    TITLES,
    VECTORS,
    WORDS,
    split_files,
)
from axml_jax.errors import InputError
from axml_jax.jsonio import read_json

FORMAT = "axml_jax.store"
VERSION = 1
TRAIN = "train"

_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TOTALS = ("words", "labels", "num_train_labels")
_COUNTS = (
    "documents",
    "tokens",
    "truncated_documents",
    "empty_documents",
    "unknown_tokens",
    "labels",
    "distinct_labels",
    "labels_unseen_in_train",
    "entries_unseen_in_train",
    "documents_without_labels",
)
# Which older stores do not have.
_LATER_COUNTS = ("documents_with_repeated_labels", "distinct_unknown_words")
_SUM = re.compile(r"[0-9a-f]{64}")


def is_split_name(name: str) -> bool:
    """Whether a split may be called so: its name is that of a folder within the store."""
    return _SPLIT_NAME.fullmatch(name) is not None


def read_description(path: Path) -> dict[str, Any]:
    """Reads and checks the description of the store in the folder `path`.

    Raises:
      InputError: There is no store, it is of another version, or its description is damaged.
    """
    file = path / DESCRIPTION
    if not file.is_file():
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            # Nor would launch/prepare.py write there.
            raise InputError(
                "this is no store: it has no store.json; name one that launch/prepare.py --out "
                "has made",
                file=path,
            )
        what = "the folder is empty" if path.is_dir() else "no such folder"
        raise InputError(f"{what}; make one with launch/prepare.py --out {path}", file=path)
    description = read_json(file, REMEDY)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise InputError("this file does not describe a store of axml_jax", file=file)
    if description.get("version") != VERSION:
        found = description.get("version")
        raise InputError(
            f"the store is of version {found!r}, this program reads version {VERSION}; {REMEDY}",
            file=file,
        )
    wrong = _first_fault(description)
    if wrong:
        raise InputError(f"the description of the store is damaged: {wrong}; {REMEDY}", file=file)
    return description


def _first_fault(description: Mapping[str, Any]) -> str:
    """What is wrong first, or "" for nothing."""
    for key, kind in (("splits", dict), ("files", dict), ("settings", dict), ("source", str)):
        if not isinstance(description.get(key), kind):
            return f"{key!r} is missing or no {'text' if kind is str else 'object'}"
    for key in _TOTALS:
        if not _is_count(description.get(key)):
            return f"{key!r} is no count: {description.get(key)!r}"
    if not 1 <= description["num_train_labels"] <= description["labels"]:
        return f"'num_train_labels' is not in 1..{description['labels']}"
    if not _is_sum(description.get("fingerprint")):
        return "'fingerprint' is no SHA-256"
    return (
        _fault_of_splits(description["splits"])
        or _fault_of_base(description)
        or _fault_of_vectors(description)
        or _fault_of_titles(description)
        or _fault_of_files(description)
    )


def _fault_of_splits(splits: Mapping[str, Any]) -> str:
    if TRAIN not in splits:
        return f"there is no split {TRAIN!r}"
    for name, about in splits.items():
        if not is_split_name(name):
            return f"the split {name!r} cannot be the name of a folder"
        if not isinstance(about, dict):
            return f"the split {name!r} is no object"
        for key in _COUNTS:
            if not _is_count(about.get(key)):
                return f"{key!r} of the split {name!r} is no count: {about.get(key)!r}"
        for key in _LATER_COUNTS:
            if not _is_count(about.get(key, 0)):
                return f"{key!r} of the split {name!r} is no count: {about[key]!r}"
        if not _are_skipped(about.get("skipped", {})):
            return f"'skipped' of the split {name!r} does not count rows by reason"
        # An empty document is one unknown word, so there are no fewer tokens than documents.
        if not 1 <= about["documents"] <= about["tokens"]:
            return f"'documents' of the split {name!r} is not in 1..{about['tokens']}"
        if not isinstance(about.get("ids"), bool):
            return f"'ids' of the split {name!r} is neither true nor false"
    return ""


def _fault_of_base(description: Mapping[str, Any]) -> str:
    about = description.get("base")
    if about is None:
        return ""
    sound = (
        isinstance(about, dict)
        and isinstance(about.get("name"), str)
        and _is_sum(about.get("fingerprint"))
        and _is_count(about.get("labels"))
        and about["labels"] <= description["num_train_labels"]
    )
    return "" if sound else f"'base' does not describe a store or run: {about!r}"


def _fault_of_vectors(description: Mapping[str, Any]) -> str:
    about = description.get("vectors", "missing")
    if about is None:
        return ""
    sound = (
        isinstance(about, dict)
        and about.get("kind") in ("ppmi", "file", "base")
        and _is_count(about.get("width"))
        and _is_sum(about.get("sha256"))
    )
    if sound and about["kind"] == "file":
        coverage = about.get("token_coverage")
        sound = (
            isinstance(about.get("file"), str)
            and _is_count(about.get("words_found"))
            and _is_share(coverage)
            and _are_shares(about.get("split_coverage", {}))
        )
    if sound and about["kind"] == "base":
        sound = about.get("of") in ("ppmi", "file")
    return "" if sound else f"'vectors' does not describe word vectors: {about!r}"


def _fault_of_titles(description: Mapping[str, Any]) -> str:
    # Stores written before there were titles say nothing about them.
    about = description.get("titles")
    sound = about is None or (
        isinstance(about, dict)
        and isinstance(about.get("file"), str)
        and _is_count(about.get("labels_found"))
        and _is_count(about.get("from_base", 0))
        and _is_sum(about.get("sha256"))
    )
    return "" if sound else f"'titles' does not describe titles of labels: {about!r}"


def _fault_of_files(description: Mapping[str, Any]) -> str:
    needed = [WORDS, LABELS] + [VECTORS] * (description["vectors"] is not None)
    needed += [TITLES] * (description.get("titles") is not None)
    for name, about in description["splits"].items():
        needed += split_files(name, about["ids"])
    sizes = description["files"]
    # Exactly these: no other name is looked up, so none can lead out of the folder.
    if sizes.keys() != set(needed):
        return f"'files' names others than {', '.join(sorted(needed))}"
    for name, size in sizes.items():
        if not _is_count(size):
            return f"the size of {name} is no count: {size!r}"
    return ""


def _are_shares(values: Any) -> bool:
    return isinstance(values, dict) and all(map(_is_share, values.values()))


def _is_share(value: Any) -> bool:
    # NaN is none.
    return isinstance(value, int | float) and 0 <= value <= 1


def _are_skipped(values: Any) -> bool:
    """Whether it says how many rows were passed over why, and where the first of them stand."""
    return isinstance(values, dict) and all(
        isinstance(about, dict)
        and about.keys() == {"rows", "first"}
        and _is_count(about["rows"])
        and isinstance(about["first"], list)
        and all(isinstance(place, str) for place in about["first"])
        for about in values.values()
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _is_sum(value: Any) -> bool:
    return isinstance(value, str) and _SUM.fullmatch(value) is not None
