"""What a store holds, as a short table for people.  Knows nothing about models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from axml_jax.data.store import TRAIN, Store
from axml_jax.data.text import UNK
from axml_jax.tables import printable, show_table

Rows = list[tuple[str, ...]]

_SEPARATORS = ";|,"
_MANY = 0.1  # a separator in this share of the labels' names has hardly come there on purpose
_FEW_WORDS = 2
_SHOWN, _SHOWN_CHARACTERS = 3, 60


def table_rows(store: Store) -> Rows:
    """One row for each quantity, one column for each split; the first row is the header."""
    splits = store.description["splits"]
    rows: Rows = [("", *splits)]

    def add(name: str, *values: str) -> None:
        rows.append((name, *values))

    abouts = list(splits.values())
    add("documents", *(f"{about['documents']:,}" for about in abouts))
    add("different labels", *(f"{about['distinct_labels']:,}" for about in abouts))
    add(f"  of them not in {TRAIN}", *(f"{about['labels_unseen_in_train']:,}" for about in abouts))
    add("labels per document", *(_ratio(about, "labels", ".2f") for about in abouts))
    add("documents without labels", *(f"{about['documents_without_labels']:,}" for about in abouts))
    repeated = [about.get("documents_with_repeated_labels", 0) for about in abouts]
    if any(repeated):
        add("documents with a label twice", *(f"{count:,}" for count in repeated))
    add("words per document", *(_ratio(about, "tokens", ".0f") for about in abouts))
    add("unknown words", *(f"{about['unknown_tokens'] / about['tokens']:.1%}" for about in abouts))
    add("documents cut", *(_ratio(about, "truncated_documents", ".1%") for about in abouts))
    skipped = [_rows_skipped(about) for about in abouts]
    if any(skipped):
        add("rows passed over", *(f"{count:,}" for count in skipped))
    add("documents without words", *(f"{about['empty_documents']:,}" for about in abouts))
    return rows


def notes(store: Store) -> list[str]:
    """Sentences about the store as a whole: words, vectors, labels, titles, fingerprint."""
    description = store.description
    words = f"{description['words'] - UNK - 1:,} words"
    about = description["vectors"]
    if about is None:
        words += ", without vectors"
    elif about["kind"] == "ppmi":
        words += f", vectors of width {about['width']} made from the training texts (ppmi)"
    elif about["kind"] == "base":
        words += f", vectors of width {about['width']} of the base"
    else:
        words += (
            f", vectors of width {about['width']} from {about['file']} for "
            f"{about['words_found']:,} of them, {about['token_coverage']:.1%} of the training texts"
        )
    lines = [words, f"labels such as {_examples(store)}"]
    if description.get("titles") is not None:
        lines.append(_of_titles(store))
    if description.get("base"):
        lines.append(_of_base(store))
    return [*lines, f"fingerprint {store.fingerprint[:16]}, in {store.path}"]


def skipped_notes(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Why rows were passed over, and where the first of them stand.

    Args:
      splits: What a store's description says of each split.
    """
    found = []
    for name, about in splits.items():
        for reason, rows in about.get("skipped", {}).items():
            more = ", ..." if rows["rows"] > len(rows["first"]) else ""
            places = ", ".join(rows["first"]) + more
            found.append(f"{name}: passed over {rows['rows']:,} for {reason}: {places}")
    return found


def doubts(store: Store) -> list[str]:
    """What looks like a mistake in how the files were read; whether it is one, only people know."""
    about = store.description["splits"][TRAIN]
    documents, known = about["documents"], store.num_train_labels
    words, labels = about["tokens"] / documents, about["labels"] / documents
    found = []
    if labels > words or (known > documents and words < _FEW_WORDS):
        found.append(
            f"are texts and labels swapped?  {known:,} labels for {documents:,} documents, "
            f"{labels:,.1f} labels and {words:,.1f} words a document"
        )
    for name, split in store.description["splits"].items():
        if _rows_skipped(split) > split["documents"]:
            found.append(
                f"more rows of {name} were passed over than read: {_rows_skipped(split):,} beside "
                f"{split['documents']:,} documents; is it read in the right format?"
            )
    names = store.label_names[:known]
    for separator in _SEPARATORS:
        joined = [name for name in names if separator in name]
        if len(joined) > max(1, _MANY * known):
            found.append(
                f"{len(joined):,} of {known:,} labels' names hold {separator!r}, such as "
                f"{_quoted(joined[0])}; where it stands between labels, prepare once more with "
                f"--separator '{separator}'"
            )
    return found


def _examples(store: Store) -> str:
    """The most frequent labels."""
    counts = store.label_counts[: store.num_train_labels]
    order = np.argsort(-counts, kind="stable")[:_SHOWN]
    return ", ".join(_quoted(store.label_names[label]) for label in order)


def _quoted(name: str) -> str:
    cut = name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}…"
    return f"'{cut}'"


def _of_titles(store: Store) -> str:
    """Where the titles are from, apart for those of the base."""
    description = store.description
    about, number = description["titles"], description["labels"]
    found, inherited = about["labels_found"], about.get("from_base", 0)
    if not 0 < inherited < found:
        return f"titles from {about['file']} for {found:,} of {number:,} labels"
    return (
        f"titles for {found:,} of {number:,} labels: {found - inherited:,} from {about['file']}, "
        f"{inherited:,} from {description['base']['name']}"
    )


def _of_base(store: Store) -> str:
    """What of the store its base knows."""
    description = store.description
    base, train = description["base"], description["splits"][TRAIN]
    known = base["labels"]
    absent = known - np.count_nonzero(store.label_counts[:known])
    return (
        f"words and labels of {base['name']} (fingerprint {base['fingerprint'][:16]}): "
        f"{train['unknown_tokens']:,} of {train['tokens']:,} words of the training texts are "
        f"unknown to it; {store.num_train_labels - known:,} labels are new, {known:,} known, "
        f"{absent:,} of these without a training document here"
    )


def show(store: Store) -> None:
    """Prints the table, the notes and the doubts."""
    header, *rows = table_rows(store)
    show_table("", header, rows)
    for line in [*skipped_notes(store.description["splits"]), *notes(store)]:
        print(printable(line))
    for line in doubts(store):
        print(printable(f"WARNING: {line}"))


def _rows_skipped(about: Mapping[str, Any]) -> int:
    return sum(reason["rows"] for reason in about.get("skipped", {}).values())


def _ratio(about: dict[str, int], name: str, form: str) -> str:
    return format(about[name] / about["documents"], form)
