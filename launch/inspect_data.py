"""Shows what a prepared data set holds: sizes, lengths, labels, coverage, near-duplicates.

    python launch/inspect_data.py --store runs/my_store --out runs/my_store_statistics

Prints Table 1's row of the paper, quantiles of lengths and labels, the share of words that the
vocabulary and the word vectors know, what is lost where documents are cut, labels unseen in
training, documents with a near-duplicate in another split, and the most frequent and rarest labels.
With --out it writes all numbers to statistics.json, and the pictures lengths.png and labels.png.
"""

from axml_jax import stopping

if __name__ == "__main__":
    stopping.hear()  # before imports that take long

import pathlib
from collections.abc import Sequence

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.errors import ConfigError, InputError

_STORE = flags.DEFINE_string("store", "", "The encoded data, made by launch/prepare.py.")
flags.DEFINE_alias("data", "store")
_NAME = flags.DEFINE_string("name", None, "Of the data set; by default the folder's.")
_RUN = flags.DEFINE_string("run", None, "A run, whose max_tokens is one more cut-off.")
_MAX_TOKENS = flags.DEFINE_list(
    "max_tokens", ["128", "256", "500", "1000"], "Cut-offs: what is lost beyond so many words."
)
_SIMILARITY = flags.DEFINE_float(
    "similarity", 0.8, "Smallest Jaccard similarity of near-duplicates.", 0.7, 1.0
)
_OUT = flags.DEFINE_string("out", None, "Folder for statistics.json and the pictures.")
axml_flags.require("store")


def _cut_offs() -> list[int]:
    from axml_jax import runs

    given = _MAX_TOKENS.value
    plain = all(text.isascii() and text.isdecimal() and len(text) <= 10 for text in given)
    cut_offs = [int(text) for text in given] if plain else []
    if not plain or not all(1 <= cut_off < 2**31 for cut_off in cut_offs):
        raise ConfigError(
            f"--max_tokens takes whole numbers from 1 to {2**31 - 1}, such as 128,500; "
            f"{','.join(given)} came."
        )
    if _RUN.value:
        limit = runs.read_description(_RUN.value)["data"].get("max_tokens")
        if not isinstance(limit, int):
            raise InputError("this run.json is damaged: no max_tokens.", file=_RUN.value)
        cut_offs.append(limit)
    return cut_offs


def _require_store(path: pathlib.Path) -> None:
    from axml_jax.data.store import is_store

    if not is_store(path):
        found = "a run" if (path / "run.json").is_file() else "a folder without store.json"
        if not path.is_dir():
            found = "a file" if path.exists() else "nothing"
        raise InputError(
            f"expected a prepared data set, found {found}; texts and labels are prepared first, "
            "with launch/prepare.py --out STORE, and then looked at with --store STORE",
            file=path,
        )


def main(argv: Sequence[str]) -> None:
    del argv
    from axml_jax.data import (
        statistics,
        statistics_folder,
        statistics_plot,
        statistics_tables,
    )
    from axml_jax.data.store import open_store
    from axml_jax.jsonio import write_json
    from axml_jax.progress import say

    path, cut_offs = pathlib.Path(_STORE.value), _cut_offs()
    _require_store(path)
    store = open_store(path)
    out = statistics_folder.claim(_OUT.value) if _OUT.value else None
    name = _NAME.value or path.resolve().name
    found = statistics.gather(store, name, cut_offs, similarity=_SIMILARITY.value)
    statistics_tables.show(found)
    if out is not None:
        write_json(out / statistics_folder.NUMBERS, found)
        pictures = statistics_plot.draw(found, out)
        say(f"written: {', '.join(map(str, [out / 'statistics.json', *pictures]))}")


if __name__ == "__main__":
    axml_flags.run(main)
