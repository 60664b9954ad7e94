"""Files that name labels by their numbers: one label a line.  Knows nothing about documents."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from axml_jax.data.corpus import MAX_EXPANSION, MAX_LINE, read_byte_lines, read_lines
from axml_jax.data.readers.record import Record, kind_of, parse_json
from axml_jax.errors import InputError

# Nothing else in brackets: [Music] may be a label's name.
_LIST = re.compile(r'\s*\[\s*(?:"|$)')


class LabelFile(NamedTuple):
    """Labels in the order of their numbers, from 0.

    Attributes:
      path: The file.
      names: A name for each, different for all.
      titles: What the labels are called, by name, where the names are mere identifiers; else empty.
      repeated: How many titles stand in the file again; their labels are told apart by number.
    """

    path: Path
    names: tuple[str, ...]
    titles: dict[str, str]
    repeated: int

    def names_of(self, numbers: Sequence[int], file: Path, line: int | None) -> tuple[str, ...]:
        """Names of the labels with these numbers; `file` and `line` are where they stand.

        Raises:
          InputError: A number is below 0, or the file has no such label.
        """
        names = self.names
        for number in numbers:
            if not 0 <= number < len(names):
                raise InputError(
                    f"label {number} is none of {self.path.name}, whose {len(names):,} labels are "
                    f"0 to {len(names) - 1}; is it the label file of these documents?",
                    file=file,
                    line=line,
                    reason="a label that the label file lacks",
                )
        return tuple([names[number] for number in numbers])


def read_label_file(
    path: str | Path,
    max_line: int = MAX_LINE,
    otherwise: str | None = None,
    max_expansion: int = MAX_EXPANSION,
) -> LabelFile:
    """Reads names of labels.

    A file that begins with `[` and `"` is a JSON list of names.  Otherwise a line is a name, or a
    JSON object with a `title`, and perhaps a `uid`, which then is the name (the Extreme
    Classification Repository's `lbl.json.gz`: titles may be shared, uids are not).
    Names that stand again get their number appended: different labels stay different.

    Args:
      path: The file; `.gz` and `.xz` are read directly.
      max_line: Bytes that a line may have.
      otherwise: The encoding of lines that are not UTF-8, one that any bytes are text in; None
        refuses such lines.
      max_expansion: Bytes that a byte of a compressed file may become.

    Raises:
      InputError: A missing or damaged file, no label, a label without a name or with one of several
        lines, a uid twice, or a name that a number was appended to and that is another's.
    """
    path = Path(path)
    lines = _lines(path, max_line, otherwise, max_expansion)
    names: list[str] = []
    titles: dict[str, str] = {}
    seen: set[str] = set()
    repeated = 0
    for number, (line, uid, title) in enumerate(_entries(path, lines)):
        if not (uid or title):
            what = f"an empty entry {number} of the list" if line is None else "an empty line"
            message = f"{what} where a label's name was expected"
            raise InputError(message, file=path, line=line)
        name = uid or title
        if len(name.split("\n")) > 1 or "\r" in name:
            message = f"the name of a label should be one line of text, but it is {name!r}"
            raise InputError(message, file=path, line=line)
        if name in seen:
            if uid:
                raise InputError(f"the uid {uid!r} stands here again", file=path, line=line)
            repeated += 1
            name = f"{title} [{number}]"
            if name in seen:
                raise InputError(f"the name {name!r} stands here again", file=path, line=line)
        seen.add(name)
        names.append(name)
        if uid and title:
            titles[name] = title
    if not names:
        raise InputError("the file is empty: expected one label a line", file=path)
    return LabelFile(path, tuple(names), titles, repeated)


def _lines(path: Path, max_line: int, otherwise: str | None, max_expansion: int) -> Iterator[str]:
    if otherwise is None:
        yield from read_lines(path, max_line, max_expansion)
        return
    for line in read_byte_lines(path, max_line, max_expansion):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError:
            yield line.decode(otherwise)


def _entries(path: Path, lines: Iterator[str]) -> Iterator[tuple[int | None, str, str]]:
    """The line (None in a JSON list), the uid and the title of each label; "" for what is not."""
    first = next(lines, None)
    if first is None:
        return
    whole = itertools.chain([first], lines)
    if _LIST.match(first) or (first.lstrip().startswith("[") and ".json" in path.suffixes):
        value = parse_json("\n".join(whole), path)
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise InputError(
                f"expected a JSON list of strings, the names of the labels; found {kind_of(value)}",
                file=path,
            )
        yield from ((None, "", name.strip()) for name in value)
        return
    is_json = first.lstrip().startswith("{")
    for number, line in enumerate(whole, start=1):
        record = Record(line, path, number) if is_json else None
        title = (record.text("title") if record else line).strip()
        yield number, record.identifier("uid", required=False) if record else "", title
