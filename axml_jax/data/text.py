"""From text to words to word ids.  Knows nothing about files of documents, labels or vectors.

The tokenizer, in full:

1. The text is lower-cased (`str.lower`) and brought to Unicode's composed form (NFC), so that an
   accented letter is the same however it was typed.  Soft hyphens vanish, and the dot that
   lower-casing leaves above a Turkish capital I goes too.
2. A word is a longest run of letters, digits and the combining marks (and zero-width joiners) among
   them: the vowel signs of Hindi stay inside their word.  It begins with a letter or a digit.
3. Everything else separates words and is dropped: white space, punctuation, symbols, and the
   underscore too.  `don't` is `don`, `t`; `snake_case` is `snake`, `case`; `3.5%` is `3`, `5`.
4. Chinese characters and hiragana, written without spaces, are each a word of their own.  Thai and
   other scripts without spaces are not segmented: a run of their letters is one word.

What counts as a letter follows the Unicode tables of the running Python.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from axml_jax.errors import InputError
from axml_jax.jsonio import read_json

PAD = 0
UNK = 1
PAD_WORD = "<pad>"
UNK_WORD = "<unk>"

_SPACE = re.compile(r"\s")
_PIECE = 1 << 14  # characters of a long text that are looked at together, at least
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_IDEOGRAPHS = "\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_JOINERS = "\u200c\u200d"
_SOFT_HYPHEN = "\u00ad"
_DOTTED_I = "i\u0307"
_MANY_MARKS = 100  # on one letter: no writing has so many


@functools.cache
def _marks() -> str:
    """All combining marks, as the inside of a pattern's brackets."""
    points = (p for p in range(0x300, sys.maxunicode + 1) if _is_mark(chr(p)))
    runs = itertools.groupby(enumerate(points), key=lambda pair: pair[1] - pair[0])
    bounds = [[point for _, point in run] for _, run in runs]
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in bounds)


@functools.cache
def _many_marks() -> re.Pattern[str]:
    return re.compile(f"[{_marks()}]{{{_MANY_MARKS},}}")


@functools.cache
def _unicode_word() -> re.Pattern[str]:
    """The pattern for text beyond ASCII; built on first use, for Python's `\\w` knows no marks."""
    marks = _marks() + _JOINERS
    letter = rf"[^\W_{_IDEOGRAPHS}]"
    # Some marks (circled digits' enclosures aside) are alphanumeric to `\w` already; no harm done.
    return re.compile(rf"{letter}+(?:[{marks}]+{letter}*)*|[{_IDEOGRAPHS}][{marks}]*")


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def tokenize(text: str) -> list[str]:
    """Splits `text` into lower-case words as the module's docstring says.

    Args:
      text: Any text.

    Returns:
      The words in order; an empty list where there is neither letter nor digit.
    """
    text = text.lower()
    if text.isascii():
        return _ASCII_WORD.findall(text)
    return _unicode_word().findall(_normalized(text))


def first_words(text: str, count: int) -> list[str]:
    """The first `count` words that `tokenize` finds; what follows them is hardly looked at.

    Nothing in the rules reaches across white space, so pieces between it are split alone.
    """
    words: list[str] = []
    begin = 0
    while begin < len(text) and len(words) < count:
        space = _SPACE.search(text, begin + _PIECE)
        end = space.start() if space else len(text)
        words += tokenize(text[begin:end])
        begin = end
    return words[:count]


def _normalized(lower: str) -> str:
    """Rule 1 of the module's docstring, on text that is lower-cased already."""
    return _compose(lower.replace(_SOFT_HYPHEN, "")).replace(_DOTTED_I, "i")


def _compose(text: str) -> str:
    """Unicode's composed form (NFC), in time linear in the text whatever marks it heaps up.

    Python puts the marks of a letter in order by insertion: a million on one letter take hours.
    """
    return unicodedata.normalize("NFC", _many_marks().sub(_in_order, text))


def _in_order(match: re.Match[str]) -> str:
    """A run of marks in Unicode's canonical order, which leaves its composed form as it is."""
    apart = "".join(unicodedata.normalize("NFD", mark) for mark in match.group())
    # Marks of class 0 stay where they are and let none past.
    runs = itertools.groupby(apart, key=lambda mark: unicodedata.combining(mark) == 0)
    return "".join("".join(sorted(run, key=unicodedata.combining)) for _, run in runs)


class Token(NamedTuple):
    """A word and where it stands.

    Attributes:
      word: What `tokenize` makes of it.
      start: Place of its first character in the text as it was given.
      end: Place after its last character there.
    """

    word: str
    start: int
    end: int


def tokens_with_places(text: str) -> list[Token]:
    """Splits `text` as `tokenize` does, and says where each word stands in it.

    The words are those of `tokenize`, for they are found in the same normalized text; each of its
    characters is traced back to the characters that it was made of.

    Args:
      text: Any text.

    Returns:
      The words in order with their places, which increase.
    """
    lower = text.lower()
    if lower.isascii():  # nothing grew: the only letter that does so leaves a dot beyond ASCII
        return [Token(m.group(), *m.span()) for m in _ASCII_WORD.finditer(lower)]
    normalized, places = _normalized(lower), _places(text)
    assert len(places) == len(normalized)
    return [
        Token(m.group(), places[m.start()][0], places[m.end() - 1][1])
        for m in _unicode_word().finditer(normalized)
    ]


def _places(text: str) -> list[tuple[int, int]]:
    """Start and end in `text` of what each character of its normalized form was made of."""
    letters = [
        (letter, i, i + 1)
        for i, character in enumerate(text)
        # A final sigma is another letter in its context, but takes as many characters.
        for letter in character.lower()
        if letter != _SOFT_HYPHEN
    ]
    is_composed = unicodedata.is_normalized("NFC", "".join(letter for letter, _, _ in letters))
    composed = letters if is_composed else []
    for piece in () if is_composed else _pieces(letters):
        joined = "".join(letter for letter, _, _ in piece)
        form = _compose(joined)
        if form == joined:
            composed += piece
        else:
            composed += [(letter, piece[0][1], piece[-1][2]) for letter in form]
    places: list[tuple[int, int]] = []
    for i, (letter, start, end) in enumerate(composed):
        if i and composed[i - 1][0] + letter == _DOTTED_I:
            places[-1] = (places[-1][0], end)
        else:
            places.append((start, end))
    return places


def _pieces(letters: list[tuple[str, int, int]]) -> list[list[tuple[str, int, int]]]:
    """Cuts lower-cased text where composing cannot reach across.

    Marks are put in order only up to the next letter, and a letter joins the one before it
    (Korean, some Indian vowels) or does not: the two are composed together and apart.
    """
    pieces: list[list[tuple[str, int, int]]] = []
    for item in letters:
        first = unicodedata.normalize("NFD", item[0])[0]
        if pieces and unicodedata.combining(first):
            pieces[-1].append(item)
        else:
            pieces.append([item])
    cut = pieces[:1]
    for piece in pieces[1:]:
        before, after = ("".join(letter for letter, _, _ in part) for part in (cut[-1], piece))
        if _compose(before + after) == _compose(before) + _compose(after):
            cut.append(piece)
        else:
            cut[-1] += piece
    return cut


class Vocabulary:
    """The words a model knows; a word's id is its place in the list.

    Args:
      words: The list, with `<pad>` at 0 (PAD) and `<unk>` at 1 (UNK), each word once.

    Raises:
      ValueError: The list begins otherwise or holds a word twice.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._ids = {word: i for i, word in enumerate(self.words)}
        if self.words[:2] != [PAD_WORD, UNK_WORD]:
            raise ValueError(f"a vocabulary begins with {PAD_WORD}, {UNK_WORD}: {self.words[:2]}")
        if len(self._ids) != len(self.words):
            twice = next(word for i, word in enumerate(self.words) if self._ids[word] != i)
            raise ValueError(f"the word {twice!r} stands twice in the vocabulary")

    @classmethod
    def from_counts(
        cls, document_counts: Mapping[str, int], max_size: int = 500_000, min_documents: int = 1
    ) -> Vocabulary:
        """The words found in most documents first, ties in alphabetical (code point) order.

        Args:
          document_counts: For each word the number of documents it occurs in.
          max_size: The most words kept, PAD and UNK among them.
          min_documents: Words of fewer documents are left out.

        Raises:
          ValueError: `max_size` leaves no room for a word, or `min_documents` is below 1.
        """
        if max_size < 3:
            raise ValueError(f"vocabulary size {max_size}: at least 3 (PAD, UNK and one word)")
        if min_documents < 1:
            raise ValueError(f"min_documents is {min_documents}: it must be at least 1")
        kept = [item for item in document_counts.items() if item[1] >= min_documents]
        kept.sort(key=lambda item: (-item[1], item[0]))
        return cls([PAD_WORD, UNK_WORD, *(word for word, _ in kept[: max_size - 2])])

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def id(self, word: str) -> int:
        """The id of `word`, UNK for one that is not known."""
        return self._ids.get(word, UNK)

    def encode_words(self, words: Sequence[str]) -> Int32[np.ndarray, " T"]:
        """Ids of words already split; no word at all is one UNK."""
        get = self._ids.get
        return np.array([get(word, UNK) for word in words] or [UNK], np.int32)

    def encode(self, text: str, max_tokens: int = 0) -> Int32[np.ndarray, " T"]:
        """Ids of the words of `text`.

        Args:
          text: Any text.
          max_tokens: Words after the first so many are left out; 0 keeps all.

        Returns:
          The ids, UNK for words that are not known; an empty document is one UNK.
        """
        return self.encode_words(first_words(text, max_tokens) if max_tokens else tokenize(text))

    def save(self, path: str | Path) -> None:
        """Writes the words as a JSON list, one word a line."""
        body = ",\n".join(json.dumps(word, ensure_ascii=False) for word in self.words)
        Path(path).write_text(f"[\n{body}\n]\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Reads what `save` wrote.

        Raises:
          InputError: The file is missing or is no such list.
        """
        words = read_json(path)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise InputError("expected a JSON list of words", file=path)
        try:
            return cls(words)
        except ValueError as error:
            raise InputError(str(error), file=path) from error
