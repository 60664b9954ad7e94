"""The tokenizer and the vocabulary."""

import json
import random
import sys
import time
import tracemalloc
import unicodedata
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axml_jax.data.text import (
    PAD,
    UNK,
    Token,
    Vocabulary,
    first_words,
    tokenize,
    tokens_with_places,
)
from axml_jax.errors import InputError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\n -- ... !? ", []),
        ("Hello, World!", ["hello", "world"]),
        ("don't snake_case 3.5% A-b", ["don", "t", "snake", "case", "3", "5", "a", "b"]),
        ("____ _x_", ["x"]),
        ("L’été à Paris", ["l", "été", "à", "paris"]),
        ("ÄRGER ΣΑΣ Ǆ", ["ärger", "σας", "ǆ"]),
        ("हिन्दी में शब्द", ["हिन्दी", "में", "शब्द"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("العَرَبِيَّة", ["العَرَبِيَّة"]),
        ("co\u00adoperate", ["cooperate"]),
        ("İstanbul istanbul", ["istanbul", "istanbul"]),
        ("\u0301 \u200d €", []),
        ("中文 ひらカタカナ", ["中", "文", "ひ", "ら", "カタカナ"]),
        ("a\u00a0b\u2028c\u3000d", ["a", "b", "c", "d"]),
        ("x² ½", ["x²", "½"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert tokenize(text) == words


def test_composed_and_decomposed_letters_are_the_same_word() -> None:
    text = "Élan naïve Ångström ガ"
    assert tokenize(unicodedata.normalize("NFD", text)) == tokenize(text)


def test_ascii_is_split_the_same_with_and_without_other_letters_around() -> None:
    text = "Mixed_case 12.5 e-mail: a@b.c (x)\x00y"
    assert [*tokenize(text), "é"] == tokenize(text + " é")


def test_every_word_has_a_letter_or_digit_and_no_upper_case() -> None:
    everything = " ".join(
        chr(point) + "a" for point in range(0x2FFF) if unicodedata.category(chr(point)) != "Cs"
    )
    for word in tokenize(everything):
        assert any(character.isalnum() for character in word)
        assert word == word.lower()


def test_half_a_surrogate_pair_is_no_part_of_a_word() -> None:
    assert tokenize("a\ud800b \udc00 \udfff1") == ["a", "b", "1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("A-b, C", [("a", "A"), ("b", "b"), ("c", "C")]),
        ("an \u212a (Kelvin)", [("an", "an"), ("k", "\u212a"), ("kelvin", "Kelvin")]),
        # Lower-casing adds a dot, which goes; a dot typed by hand goes with its letter.
        ("x İstanbul Bİ!", [("x", "x"), ("istanbul", "İstanbul"), ("bi", "Bİ")]),
        ("(i\u0307) y", [("i", "i\u0307"), ("y", "y")]),
        # The accent is composed with its letter across a soft hyphen, and two are put in order.
        ("(cafe\u00ad\u0301s) z", [("cafés", "cafe\u00ad\u0301s"), ("z", "z")]),
        ("q\u0307\u0323.", [("q\u0323\u0307", "q\u0307\u0323")]),
        ("co\u00adoperate\u00ad now", [("cooperate", "co\u00adoperate"), ("now", "now")]),
        # Korean letters that join to syllables; a vowel sign that decomposes, and one that joins.
        ("\u1112\u1161\u11ab!", [("한", "\u1112\u1161\u11ab")]),
        ("\u0995\u09c7\u09be x", [("\u0995\u09cb", "\u0995\u09c7\u09be"), ("x", "x")]),
        ("中か\u3099文", [("中", "中"), ("が", "か\u3099"), ("文", "文")]),
        ("ΣΑΣ. \U0001f600Σ", [("σας", "ΣΑΣ"), ("σ", "Σ")]),
    ],
)  # fmt: skip
def test_a_word_stands_where_it_was_found(text: str, expected: list[tuple[str, str]]) -> None:
    found = tokens_with_places(text)
    assert [(token.word, text[token.start : token.end]) for token in found] == expected


def test_words_with_places_are_those_of_the_tokenizer() -> None:
    everything = [chr(point) for point in range(sys.maxunicode + 1) if chr(point).isprintable()]
    # What lower-casing or composing changes is rare among them, and is what may go wrong.
    changing = [c for c in everything if unicodedata.normalize("NFD", c.lower()) != c]
    marks = [c for c in everything if unicodedata.combining(c)]
    odd = [*"aiIİΣ \u00ad\u00ad\u0307\u0301\u0344\u0f73=\u0338\u1100\u1161\u11a8\u09c7\u09be\ud800"]
    draw = random.Random(0)
    for _ in range(3000):
        kinds = [
            draw.choice((everything, changing, marks, odd)) for _ in range(draw.randint(1, 14))
        ]
        text = "".join(draw.choice(kind) for kind in kinds)
        found = tokens_with_places(text)
        assert [token.word for token in found] == tokenize(text), ascii(text)
        ends = [0, *(place for token in found for place in (token.start, token.end)), len(text)]
        assert ends == sorted(ends), ascii(text)
        assert all(token.start < token.end for token in found), ascii(text)
        # Each place alone gives its word again; of a sigma it depends on what follows.
        if "Σ" not in text:
            assert [tokenize(text[start:end]) for _, start, end in found] == [
                [token.word] for token in found
            ], ascii(text)


def test_places_in_long_text_of_marks_are_found_in_time_linear_in_it() -> None:
    text = "a" + "\u0301\u0344" * 20_000
    assert tokens_with_places(text) == [Token(tokenize(text)[0], 0, len(text))]


def test_marks_in_disorder_are_put_in_order_in_time_linear_in_them() -> None:
    # 300,000 took minutes: Python's own sorting of marks compares each with all before it.
    text = "a" + "\u0301\u0316" * 150_000 + " b"
    begin = time.process_time()
    # An accent above joins its letter past those below, which come first.
    assert tokenize(text) == ["\u00e1" + "\u0316" * 150_000 + "\u0301" * 149_999, "b"]
    assert time.process_time() - begin < 20


@pytest.mark.parametrize("count", [99, 100, 300])
def test_many_marks_are_composed_as_unicode_has_it(count: int) -> None:
    marks = [chr(p) for p in range(0x300, 0x1E944) if unicodedata.category(chr(p))[0] == "M"]
    draw = random.Random(count)
    for _ in range(40):
        text = "".join(["e", *draw.choices(marks, k=count), "x", *draw.choices(marks, k=count)])
        assert tokenize(text) == [unicodedata.normalize("NFC", text)], ascii(text)


@given(
    st.text(st.sampled_from("aΣσ İi\u0307é\u0301\u0316\u00ad\u200d\n\u3000中ガ_.")),
    st.integers(1, 9),
)
def test_the_first_words_are_those_of_the_whole_text(text: str, piece: int) -> None:
    words = tokenize(text)
    with mock.patch("axml_jax.data.text._PIECE", piece):
        assert [first_words(text, count) for count in (1, 3, 99)] == [
            words[:1], words[:3], words[:99]
        ]  # fmt: skip


def test_of_a_long_text_the_first_words_take_no_memory() -> None:
    text = "one two éa " * 1_000_000
    tracemalloc.start()
    encoded = Vocabulary(["<pad>", "<unk>", "two"]).encode(text, max_tokens=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert encoded.tolist() == [1, 2, 1, 1]
    assert peak < 1_000_000


def test_vocabulary_is_in_order_of_documents_then_letters() -> None:
    counts = {"b": 2, "a": 2, "once": 1, "all": 9, "ä": 2}
    vocabulary = Vocabulary.from_counts(counts)
    assert vocabulary.words == ["<pad>", "<unk>", "all", "a", "b", "ä", "once"]
    assert (PAD, UNK) == (0, 1)
    assert len(vocabulary) == 7


def test_vocabulary_keeps_to_its_size_and_to_frequent_words() -> None:
    counts = {"b": 2, "a": 2, "once": 1, "all": 9}
    assert Vocabulary.from_counts(counts, max_size=4).words[2:] == ["all", "a"]
    assert Vocabulary.from_counts(counts, min_documents=2).words[2:] == ["all", "a", "b"]
    assert Vocabulary.from_counts(counts, min_documents=10).words[2:] == []
    with pytest.raises(ValueError, match="at least 3"):
        Vocabulary.from_counts(counts, max_size=2)
    with pytest.raises(ValueError, match="min_documents is 0"):
        Vocabulary.from_counts(counts, min_documents=0)


def test_encoding() -> None:
    vocabulary = Vocabulary(["<pad>", "<unk>", "cat", "dog"])
    ids = vocabulary.encode("Dog, cat & bird; dog")
    assert ids.tolist() == [3, 2, UNK, 3]
    assert ids.dtype == np.int32
    assert vocabulary.encode("dog cat bird dog", max_tokens=2).tolist() == [3, 2]
    assert vocabulary.encode("dog", max_tokens=5).tolist() == [3]
    assert vocabulary.id("cat") == 2
    assert vocabulary.id("bird") == UNK
    assert "cat" in vocabulary
    assert "bird" not in vocabulary


@pytest.mark.parametrize("text", ["", "?!", " "])
def test_an_empty_document_is_one_unknown_word(text: str) -> None:
    assert Vocabulary(["<pad>", "<unk>", "cat"]).encode(text).tolist() == [UNK]


@pytest.mark.parametrize(
    ("words", "message"),
    [(["a", "b"], "begins with"), (["<pad>", "<unk>", "a", "a"], "'a' stands twice")],
)
def test_a_list_that_is_no_vocabulary_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Vocabulary(words)


def test_vocabulary_on_disk(tmp_path: Path) -> None:
    words = ["<pad>", "<unk>", "été", 'quo"te', "line\u2028end", "中"]
    Vocabulary(words).save(tmp_path / "words.json")
    assert Vocabulary.load(tmp_path / "words.json").words == words
    assert json.loads((tmp_path / "words.json").read_text(encoding="utf-8")) == words


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "not whole JSON"),
        ("[" * 9999, "not whole JSON"),
        ('["<pad>", "<unk>", "\\ud800"]', "what is no text"),
        ('{"a": 1}', "expected a JSON list of words"),
        ('["<pad>", "<unk>", 3]', "expected a JSON list of words"),
        ('["a"]', "begins with"),
    ],
)
def test_a_damaged_vocabulary_is_told_with_its_file(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "words.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        Vocabulary.load(tmp_path / "words.json")
    assert caught.value.file == str(tmp_path / "words.json")
