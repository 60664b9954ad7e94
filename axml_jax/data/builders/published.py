"""Data sets as their publishers distribute them: where files lie, and whether all was read.

Knows nothing about any one format, nor about TFDS.  A data set is a value of `Published` in a
module of its own beside this one; `axml_jax.data.builders.catalogue` lists them.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from axml_jax.data import table_one
from axml_jax.data.corpus import COMPRESSED, Document, read_lines
from axml_jax.data.readers.documents import CountedDocuments, Documents, Options
from axml_jax.data.readers.line_aligned import open_line_aligned
from axml_jax.errors import InputError
from axml_jax.progress import say
from axml_jax.tables import show_table

Splits = dict[str, Documents]


class Files:
    """Finds files by the names that their publisher gave them.

    Args:
      folder: Where they lie.
      source: Where they come from, for the message about a missing one.
      fetched: Files that lie elsewhere under another name, by their publisher's name.
    """

    def __init__(
        self, folder: str | Path, source: str, fetched: Mapping[str, Path] | None = None
    ) -> None:
        self.folder = Path(folder)
        self._source = source
        self._fetched = dict(fetched or {})

    def get(self, *names: str) -> Path | None:
        """The first of the files that is there, as it is or ending in `.gz` or `.xz`, or None."""
        for name in names:
            if name in self._fetched:
                return self._fetched[name]
            for ending in ("", *COMPRESSED):
                path = self.folder / f"{name}{ending}"
                if path.exists():
                    return path
        return None

    def find(self, *names: str) -> Path:
        """As `get`.

        Raises:
          InputError: None of them is there.
        """
        path = self.get(*names)
        if path is None:
            also = "".join(f", or {name}" for name in names[1:])
            raise InputError(
                f"this file is missing (plain, .gz or .xz){also}; {self._source}",
                file=self.folder / names[0],
            )
        return path


class Published(NamedTuple):
    """A data set.

    Attributes:
      name: What `--dataset` calls it; TFDS knows it with `axml_` before.
      row: What Table 1 says of it; None for a data set that is not the paper's.
      source: Where which files come from, in one or two sentences.
      homepage: The publisher's page.
      read: Begins reading; raises InputError for a missing file.
      urls: Addresses of the files that can be fetched, by the name that `read` asks for.  One that
        ends in `.zip` becomes the folder that is read.
      counts: Published numbers of a data set that is not the paper's, by field of
        `axml_jax.data.table_one.Row`.
    """

    name: str
    row: table_one.Row | None
    source: str
    homepage: str
    read: Callable[[Files], Splits]
    urls: Mapping[str, str]
    counts: Mapping[str, int] = types.MappingProxyType({})

    def files(self, folder: str | Path) -> Files:
        """The files in a folder of the user's.

        Raises:
          InputError: There is no such folder.
        """
        if not Path(folder).is_dir():
            raise InputError(f"there is no such folder; {self.source}", file=folder)
        return Files(folder, self.source)


def read_pairs(files: Files, folder: str) -> Splits:
    """Texts and labels of the same document on the same line, as the paper's authors share them.

    The archives linked from their repository (github.com/yourh/AttentionXML) unpack to a folder
    with `train_texts.txt`, `train_labels.txt`, `test_texts.txt` and `test_labels.txt`, labels
    separated by spaces; where the texts are tokenized there, `train_raw_texts.txt` and
    `test_raw_texts.txt` hold them as they were, and are preferred.

    Args:
      files: Where to look.
      folder: The folder that the archive unpacks to; its files may also lie in the outer one.
    """
    splits: Splits = {}
    for split in ("train", "test"):
        names = (f"{split}_raw_texts.txt", f"{split}_texts.txt")
        texts = files.find(*_both(folder, *names))
        labels = files.find(*_both(folder, f"{split}_labels.txt"))
        splits[split] = open_line_aligned(texts, labels, options=Options(keep_empty=True))
    return splits


def has_pairs(files: Files, folder: str) -> bool:
    """Whether any of the files that `read_pairs` reads is there."""
    names = [
        f"{split}_{what}.txt"
        for split in ("train", "test")
        for what in ("texts", "raw_texts", "labels")
    ]
    return files.get(*_both(folder, *names)) is not None


def _both(folder: str, *names: str) -> list[str]:
    return [*names, *(f"{folder}/{name}" for name in names)]


def read_qrels(path: Path) -> dict[str, tuple[str, ...]]:
    """Labels of documents from lines of `LABEL DOCUMENT 1`, in order of their lines.

    Raises:
      InputError: A line is no such line, or the file is damaged.
    """
    names: dict[str, str] = {}
    labels: dict[str, tuple[str, ...]] = {}
    with contextlib.closing(read_lines(path)) as lines:
        for number, line in enumerate(lines, start=1):
            parts = line.split()
            if len(parts) != 3 or parts[2] != "1":
                raise InputError(
                    f"expected a label, a document's number and 1, but the line is {line[:60]!r}",
                    file=path,
                    line=number,
                )
            label, document, _ = parts
            labels[document] = (*labels.get(document, ()), names.setdefault(label, label))
    return labels


def from_memory(splits: Mapping[str, Sequence[Document]]) -> Splits:
    """Documents that are in memory already."""
    return {
        split: CountedDocuments(functools.partial(iter, documents), len(documents))
        for split, documents in splits.items()
    }


def checked(
    dataset: Published, splits: Mapping[str, Documents], tell: bool, table: bool = False
) -> Splits:
    """The same documents, counted as they are read and compared with what was published.

    Args:
      dataset: What is read.
      splits: Its documents.
      tell: Whether other numbers of documents or labels than published are only told.
      table: Whether Table 1 is printed when the last split was read.  Texts are split into words
        for it; who encodes them prints it afterwards, by `show_table_one`.

    Returns:
      The splits, to be read in any order.  Reading the last of them to its end raises InputError
      where a number is another than published, unless `tell`.
    """
    tally = table_one.Tally(words=table)
    unread = set(splits)

    def read(split: str, documents: Iterator[Document]) -> Iterator[Document]:
        yield from tally.reading(split, documents)
        unread.discard(split)
        if not unread:
            if table:
                show_table_one(dataset, tally.row(dataset.name))
            _check_counts(dataset, tally.counts(), tell)

    return {
        split: documents.passing(functools.partial(read, split))
        for split, documents in splits.items()
    }


def show_table_one(dataset: Published, row: table_one.Row, title: str = "Table 1") -> None:
    """Prints Table 1 for what was read, with the paper's row and where means are not the paper's.

    Args:
      dataset: What was read.
      row: What was counted.
      title: Stands above it.
    """
    rows = [row._replace(name=dataset.name)]
    caption = ""
    if dataset.row is not None:
        rows.append(dataset.row._replace(name=f"{dataset.row.name} in the paper"))
        means = {f: value for f, value in row._asdict().items() if f not in table_one.COUNTS}
        found = table_one.differences(means, dataset.row._asdict(), dataset.row.name)
        caption = "; ".join(map(str, found))
    header, cells = table_one.table_cells(rows)
    show_table(title, header, cells, caption)


def _check_counts(dataset: Published, counts: Mapping[str, int], tell: bool) -> None:
    row = dataset.row
    found = table_one.differences(counts, dataset.counts if row is None else row._asdict())
    if not found:
        return
    called = dataset.name if row is None else row.name
    told = f"{dataset.name} is not the published {called}: {'; '.join(map(str, found))}"
    if not tell:
        raise InputError(
            f"{told}.  Are files missing or cut short?  {dataset.source}  To go on with what is "
            "there, ask for differences to be told (--other_counts)"
        )
    say(f"note: {told}")
