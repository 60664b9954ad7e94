"""What a store holds, as a short table for people.  Knows nothing about models."""

from __future__ import annotations

from axml_jax.data.store import TRAIN, Store
from axml_jax.tables import printable, show_table

Rows = list[tuple[str, ...]]


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
    add("words per document", *(_ratio(about, "tokens", ".0f") for about in abouts))
    add("unknown words", *(f"{about['unknown_tokens'] / about['tokens']:.1%}" for about in abouts))
    add("documents cut", *(_ratio(about, "truncated_documents", ".1%") for about in abouts))
    add("documents without words", *(f"{about['empty_documents']:,}" for about in abouts))
    return rows


def notes(store: Store) -> list[str]:
    """Sentences about the store as a whole: words, vectors, titles, fingerprint."""
    description = store.description
    words = f"{description['words']:,} words"
    about = description["vectors"]
    if about is None:
        words += ", without vectors"
    elif about["kind"] == "ppmi":
        words += f", vectors of width {about['width']} made from the training texts (ppmi)"
    else:
        words += (
            f", vectors of width {about['width']} from {about['file']} for "
            f"{about['words_found']:,} of them, {about['token_coverage']:.1%} of the training texts"
        )
    titles = description.get("titles")
    lines = [words]
    if titles is not None:
        lines.append(
            f"titles from {titles['file']} for {titles['labels_found']:,} of "
            f"{description['labels']:,} labels"
        )
    return [*lines, f"fingerprint {store.fingerprint[:16]}, in {store.path}"]


def show(store: Store) -> None:
    """Prints the table and the notes."""
    header, *rows = table_rows(store)
    show_table("", header, rows)
    for line in notes(store):
        print(printable(line))


def _ratio(about: dict[str, int], name: str, form: str) -> str:
    return format(about[name] / about["documents"], form)
