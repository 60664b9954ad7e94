"""Which words and labels of a run a store has under other ids.  Knows nothing of weights."""

from __future__ import annotations

import contextlib
import itertools
import pathlib
from collections.abc import Sequence

from axml_jax import runs
from axml_jax.data.store import Store
from axml_jax.data.text import Vocabulary
from axml_jax.errors import InputError

_SHOWN = 5


def other_names(kind: str, there: Sequence[str], here: Sequence[str]) -> list[str]:
    """Says how names differ: a sentence with the first few, or nothing.

    Args:
      kind: What they are called together, such as "labels".
      there: The run's, by id.
      here: The store's.
    """
    pairs = enumerate(itertools.zip_longest(there, here))
    different = [(i, *pair) for i, pair in pairs if pair[0] != pair[1]]
    if not different:
        return []
    shown = [f"{i} is {a!r} there, {b!r} here" for i, a, b in different[:_SHOWN]]
    more = ", ..." if len(different) > _SHOWN else ""
    return [f"{len(different):,} of the run's {len(there):,} {kind}: {', '.join(shown)}{more}"]


def names_that_differ(folder: pathlib.Path, store: Store) -> list[str]:
    """Says which words and labels of a run folder a store has not, as far as it can be read."""
    with contextlib.suppress(InputError, KeyError, TypeError):
        words = Vocabulary.load(folder / "words.json").words
        labels = runs.read_json(folder / "labels.json")["names"]
        return [
            *other_names("words", words, store.vocabulary.words),
            *other_names("labels", labels, store.label_names[: store.num_train_labels]),
        ]
    return []
