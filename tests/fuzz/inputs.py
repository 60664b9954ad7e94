"""Inputs for property-based tests: seeds with a few faults in them, and noise."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.fuzz.seeds import PIECES
from tests.fuzz.targets import Target

_LONGEST = 4096


def inputs_of(target: Target) -> st.SearchStrategy[bytes]:
    """Inputs for a target, most of them near one of its seeds."""
    piece = st.one_of(st.sampled_from(PIECES), st.binary(max_size=3))
    edit = st.tuples(st.integers(0, _LONGEST), st.integers(0, 9), piece, st.booleans())
    damaged = st.builds(_damaged, st.sampled_from(target.seeds), st.lists(edit, max_size=4))
    noise = st.lists(piece, max_size=12).map(b"".join)
    return st.one_of(damaged, damaged, noise)


def _damaged(seed: bytes, edits: list[tuple[int, int, bytes, bool]]) -> bytes:
    content = seed
    for place, removed, piece, cut in edits:
        begin = place % (len(content) + 1)
        content = content[:begin] + piece + (b"" if cut else content[begin + removed :])
    return content[:_LONGEST]
