"""Word vectors from files and from text."""

import gzip
import itertools
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from axml_jax.data import ppmi
from axml_jax.data.corpus import Document
from axml_jax.data.ppmi import count_pairs, ppmi_vectors
from axml_jax.data.store import write_store
from axml_jax.data.text import PAD, UNK
from axml_jax.data.vectors import read_glove
from axml_jax.errors import InputError

WORDS = ["<pad>", "<unk>", "the", "cat", "dog", "paris", "zebra"]


def glove(path: Path, *rows: str) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def row(vectors: np.ndarray, word: str) -> list[float]:
    return vectors[WORDS.index(word)].tolist()


def test_vectors_of_a_file(tmp_path: Path) -> None:
    path = glove(tmp_path / "v", "the 1 2 3", ", 9 9 9", "dog -1e-1 .5 +2", "cat 3 2 1 ")
    vectors, coverage = read_glove(path, WORDS)
    assert vectors.shape == (7, 3)
    assert vectors.dtype == np.float32
    assert row(vectors, "the") == [1, 2, 3]
    assert row(vectors, "dog") == pytest.approx([-0.1, 0.5, 2])
    assert row(vectors, "cat") == [3, 2, 1]
    assert row(vectors, "<pad>") == [0, 0, 0]
    assert row(vectors, "<unk>") == pytest.approx([3.9 / 3, 1.5, 2])
    assert coverage.found.tolist() == [False, False, True, True, True, False, False]
    assert coverage.describe(np.array([2, 2, 5, 4], np.int32)) == {
        "words_found": 3,
        "words_lower_cased": 0,
        "token_coverage": 0.75,
    }


def test_words_not_in_the_file_are_random_by_seed(tmp_path: Path) -> None:
    words = [*WORDS, *(f"w{i}" for i in range(2000))]
    path = glove(tmp_path / "v", "the 1 0.01", "cat 3 0.03", "dog 2 0.02")
    vectors, coverage = read_glove(path, words, seed=3)
    again, _ = read_glove(path, words, seed=3)
    other, _ = read_glove(path, words, seed=4)
    np.testing.assert_array_equal(vectors, again)
    missing = ~coverage.found
    missing[[PAD, UNK]] = False
    assert (vectors[missing] != other[missing]).all()
    spread = np.std([1, 3, 2])
    np.testing.assert_allclose(vectors[missing].std(0), [spread, spread / 100], rtol=0.1)
    np.testing.assert_allclose(vectors[missing].mean(0), 0, atol=0.1)


def test_a_header_is_passed_over_but_a_word_that_is_a_number_is_not(tmp_path: Path) -> None:
    vectors, _ = read_glove(glove(tmp_path / "v", "2 3", "the 1 2 3", "cat 4 5 6"), WORDS)
    assert row(vectors, "the") == [1, 2, 3]
    vectors, _ = read_glove(glove(tmp_path / "w", "7 2 3", "the 1 2", "cat 4 5"), WORDS)
    assert vectors.shape[1] == 2
    vectors, _ = read_glove(glove(tmp_path / "x", "the 1", "cat 4"), WORDS)
    assert vectors.shape[1] == 1


def test_words_with_spaces_are_words(tmp_path: Path) -> None:
    path = glove(tmp_path / "v", ". . . 1 2", "the 3 4", "at name@x.com 5 6", "dog cat 9 9")
    vectors, coverage = read_glove(path, WORDS)
    assert row(vectors, "the") == [3, 4]
    assert int(coverage.found.sum()) == 1


def test_other_white_space_does_not_separate(tmp_path: Path) -> None:
    path = glove(tmp_path / "v", "the 1 2", "\u00a0 3 4", "\x85 5 6", "a\u2028b 7 8", " 9 9")
    vectors, coverage = read_glove(path, WORDS)
    assert row(vectors, "the") == [1, 2]
    assert int(coverage.found.sum()) == 1


def test_other_cases_count_where_there_is_no_lower_case(tmp_path: Path) -> None:
    path = glove(tmp_path / "v", "Paris 1 1", "PARIS 2 2", "The 3 3", "the 4 4", "the 5 5")
    vectors, coverage = read_glove(path, WORDS)
    assert row(vectors, "paris") == [1, 1]
    assert row(vectors, "the") == [4, 4]
    assert coverage.lower_cased == 1


def test_special_rows_of_the_file_are_not_pad_and_unk(tmp_path: Path) -> None:
    vectors, _ = read_glove(glove(tmp_path / "v", "<pad> 1 1", "<unk> 2 2", "the 4 4"), WORDS)
    assert row(vectors, "<pad>") == [0, 0]
    assert row(vectors, "<unk>") == [4, 4]


def test_compressed_files_and_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "v.gz"
    path.write_bytes(gzip.compress(b"caf\xe9 9 9\nthe 1 2\n"))
    vectors, _ = read_glove(path, WORDS)
    assert row(vectors, "the") == [1, 2]


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        (["the 1 2 3", "cat 1 2"], 2, "expected a word and 3 numbers as in the first row"),
        (["the 1 2", "cat 1.5 2 3"], 2, "expected a word and 2 numbers as in the first row"),
        (["the 1 2", "zoo 1 2", "", "cat 1 2"], 3, "expected a word and 2 numbers"),
        (["the 1 2", "cat 1 x"], 2, "expected 2 numbers: could not convert"),
        (["the 1 2", "cat 1 nan"], 2, "holds nan: expected finite"),
        (["the 1 2", "cat inf 2"], 2, "holds inf: expected finite"),
        (["the 1 2", "cat 1e39 2"], 2, "holds 1e39: expected finite"),
        (["the 1 2", "cat 3e38 2"], 2, "holds 3e38: expected finite numbers below 1e"),
        (["the\t1\t2"], 1, "separated by single spaces"),
        (["hello"], 1, "expected a word and its numbers"),
        (["2 3"], None, "holds no vectors"),
        ([], None, "holds no vectors"),
        (["le 1 2", "chat 3 4"], None, "none of the 7 words"),
    ],
)
def test_damaged_files(tmp_path: Path, rows: list[str], line: int | None, message: str) -> None:
    path = glove(tmp_path / "v", *rows)
    with pytest.raises(InputError, match=message) as caught:
        read_glove(path, WORDS)
    assert (caught.value.file, caught.value.line) == (str(path), line)


def test_a_row_of_another_width_far_down_is_told_with_its_line(tmp_path: Path) -> None:
    rows = [b"w%d 1 2" % i for i in range(400_000)]
    rows[10], rows[399_999] = b"the 1 2", b"w 1"
    (tmp_path / "v.txt").write_bytes(b"\n".join(rows))
    place = r"v\.txt:400000: expected a word and 2 numbers as in the first row, found 1 fields"
    with pytest.raises(InputError, match=place):
        read_glove(tmp_path / "v.txt", WORDS)


@pytest.mark.parametrize("kind", ["width", "nan", "no words"])
def test_nothing_is_written_where_vectors_cannot_be_read(tmp_path: Path, kind: str) -> None:
    row = {"width": "dog 1", "nan": "dog 1 nan", "no words": "other 1 2"}[kind]
    path = glove(tmp_path / "v", "zoo 1 2", row)
    documents = [Document("a dog", ("a",))]
    with pytest.raises(InputError) as caught:
        write_store(tmp_path / "store", {"train": documents}, source="", vectors=path)
    assert caught.value.file == str(path)
    assert [found.name for found in tmp_path.iterdir()] == ["v"]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_vectors_cut_short_within_their_compression(tmp_path: Path, pack: Any) -> None:
    content = "".join(f"w{i} {i} 0.{i * i}\n" for i in range(3000)).encode() + b"the 1 2\n"
    path = tmp_path / f"v.{'gz' if pack is gzip.compress else 'xz'}"
    packed = pack(content)
    path.write_bytes(packed)
    assert int(read_glove(path, WORDS)[1].found.sum()) == 1
    for end in (3, len(packed) // 2, len(packed) - 3):
        path.write_bytes(packed[:end])
        with pytest.raises(InputError, match=r"damaged or cut short") as caught:
            read_glove(path, WORDS)
        assert (caught.value.file, bool(caught.value.line)) == (str(path), True)
    path.write_bytes(b"the 1 2\n")  # packed by name alone
    with pytest.raises(InputError, match="it is not compressed so: rename it"):
        read_glove(path, WORDS)


def test_a_file_that_wants_gibibytes_to_be_unpacked_in_is_refused(tmp_path: Path) -> None:
    # The older format, which has no check of its header: a dictionary of 4 GiB is asked for.
    (tmp_path / "v.xz").write_bytes(b"]\xff\xff\xff\xff" + b"\xff" * 8 + b"\0" * 40)
    with pytest.raises(InputError, match="it is not compressed so"):
        read_glove(tmp_path / "v.xz", WORDS)


def test_all_on_one_line_is_no_vector(tmp_path: Path) -> None:
    path = glove(tmp_path / "v", "the" + " 1" * 70_000)
    with pytest.raises(InputError, match="found 70,000 numbers, more than 65,536"):
        read_glove(path, WORDS)


def test_digits_without_end_are_told_at_once(tmp_path: Path) -> None:
    # The number's pattern once tried every way to cut them in two: hours for these.
    path = glove(tmp_path / "v", f"the 1 {'1' * 500_000}x")
    with pytest.raises(InputError, match="expected a word and its numbers"):
        read_glove(path, WORDS)


def flat(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *(len(document) for document in documents)])
    return np.array(list(itertools.chain(*documents)), np.int32), offsets.astype(np.int64)


def plain_counts(documents: list[list[int]], num_words: int, window: int) -> np.ndarray:
    counts = np.zeros((num_words, num_words))
    for document in documents:
        for i, j in itertools.permutations(range(len(document)), 2):
            if abs(i - j) <= window:
                counts[document[i], document[j]] += 1 / abs(i - j)
    return counts


def random_documents(seed: int, num_words: int, count: int, longest: int) -> list[list[int]]:
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest + 1, count)
    return [
        (UNK + random.zipf(1.5, length) % (num_words - UNK)).tolist() for length in lengths.tolist()
    ]


def test_pairs_by_hand() -> None:
    # Document 2 3 2: neighbours 2-3 and 3-2 at distance 1, 2-2 at distance 2.
    tokens, offsets = flat([[2, 3, 2], [3]])
    pairs, sums = count_pairs(tokens, offsets, 4, window=5)
    expected = np.zeros((4, 4))
    expected[2, 3] = 2
    expected[2, 2] = 2 * 0.5
    np.testing.assert_allclose(pairs.toarray(), expected)
    np.testing.assert_allclose(sums, [0, 0, 3, 2])


@pytest.mark.parametrize("window", [1, 5])
@pytest.mark.parametrize("block_tokens", [1, 40, 1 << 20])
def test_pairs_against_the_definition(window: int, block_tokens: int) -> None:
    documents = random_documents(0, 12, 30, 20)
    pairs, sums = count_pairs(*flat(documents), 12, window, block_tokens=block_tokens)
    expected = plain_counts(documents, 12, window)
    np.testing.assert_allclose(pairs.toarray(), np.triu(expected), rtol=1e-6)
    np.testing.assert_allclose(sums, expected.sum(0), rtol=1e-6)


def test_rare_pairs_are_pruned_and_words_keep_their_sums() -> None:
    documents = [[2, 3], *([4, 5] for _ in range(5)), [6, 7], [6, 7], [8, 9], [4, 5], [2, 5]]
    all_pairs, all_sums = count_pairs(*flat(documents), 10, 5, block_tokens=4)
    pairs, sums = count_pairs(*flat(documents), 10, 5, block_tokens=4, max_pairs=3)
    assert all_pairs.nnz == 5
    assert pairs.nnz <= 3
    assert pairs[4, 5] == all_pairs[4, 5] == 6
    assert pairs[6, 7] == all_pairs[6, 7] == 2
    assert pairs[2, 3] == 0
    np.testing.assert_array_equal(sums, all_sums)


def plain_vectors(documents: list[list[int]], num_words: int, width: int) -> np.ndarray:
    """The equations of the module's docstring in dense float64."""
    counts = plain_counts(documents, num_words, 5)
    sums = counts.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(counts * counts.sum() / np.outer(sums, sums))
    left, singular, _ = np.linalg.svd(np.where(information > 0, information, 0))
    return left[:, :width] * np.sqrt(singular[:width])


def assert_same_up_to_scale_and_signs(actual: np.ndarray, expected: np.ndarray) -> None:
    """Singular vectors have no sign, and the mean in a standard deviation depends on it."""
    inner, expected_inner = actual @ actual.T, expected @ expected.T
    np.testing.assert_allclose(
        inner / np.trace(inner), expected_inner / np.trace(expected_inner), atol=1e-5
    )


def test_vectors_against_the_equations() -> None:
    documents = [[UNK], *random_documents(1, 40, 60, 25)]
    vectors = ppmi_vectors(*flat(documents), 40, 7)
    expected = plain_vectors(documents, 40, 7)
    used = np.flatnonzero(plain_counts(documents, 40, 5).sum(0))
    used = used[used > UNK]
    assert_same_up_to_scale_and_signs(vectors[used], expected[used])
    assert vectors[used].std() == pytest.approx(0.5, rel=1e-5)


def test_large_vocabularies_take_the_krylov_space_and_agree_with_the_dense_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(2)
    topics = [np.arange(UNK + 1 + 100 * t, UNK + 1 + 100 * (t + 1)) for t in range(5)]
    documents = [
        random.choice(topics[t][: 20 + 20 * t], 30).tolist() for t in range(5) for _ in range(40)
    ]
    tokens, offsets = flat(documents)
    dense = ppmi_vectors(tokens, offsets, 502, 5)
    krylov_spaces = []
    krylov = ppmi._krylov

    def spy(*arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        krylov_spaces.append(krylov(*arguments))
        return krylov_spaces[-1]

    monkeypatch.setattr(ppmi, "_LANCZOS_BLOCK", 4)
    monkeypatch.setattr(ppmi, "_krylov", spy)
    near = ppmi_vectors(tokens, offsets, 502, 5)
    assert krylov_spaces[0][0].shape == (502, 48)
    used = np.unique(tokens)
    np.testing.assert_allclose(near[used], dense[used], atol=2e-3)


def test_krylov_basis_stays_orthonormal_beyond_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppmi, "_LANCZOS_BLOCK", 4)
    matrix = np.zeros((300, 300), np.float32)
    matrix[2:4, 2:4] = [[1, 2], [2, -3]]
    for scale in (0, 1, 1e6):
        sparse = scipy.sparse.csr_matrix(scale * matrix)
        basis, small = ppmi._krylov(sparse, 6, np.random.default_rng(0))
        np.testing.assert_allclose(basis.T @ basis, np.eye(24), atol=1e-5)
        np.testing.assert_allclose(small, basis.T @ (sparse @ basis), atol=1e-5 * scale)


def test_krylov_space_beyond_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppmi, "_LANCZOS_BLOCK", 4)
    documents = [[2, 3, 4], [5, 6], [2, 4]]  # five words with neighbours among 300
    tokens, offsets = flat(documents)
    vectors = ppmi_vectors(tokens, offsets, 300, 6)
    expected = plain_vectors(documents, 300, 6)[2:7]
    assert_same_up_to_scale_and_signs(vectors[2:7], expected)
    assert np.isfinite(vectors).all()


def test_the_seed_decides() -> None:
    tokens, offsets = flat(random_documents(3, 30, 20, 20))
    first = ppmi_vectors(tokens, offsets, 40, 4, seed=1)
    np.testing.assert_array_equal(first, ppmi_vectors(tokens, offsets, 40, 4, seed=1))
    other = ppmi_vectors(tokens, offsets, 40, 4, seed=2)
    assert (first[35:] != other[35:]).all()  # words that never occur
    assert np.abs(first[35:]).max() < 0.5
    assert first[35:].all()


def test_pad_is_zeros_and_unknown_words_are_like_others() -> None:
    documents = random_documents(4, 30, 40, 30)
    seen = ppmi_vectors(*flat([*documents, [UNK] * 30]), 30, 4)
    words = np.unique(np.concatenate(documents))
    words = words[words > UNK]
    assert not seen[PAD].any()
    assert seen[UNK].any()
    assert np.linalg.norm(seen[UNK]) <= np.linalg.norm(seen[words], axis=1).mean() * 1.0001
    unseen = ppmi_vectors(*flat([[max(w, 2) for w in d] for d in documents]), 30, 4)
    words = np.setdiff1d(words, [UNK])
    np.testing.assert_allclose(unseen[UNK], unseen[words].mean(0), atol=1e-5)


@pytest.mark.parametrize("documents", [[[UNK]], [[2], [3]], [[2, 3]], [[UNK, UNK]]])
def test_hardly_any_text(documents: list[list[int]]) -> None:
    vectors = ppmi_vectors(*flat(documents), 4, 9)
    assert vectors.shape == (4, 9)
    assert np.isfinite(vectors).all()
    assert vectors[1:].any(1).all()


def test_arguments() -> None:
    tokens, offsets = flat([[2, 3]])
    with pytest.raises(ValueError, match="must be positive"):
        ppmi_vectors(tokens, offsets, 4, 0)
