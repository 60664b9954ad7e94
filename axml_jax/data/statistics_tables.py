"""Prints the statistics of a store.  Knows results only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from axml_jax.data import table_one
from axml_jax.data.description import TRAIN
from axml_jax.data.statistics import HEAD, QUANTILES, RARE
from axml_jax.data.titles import shown_label
from axml_jax.tables import printable, show_table

_COLUMNS = ("mean", *QUANTILES)


def show(found: Mapping[str, Any]) -> None:
    """Prints what `axml_jax.data.statistics.gather` found."""
    header, rows = table_one.table_cells([table_one.Row(**found["table_one"])])
    show_table("", header, rows, _remarks(found["store"], found["splits"]))
    splits = found["splits"]
    spread = [[f"words/document, {n}", *_spread(s["words_per_document"])] for n, s in splits.items()]
    spread += [
        [f"labels/document, {n}", *_spread(s["labels_per_document"])] for n, s in splits.items()
    ]
    by_label = found["documents_per_label"]
    spread.append([f"documents/label, {TRAIN}", *_spread(by_label)])
    columns = [name.replace("p", "") + " %" if name[0] == "p" else name for name in _COLUMNS]
    show_table("", ["", *columns], spread)
    show_table("", ["share", *splits], _shares(splits))
    _say(
        f"{by_label['rare_labels']:,} labels ({by_label['rare_share']:.1%}) have at most {RARE} "
        f"training documents, and {by_label['rare_entries_share']:.1%} of all label entries; the "
        f"{HEAD:.0%} most frequent have {by_label['head_entries_share']:.1%}"
    )
    for pair in found["near_duplicates"]:
        _show_pair(pair)
    for title, key in (("most frequent", "most_frequent_labels"), ("rarest", "rarest_labels")):
        rows_of_labels = [
            [shown_label(about["label"], about["title"]), f"{about['documents']:,}"]
            for about in found[key]
        ]
        show_table("", [f"{title} labels", "training documents"], rows_of_labels)


def _remarks(store: Mapping[str, Any], splits: Mapping[str, Any]) -> str:
    """What makes a row of a store another than that of its texts."""
    settings, remarks = store["settings"], []
    if settings.get("min_documents", 1) > 1:
        remarks.append(f"D without words of fewer than {settings['min_documents']} documents")
    if store["words"] == settings.get("vocabulary_size"):
        remarks.append(f"D as far as there was room, for {store['words']:,}")
    if any(split["documents_cut_in_store"] for split in splits.values()):
        remarks.append(f"texts were cut at {settings.get('max_tokens')} words")
    return "; ".join(remarks)


def _spread(values: Mapping[str, Any]) -> list[str]:
    return [f"{values['mean']:,.2f}", *(f"{values[name]:,}" for name in QUANTILES)]


def _shares(splits: Mapping[str, Any]) -> list[list[str]]:
    rows: list[list[str]] = []

    def add(name: str, value: Callable[[Mapping[str, Any]], float | None]) -> None:
        cells = [value(split) for split in splits.values()]
        if any(cell is not None for cell in cells):
            rows.append([name, *("-" if cell is None else f"{cell:.2%}" for cell in cells)])

    add("words known to the vocabulary", lambda s: s["coverage"]["words_known"])
    add("different words known", lambda s: s["coverage"]["distinct_words_known_share"])
    add("vocabulary that occurs", lambda s: s["coverage"]["vocabulary_share"])
    add("words with a vector", lambda s: s["coverage"]["words_with_vector"])
    add(f"labels not in {TRAIN}", lambda s: s["unseen"]["labels_share"])
    add(f"label entries not in {TRAIN}", lambda s: s["unseen"]["entries_share"])
    for place, about in enumerate(next(iter(splits.values()))["cut"]):
        at = f"{about['cut_off']:,} words"
        add(f"documents cut at {at}", lambda s, i=place: s["cut"][i]["documents_share"])  # type: ignore[misc]
        add(f"words lost at {at}", lambda s, i=place: s["cut"][i]["words_share"])  # type: ignore[misc]
    return rows


def _show_pair(pair: Mapping[str, Any]) -> None:
    _say(
        f"{pair['documents']:,} documents of {pair['split']} ({pair['documents_share']:.2%}) have a "
        f"near-duplicate in {pair['other']} (similarity {pair['similarity']} or more), "
        f"{pair['identical']:,} of them with the same words in the same order of three"
    )
    for example in pair["pairs"]:
        _say(f"  {example['similarity']:.2f}  {example['document']}  {example['twin']}")


def _say(line: str) -> None:
    print(printable(line))
