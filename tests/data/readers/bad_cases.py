"""Documents in every format, of which one file is bad, and what preparing them says."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.formats import FORMATS
from axml_jax.data.readers.layouts import Layout, SplitFiles
from axml_jax.data.readers.opening import open_splits
from axml_jax.data.store import Store, write_store
from axml_jax.errors import InputError
from tests.data.readers.in_formats import DOCUMENTS, in_format

ALIGNED = [name for name in FORMATS if name.startswith("lines")]
# Every file of every format: the line of its second document, from 0.
PARTS = {
    **{(name, "path"): int(name == "csv") + 1 for name in FORMATS},
    **{(name, "labels"): int(name in ("lines_bow", "lines_sparse")) + 1 for name in ALIGNED},
    **{(name, "ids"): 1 for name in ALIGNED},
}
TEXT_PARTS = [part for part in PARTS if part != ("lines_npz", "labels")]


class Case(NamedTuple):
    """Documents in a format, of which one file is bad."""

    name: str
    files: SplitFiles
    victim: Path

    def renamed(self, path: Path) -> "Case":
        """The same with the victim under another name."""
        if self.name == "json_folder":
            return self._replace(victim=path)
        changed = {part: path for part, old in self.files._asdict().items() if old == self.victim}
        return self._replace(files=self.files._replace(**changed), victim=path)


def new_case(folder: Path, name: str, part: str) -> Case:
    files = in_format(folder / "data", name, DOCUMENTS)
    victim = files.path / "00001.json" if name == "json_folder" else getattr(files, part)
    return Case(name, files, victim)


def damage_row(case: Case, part: str, damage: Callable[[bytes], bytes]) -> int | None:
    """Damages what tells about the second document; its line, or None for all of a file."""
    if case.name == "json_folder":
        case.victim.write_bytes(damage(case.victim.read_bytes()))
        return None
    row = PARTS[case.name, part]
    lines = case.victim.read_bytes().splitlines(keepends=True)
    lines[row] = damage(lines[row].rstrip(b"\n")) + b"\n"
    case.victim.write_bytes(b"".join(lines))
    return row + 1


def prepare(
    folder: Path, case: Case, format: str = "auto", options: Options | None = None
) -> Store:
    """As launch/prepare.py does."""
    opened = open_splits(Layout("", {"train": case.files}, None), format, options)
    return write_store(folder / "store", opened.documents, source="", vectors="none")


def refused(folder: Path, case: Case, format: str, options: Options | None = None) -> InputError:
    """The error; nothing is left of the store."""
    with pytest.raises(InputError) as caught:
        prepare(folder, case, format, options)
    assert sorted(path.name for path in folder.iterdir()) == ["data"]
    assert caught.value.file
    assert str(caught.value).startswith(caught.value.file)
    return caught.value
