"""Names for people, here called titles, of labels that stand in the data as bare ids.

A file of titles is one of these, `.gz` and `.xz` read directly:

    {"2771": "oil pollution"}             a JSON object: titles by label
    2771<TAB>oil pollution                the same as text
    ["oil pollution"]                     a JSON list: the title of label 0, of label 1 and so on
    oil pollution                         the same as text, one title a line
    {"uid": "x7", "title": "..."}         JSON lines, as the Extreme Classification Repository has
                                          them: labels are line numbers from 0, or the uids

Knows nothing about stores or models.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from axml_jax.data.corpus import COMPRESSED, MAX_LABELS_LINE, read_lines
from axml_jax.data.readers.record import parse_json
from axml_jax.errors import InputError


def require_titles(titles: Any, count: int, file: Path) -> None:
    """Refuses what is no list of a title, or null, for each label of a run.

    Raises:
      InputError: With `file`, where it stands.
    """
    if not (
        isinstance(titles, list)
        and len(titles) == count
        and all(title is None or isinstance(title, str) for title in titles)
    ):
        raise InputError(f"'titles' should be a list of {count} texts, null for none", file=file)


class Titles(NamedTuple):
    """What a file of titles says.

    Attributes:
      file: Where it was read.
      by_label: Titles by label; None where the file gives them by place alone.
      by_place: Titles of the labels 0, 1 and so on, "" for none; None where it names labels.
    """

    file: str
    by_label: Mapping[str, str] | None
    by_place: Sequence[str] | None

    def of_labels(self, names: Sequence[str]) -> list[str | None]:
        """The title of each label, None where the file has none.

        Where a file gives both, uids count if every label is one of them, then places likewise;
        uids again if neither is so.

        Args:
          names: The labels' names in the data.

        Raises:
          InputError: No label has a title, or titles stand by place and a label is none.
        """
        by_label, by_place = self.by_label or {}, self.by_place or ()
        if by_place and not all(name in by_label for name in names):
            places = len(by_place)
            strange = next((name for name in names if not _is_place(name, places)), None)
            if strange is None:
                return self._some([by_place[int(name)] or None for name in names], names)
            if not by_label:
                raise InputError(
                    f"it gives titles by place, for labels 0 to {places - 1}, but the data have "
                    f"the label {strange!r}; give titles by label: a JSON object, or lines of "
                    "label, tab, title",
                    file=self.file,
                )
        return self._some([by_label.get(name) or None for name in names], names)

    def _some(self, found: list[str | None], names: Sequence[str]) -> list[str | None]:
        if not any(found):
            raise InputError(
                f"none of the {len(names)} labels of the data, such as {names[0]!r}, has a title "
                "in this file; is it the file of another data set?",
                file=self.file,
            )
        return found


def shown_label(name: str, title: str | None) -> str:
    """A label as people see it: its title, and its name in brackets where that is another."""
    return name if title is None or title == name else f"{title} ({name})"


def read_titles(path: str | Path) -> Titles:
    """Reads a file of titles; the module's docstring shows the formats.

    Names ending in `.json` and files that begin with a brace are JSON; anything else is text, with
    a label on each line where the first line has a tab.

    Args:
      path: The file.

    Raises:
      InputError: The file is missing, damaged or empty, or holds something else; with its line.
    """
    path = Path(path)
    lines = read_lines(path, MAX_LABELS_LINE)
    first = next(lines, None)
    if first is None:
        raise InputError("the file is empty: expected titles of labels", file=path)
    second = next(lines, None)
    whole = itertools.chain([first] if second is None else [first, second], lines)
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSED]
    if first.lstrip().startswith("{") or suffixes[-1:] == [".json"]:
        if _is_record(first, alone=not (second or "").strip()):
            return _from_records(path, whole)
        return _from_json(path, "\n".join(whole))
    if "\t" in first:
        return Titles(str(path), _from_pairs(path, whole), None)
    return Titles(str(path), None, [_clean(path, i, line) for i, line in enumerate(whole, 1)])


def _is_place(name: str, places: int) -> bool:
    is_number = name.isascii() and name.isdecimal() and (name == "0" or name[0] != "0")
    return is_number and len(name) < 20 and int(name) < places


def _is_record(line: str, alone: bool) -> bool:
    """Whether a file's first line is a record of JSON lines, and not the whole object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and (not alone or {"uid", "title"} <= value.keys())


def _from_records(path: Path, lines: Iterator[str]) -> Titles:
    by_label: dict[str, str] = {}
    by_place: list[str] = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"no JSON object ({error})", file=path, line=number) from error
        if not isinstance(record, dict) or "title" not in record:
            raise InputError(
                "expected a JSON object with a 'title', as on the lines before",
                file=path,
                line=number,
            )
        title = _clean(path, number, record["title"])
        by_place.append(title)
        if "uid" in record:
            _add(by_label, path, number, str(record["uid"]), title)
    return Titles(str(path), by_label or None, by_place)


def _from_json(path: Path, text: str) -> Titles:
    value = parse_json(text, path)
    if isinstance(value, dict):
        return Titles(str(path), {k: _clean(path, None, v, k) for k, v in value.items()}, None)
    if isinstance(value, list):
        places = [_clean(path, None, title, str(i)) for i, title in enumerate(value)]
        return Titles(str(path), None, places)
    raise InputError("expected a JSON object of label and title, or a list of titles", file=path)


def _from_pairs(path: Path, lines: Iterator[str]) -> dict[str, str]:
    titles: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        label, tab, title = line.partition("\t")
        if not tab:
            raise InputError(
                "expected a label, a tab and its title, as on the lines before",
                file=path,
                line=number,
            )
        _add(titles, path, number, label.strip(), _clean(path, number, title))
    return titles


def _add(titles: dict[str, str], path: Path, number: int, label: str, title: str) -> None:
    if titles.setdefault(label, title) != title:
        raise InputError(
            f"the label {label!r} has another title, {titles[label]!r}, further above; keep one",
            file=path,
            line=number,
        )


def _clean(path: Path, number: int | None, title: Any, label: str = "") -> str:
    of = f" of the label {label!r}" if label else ""
    if not isinstance(title, str):
        raise InputError(f"expected a text as title{of}, {title!r} came", file=path, line=number)
    if any("\ud800" <= character <= "\udfff" for character in title):
        raise InputError(f"the title{of} is no text that UTF-8 can hold", file=path, line=number)
    return title.strip()
