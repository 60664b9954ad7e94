"""EUR-Lex: European law with EUROVOC descriptors (Loza Mencía and Fürnkranz, 2008 and 2010).

Two layouts are read, the first that is there:

1.  The paper's: line-aligned texts and labels with its split, as its authors share them
    (`published.read_pairs`; archive EUR-Lex).
2.  The publishers': `eurlex_tokenstring_CV1-10_train.arff` and `..._test.arff`, the first of their
    ten folds, and `id2class_eurlex_eurovoc.qrels`, lines of `DESCRIPTOR DOCUMENT 1`.  An ARFF row
    is the document's number, a comma, and its lower-case words in quotes.  These documents are
    split otherwise, so counts differ from Table 1's.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from axml_jax.data.builders.published import (
    Files,
    Published,
    Splits,
    has_pairs,
    read_pairs,
    read_qrels,
)
from axml_jax.data.corpus import Document, open_bytes, read_lines
from axml_jax.data.readers.documents import Documents
from axml_jax.data.table_one import PAPER
from axml_jax.errors import InputError

_FOLDER = "EUR-Lex"
_QRELS = "id2class_eurlex_eurovoc.qrels"
_ARFF = {split: f"eurlex_tokenstring_CV1-10_{split}.arff" for split in ("train", "test")}
_ROW = re.compile(r"""\s*(\d+)\s*,\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(\S*))\s*""")
_ESCAPED = re.compile(r"\\(.)")


def read_arff(path: Path, labels: Mapping[str, tuple[str, ...]]) -> Iterator[Document]:
    """Documents from rows of a number and a quoted text; one without words is kept as it is.

    Raises:
      InputError: The file is damaged, or not of this format.
    """
    in_data, found = False, False
    with contextlib.closing(read_lines(path)) as lines:
        for at, line in enumerate(lines, start=1):
            if not in_data:
                in_data = line.strip().lower() == "@data"
                continue
            if not line.strip() or line.startswith("%"):
                continue
            row = _ROW.fullmatch(line)
            if row is None:
                raise InputError(
                    "expected a document's number, a comma and its words in quotes, but the line "
                    f"is {line[:60]!r}; fetch the file anew",
                    file=path,
                    line=at,
                )
            text = next(group for group in row.groups()[1:] if group is not None)
            found = True
            yield Document(_ESCAPED.sub(r"\1", text), labels.get(row[1], ()), row[1])
    if not found:
        what = "no row after @data" if in_data else "no line @data"
        raise InputError(f"the file has {what}: damaged or cut short; fetch it anew", file=path)


def read(files: Files) -> Splits:
    """Both splits, of whichever layout is there."""
    if has_pairs(files, _FOLDER) or files.get(_QRELS, *_ARFF.values()) is None:
        return read_pairs(files, _FOLDER)
    paths = {split: files.find(name) for split, name in _ARFF.items()}
    for path in paths.values():
        open_bytes(path).close()
    labels = read_qrels(files.find(_QRELS))
    return {
        split: Documents(functools.partial(read_arff, path, labels))
        for split, path in paths.items()
    }


EURLEX4K = Published(
    name="eurlex4k",
    row=PAPER["EUR-Lex"],
    source=(
        "the paper's split is in the archive EUR-Lex of https://github.com/yourh/AttentionXML: "
        "train_texts.txt, train_labels.txt, test_texts.txt, test_labels.txt.  Other splits of the "
        "same documents: the publishers' https://ke-tud.github.io/resources/eurlex.html, files "
        f"{', '.join(_ARFF.values())} and {_QRELS}."
    ),
    homepage="https://ke-tud.github.io/resources/eurlex.html",
    read=read,
    urls={},
)
