"""Texts as launch/predict.py takes them, and what is known to be true of them in a second file.

Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat, zip_longest
from pathlib import Path

from axml_jax.data.corpus import MAX_LABELS_LINE, Document, open_bytes, read_lines
from axml_jax.data.new_texts import NewText, open_new_texts
from axml_jax.data.readers.documents import Options, make_document, split_labels
from axml_jax.errors import InputError


def open_labelled_texts(
    texts: str,
    labels: str | None = None,
    *,
    format: str = "auto",
    text_fields: Sequence[str] = (),
    separator: str | None = None,
) -> Iterator[Document]:
    """Documents of a file of texts and, where it is there, of a file with their labels.

    Args:
      texts: The texts; labels beside them in the file are passed over.
      labels: The labels of one text a line; the first line's are those of the first text.
      format, text_fields: As for `new_texts.open_new_texts`.
      separator: Between labels; None for white space.

    Raises:
      InputError: A file is missing; while reading, one is damaged, empty or has an empty text, or
        there are more texts than lines of labels, or fewer.
    """
    for path in filter(None, (texts, labels)):  # a wrong name is told before anything is read
        open_bytes(path).close()
    found = open_new_texts(read_lines(texts), texts, format, text_fields).texts
    if labels is None:
        return _documents(zip(found, repeat(()), strict=False), texts, None)
    named = (
        tuple(line.split()) if separator is None else split_labels(line, separator)
        for line in read_lines(labels, MAX_LABELS_LINE)
    )
    return _documents(zip_longest(found, named), texts, labels)


def _documents(
    pairs: Iterable[tuple[NewText | None, tuple[str, ...] | None]], texts: str, labels: str | None
) -> Iterator[Document]:
    number = 0
    for number, (new, names) in enumerate(pairs, start=1):
        if new is None or names is None:
            short, long = (texts, labels) if new is None else (labels, texts)
            raise InputError(
                f"expected as many texts in {texts} as lines in {labels}; this one ends after "
                f"{number - 1}, and {Path(long or '').name} goes on.",
                file=short,
            )
        yield make_document(new.text, names, new.id, Options(), texts, new.line)
    if number == 0:
        raise InputError("the file is empty: expected a text", file=texts)


def refuse_strangers(documents: Sequence[Document], names: Sequence[str], file: str) -> None:
    """Refuses labels of which a model knows none: they are of another data set.

    Raises:
      InputError: There are labels, and not one is among the names.
    """
    given = dict.fromkeys(name for document in documents for name in document.labels)
    if given and not given.keys() & set(names):
        raise InputError(
            f"none of its {len(given)} labels, such as {next(iter(given))!r}, is known to the "
            "model; is it the file of another data set, or does it need --separator?",
            file=file,
        )
