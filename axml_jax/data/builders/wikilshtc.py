"""WikiLSHTC: Wikipedia with 36,504 categories, the third LSHTC challenge's (Partalas et al., 2015).

Two layouts are read, the first that is there:

1.  Line-aligned texts and labels (`published.read_pairs`), for who has the texts.
2.  The challenge's vectors, `train.txt` and `test.txt`: a document a line, its categories separated
    by commas, then pairs `WORD:COUNT` of stemmed words given as numbers, in ascending order:
    `545, 32 8:1 18:2`.  The text made of it is each number as often as it was counted, `8 18 18`:
    the words' order is lost, so what a BiLSTM can learn from it is less.  In the challenge's own
    test file every category is 0, for they were kept secret: such a file is refused.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from axml_jax.data.builders.published import Files, Published, Splits, has_pairs, read_pairs
from axml_jax.data.corpus import MAX_LINE, Document, open_bytes, read_lines
from axml_jax.data.readers.documents import Documents
from axml_jax.data.table_one import PAPER
from axml_jax.errors import InputError

_FOLDER = "WikiLSHTC"
_VECTORS = {"train": "train.txt", "test": "test.txt"}
_ROW = re.compile(r"\s*(\d+(?:\s*,\s*\d+)*)((?:\s+\d+:\d{1,18}(?:\.0*)?)*)\s*")
_WORD = re.compile(r"(\d+):(\d+)\.?0*")
_SECRET = "0"


def read_vectors(path: Path) -> Iterator[Document]:
    """Documents from lines of categories and counted words.

    Raises:
      InputError: The file is damaged, not of this format, without the categories, or a document's
        counts make a text longer than a line of text may be.
    """
    number = 0
    with contextlib.closing(read_lines(path)) as lines:
        for number, line in enumerate(lines, start=1):
            row = _ROW.fullmatch(line)
            if row is None:
                raise InputError(
                    "expected categories separated by commas and then WORD:COUNT pairs of whole "
                    f"numbers, but the line is {line[:60]!r}",
                    file=path,
                    line=number,
                )
            labels = tuple(row[1].replace(",", " ").split())
            if set(labels) == {_SECRET}:
                raise InputError(
                    "the only category is 0: this is the challenge's own file, which keeps the "
                    "categories secret; a file with them is needed",
                    file=path,
                    line=number,
                )
            counts = [_WORD.fullmatch(pair) for pair in row[2].split()]
            pairs = [(found[1], int(found[2])) for found in counts if found]
            length = sum(count * (len(word) + 1) for word, count in pairs)
            if length > MAX_LINE:
                raise InputError(
                    f"the counts make a text of {length:,} bytes, more than the {MAX_LINE:,} that "
                    "one document may have; expected WORD:COUNT pairs, the counts those of one "
                    "article",
                    file=path,
                    line=number,
                )
            yield Document(" ".join([word for word, count in pairs for _ in range(count)]), labels)
    if number == 0:
        raise InputError("the file is empty: expected one document a line", file=path)


def read(files: Files) -> Splits:
    """Both splits, of whichever layout is there."""
    if has_pairs(files, _FOLDER) or files.get(*_VECTORS.values()) is None:
        return read_pairs(files, _FOLDER)
    paths = {split: files.find(name) for split, name in _VECTORS.items()}
    for path in paths.values():
        open_bytes(path).close()
    return {
        split: Documents(functools.partial(read_vectors, path)) for split, path in paths.items()
    }


WIKILSHTC = Published(
    name="wikilshtc",
    row=PAPER["WikiLSHTC"],
    source=(
        "the third LSHTC challenge's Wikipedia data of medium size, "
        "http://lshtc.iit.demokritos.gr: train_texts.txt, train_labels.txt, test_texts.txt and "
        "test_labels.txt, line by line, or its vectors as train.txt and test.txt, with the "
        "categories of both."
    ),
    homepage="http://lshtc.iit.demokritos.gr",
    read=read,
    urls={},
)
