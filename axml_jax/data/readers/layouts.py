"""Which files of a folder are which split, for the layouts in which people publish data."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from axml_jax.data.readers import json_folder
from axml_jax.errors import InputError


class SplitFiles(NamedTuple):
    """The files of one split.

    Attributes:
      path: Its documents, or their texts.
      labels: Their labels, where those are in a file of their own.
      ids: Their ids, likewise.
    """

    path: Path
    labels: Path | None = None
    ids: Path | None = None


class Layout(NamedTuple):
    """The data that a folder holds.

    Attributes:
      title: What the layout is called.
      splits: Files by split: `train`, and `valid` and `test` where they are there.
      label_file: Names of the labels, where the documents give numbers.
      unread: Files whose names are those of splits that are not there.
    """

    title: str
    splits: dict[str, SplitFiles]
    label_file: Path | None
    unread: tuple[Path, ...] = ()


_LONG = {"train": "train", "valid": "valid|dev|val|validation", "test": "test"}
_SHORT = {"train": "trn", "valid": "val|dev|valid|validation", "test": "tst"}


class _Known(NamedTuple):
    """A layout: names of files, as patterns in which SPLIT stands for the split's names."""

    title: str
    documents: str
    labels: str = ""
    ids: str = ""
    label_file: str = ""
    splits: Mapping[str, str] = _LONG
    are_folders: bool = False


_KNOWN = (
    _Known(
        "Extreme Classification Repository (trn.json.gz, tst.json.gz, lbl.json.gz)",
        r"SPLIT\.json",
        label_file=r"lbl\.json|Yf\.txt",
        splits=_SHORT,
    ),
    _Known(
        "PECOS (X.trn.txt, Y.trn.npz, X.tst.txt, Y.tst.npz, output-items.txt)",
        r"X\.SPLIT\.txt",
        labels=r"Y\.SPLIT\.npz",
        label_file=r"output-items\.txt",
        splits=_SHORT,
    ),
    _Known("EURLEX57K (train/, dev/, test/, a JSON file a document)", "SPLIT", are_folders=True),
    _Known(
        "line-aligned files (train_texts.txt, train_labels.txt)",
        r"SPLIT_(?:raw_)?texts\.txt",
        labels=r"SPLIT_labels\.txt",
        ids=r"SPLIT_ids\.txt",
    ),
    _Known("JSON lines (train.jsonl)", r"SPLIT\.jsonl"),
    _Known("CSV (train.csv)", r"SPLIT\.csv"),
    _Known("TSV (train.tsv)", r"SPLIT\.tsv"),
)


def find_splits(folder: str | Path) -> Layout:
    """Finds the splits in a folder; every file may also end in .gz or .xz.

    Raises:
      InputError: The folder cannot be read, or not exactly one of the known layouts is in it, or
        two files could be the same thing, or there is a split of another layout.
    """
    folder = Path(folder)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        reason = error.strerror if folder.exists() else "there is no such folder"
        raise InputError(f"cannot be read: {reason}", file=folder) from error
    found = [layout for known in _KNOWN if (layout := _match(folder, entries, known))]
    if not found:
        seen = ", ".join(entry.name for entry in entries[:8]) or "nothing"
        raise InputError(
            f"no training data in a known layout; the folder holds {seen}"
            f"{', ...' * (len(entries) > 8)}.  Known are: {'; '.join(k.title for k in _KNOWN)}.  "
            "Or name the files with --train, --valid and --test",
            file=folder,
        )
    if len(found) > 1:
        raise InputError(
            f"the folder holds data twice: {' and '.join(layout.title for layout in found)}; name "
            "the files with --train, --valid and --test",
            file=folder,
        )
    layout = found[0]
    _refuse_others(folder, entries, layout)
    return layout._replace(unread=_unread(entries, layout))


def _refuse_others(folder: Path, entries: list[Path], layout: Layout) -> None:
    """Refuses splits of other layouts, and labels without texts: they would be passed over."""
    read = {path for files in layout.splits.values() for path in files}
    for known in _KNOWN:
        patterns = [known.documents] + [known.labels] * (known.title == layout.title)
        for pattern, names in itertools.product(filter(None, patterns), known.splits.values()):
            path = _only(folder, entries, pattern, names, known.are_folders)
            if path is None or path in read or (known.are_folders and not _has_json(path)):
                continue
            raise InputError(
                f"this seems to be a split, but {layout.splits['train'].path.name} beside it is of "
                f"the layout {layout.title}; name the files with --train, --valid and --test",
                file=path,
            )


def _unread(entries: list[Path], layout: Layout) -> tuple[Path, ...]:
    absent = [
        names
        for known in (_LONG, _SHORT)
        for split, names in known.items()
        if split not in layout.splits
    ]
    named = re.compile(rf"(?:{'|'.join(absent)})(?:\..*)?")
    return tuple(entry for entry in entries if absent and named.fullmatch(entry.name))


def _match(folder: Path, entries: list[Path], known: _Known) -> Layout | None:
    splits = {}
    for split, names in known.splits.items():
        path = _only(folder, entries, known.documents, names, known.are_folders)
        if path is None or (known.are_folders and not _has_json(path)):
            continue
        labels = _only(folder, entries, known.labels, names)
        if known.labels and labels is None:
            raise InputError(
                f"there are no labels beside it; expected a file of the layout {known.title}",
                file=path,
            )
        splits[split] = SplitFiles(path, labels, _only(folder, entries, known.ids, names))
    if "train" not in splits:
        return None
    return Layout(known.title, splits, _only(folder, entries, known.label_file, ""))


def _only(
    folder: Path, entries: list[Path], pattern: str, names: str, is_folder: bool = False
) -> Path | None:
    """The one entry that matches; None for none or without a pattern."""
    if not pattern:
        return None
    filled = pattern.replace("SPLIT", f"(?:{names})")
    whole = re.compile(filled if is_folder else rf"(?:{filled})(?:\.gz|\.xz)?")
    found = [e for e in entries if whole.fullmatch(e.name) and e.is_dir() == is_folder]
    if len(found) > 1:
        raise InputError(
            f"{' and '.join(entry.name for entry in found)} could be the same thing: leave one, or "
            "name the files with --train, --valid and --test",
            file=folder,
        )
    return found[0] if found else None


def _has_json(folder: Path) -> bool:
    try:
        return bool(json_folder.json_files(folder))
    except InputError:
        return False
