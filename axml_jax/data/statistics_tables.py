"""Prints the statistics of a store.  Knows results only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from axml_jax.data import table_one
from axml_jax.data.description import TRAIN
from axml_jax.data.statistics import HEAD, QUANTILES, RARE
from axml_jax.data.summary import skipped_notes
from axml_jax.data.text import UNK
from axml_jax.data.titles import shown_label
from axml_jax.tables import printable, show_table

_COLUMNS = ("mean", *QUANTILES)
_COVERAGE = {
    "words known to the vocabulary": "words_known",
    "different words known": "distinct_words_known_share",
    "vocabulary that occurs": "vocabulary_share",
    "words with a vector": "words_with_vector",
}


def show(found: Mapping[str, Any]) -> None:
    """Prints what `axml_jax.data.statistics.gather` found."""
    splits = found["splits"]
    header, rows = table_one.table_cells([table_one.Row(**found["table_one"])])
    show_table("Table 1", header, rows, _remarks(found["store"], splits))
    for line in skipped_notes(splits):
        _say(line)
    spread = [[f"words, {name}", *_spread(s["words_per_document"])] for name, s in splits.items()]
    spread += [
        [f"labels, {name}", *_spread(s["labels_per_document"])] for name, s in splits.items()
    ]
    by_label = found["documents_per_label"]
    spread.append([f"documents, {TRAIN}", *_spread(by_label)])
    columns = [name.replace("p", "") + " %" if name[0] == "p" else name for name in _COLUMNS]
    show_table("words and labels of a document, documents of a label", ["", *columns], spread)
    show_table("shares", ["", *splits], _shares(splits))
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
        remarks.append(f"D as far as there was room, for {store['words'] - UNK - 1:,}")
    if any(split["documents_cut_in_store"] for split in splits.values()):
        remarks.append(f"texts were cut at {settings.get('max_tokens')} words")
    if store.get("base"):
        remarks.append(f"D and L with what only {store['base']['name']} had, its base")
    return "; ".join(remarks)


def _spread(values: Mapping[str, Any]) -> list[str]:
    return [f"{values['mean']:,.2f}", *(f"{values[name]:,}" for name in QUANTILES)]


def _shares(splits: Mapping[str, Any]) -> list[list[str]]:
    """Rows of percentages; those that no split has a figure for are left out."""
    abouts = list(splits.values())
    rows: dict[str, list[float | None]] = {}
    for name, key in _COVERAGE.items():
        rows[name] = [about["coverage"][key] for about in abouts]
    rows[f"labels not in {TRAIN}"] = [about["unseen"]["labels_share"] for about in abouts]
    rows[f"label entries not in {TRAIN}"] = [about["unseen"]["entries_share"] for about in abouts]
    for cuts in zip(*(about["cut"] for about in abouts), strict=True):
        at = f"{cuts[0]['cut_off']:,} words"
        rows[f"documents cut at {at}"] = [cut["documents_share"] for cut in cuts]
        rows[f"words lost at {at}"] = [cut["words_share"] for cut in cuts]
    return [
        [name, *("-" if cell is None else f"{cell:.2%}" for cell in cells)]
        for name, cells in rows.items()
        if any(cell is not None for cell in cells)
    ]


def _show_pair(pair: Mapping[str, Any]) -> None:
    _say(
        f"{pair['documents']:,} documents of {pair['split']} ({pair['documents_share']:.2%}) have "
        f"a near-duplicate in {pair['other']} (similarity {pair['similarity']} or more), "
        f"{pair['identical']:,} of them with all the same sequences of three words"
    )
    examples = pair["pairs"]
    if examples:
        header = [pair["split"], f"its twin in {pair['other']}", "similarity"]
        rows = [[e["document"], e["twin"], f"{e['similarity']:.2f}"] for e in examples]
        show_table("", header, rows, f"{len(examples)} of {pair['documents']:,} shown")


def _say(line: str) -> None:
    print(printable(line))
