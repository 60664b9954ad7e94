"""The tokenizer and the vocabulary."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from axml_jax.data.text import PAD, UNK, Vocabulary, tokenize
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
        ("[", "cannot be read"),
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
