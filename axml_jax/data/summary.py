"""What a store holds, as a short table for people.  Knows nothing about models."""

from __future__ import annotations

from axml_jax.data.store import Store

Rows = list[tuple[str, ...]]


def split_rows(store: Store) -> Rows:
    """A header, then one row of counts for each split."""
    rows: Rows = [
        (
            "split",
            "documents",
            "labels",
            "labels/doc",
            "words/doc",
            "unknown words",
            "truncated",
            "without labels",
            "labels unseen in train",
        )
    ]
    for name, about in store.description["splits"].items():
        documents = about["documents"]
        unseen = f"{about['labels_unseen_in_train']:,} ({about['entries_unseen_in_train']:,} uses)"
        rows.append(
            (
                name,
                f"{documents:,}",
                f"{about['distinct_labels']:,}",
                f"{about['labels'] / documents:.2f}",
                f"{(about['tokens'] - about['empty_documents']) / documents:.0f}",
                f"{about['unknown_tokens'] / about['tokens']:.1%}",
                f"{about['truncated_documents'] / documents:.1%}",
                f"{about['documents_without_labels']:,}",
                "-" if name == "train" else unseen,
            )
        )
    return rows


def notes(store: Store) -> list[str]:
    """Sentences about the store as a whole: words, vectors, what is worth knowing, fingerprint."""
    description = store.description
    words = f"{description['words']:,} words"
    about = description["vectors"]
    if about is None:
        words += ", without vectors"
    elif about["kind"] == "ppmi":
        words += f", vectors of width {about['width']} made from the training text (ppmi)"
    else:
        words += (
            f", vectors of width {about['width']} from {about['file']}: {about['words_found']:,} "
            f"words found, {about['token_coverage']:.1%} of the training text"
        )
    lines = [words]
    for name, split in description["splits"].items():
        if split["empty_documents"]:
            count = split["empty_documents"]
            lines.append(f"{name}: {count:,} documents without a word are read as one unknown word")
    lines.append(f"fingerprint {store.fingerprint[:16]}  ({store.path})")
    return lines


def show(store: Store) -> None:
    """Prints the table and the notes; in colours where rich is installed."""
    header, *rows = split_rows(store)
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(plain_table([header, *rows]))
    else:
        table = Table(*header)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    for line in notes(store):
        print(line)


def plain_table(rows: Rows) -> str:
    """Aligns columns with spaces, the first to the left and the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines)
