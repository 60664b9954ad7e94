"""Writing and opening encoded stores."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from axml_jax.data.corpus import Document
from axml_jax.data.encode import ArrayWriter
from axml_jax.data.store import Store, is_store, open_store, write_store
from axml_jax.errors import InputError

TRAIN = [
    Document("The cat sat; the dog ran.", ("b", "a"), "one"),
    Document("A dog, a dog!", ("c",), "two"),
    Document("...", ("a", "a"), "three"),
    Document("the rare word", (), "four"),
]
TEST = [Document("the unseen dog", ("z", "a", "d")), Document("unseen", ("c",))]
WORDS = ["<pad>", "<unk>", "dog", "the", "a", "cat", "ran", "rare", "sat", "word"]


def write(path: Path, **changes: object) -> Store:
    arguments = {"source": "a test", "vectors": "none", **changes}
    return write_store(path, {"train": TRAIN, "test": TEST}, **arguments)  # type: ignore[arg-type]


def words_of(store: Store, split: str, i: int) -> list[str]:
    return [store.vocabulary.words[word] for word in store.splits[split].document(i)]


def names_of(store: Store, split: str, i: int) -> list[str]:
    return [store.label_names[label] for label in store.splits[split].labels(i)]


def test_documents_come_back(tmp_path: Path) -> None:
    store = write(tmp_path / "new" / "store")
    assert store.vocabulary.words == WORDS
    assert words_of(store, "train", 0) == ["the", "cat", "sat", "the", "dog", "ran"]
    assert words_of(store, "train", 1) == ["a", "dog", "a", "dog"]
    assert words_of(store, "train", 2) == ["<unk>"]
    assert words_of(store, "test", 0) == ["the", "<unk>", "dog"]
    assert words_of(store, "test", 1) == ["<unk>"]
    assert store.splits["train"].lengths.tolist() == [6, 4, 1, 3]
    assert len(store.splits["train"]) == 4
    assert store.splits["train"].ids == ["one", "two", "three", "four"]
    assert store.splits["test"].ids is None
    assert store.vectors is None


def test_labels_seen_in_training_come_first(tmp_path: Path) -> None:
    store = write(tmp_path / "store")
    assert store.label_names == ["a", "b", "c", "d", "z"]
    assert store.num_train_labels == 3
    assert store.label_counts.tolist() == [2, 1, 1, 0, 0]
    assert names_of(store, "train", 0) == ["a", "b"]
    assert names_of(store, "train", 2) == ["a"]
    assert names_of(store, "train", 3) == []
    assert names_of(store, "test", 0) == ["a", "d", "z"]


def test_order_of_splits_changes_nothing(tmp_path: Path) -> None:
    store = write(tmp_path / "store")
    other = write_store(
        tmp_path / "other", {"test": TEST, "train": TRAIN}, source="else", vectors="none"
    )
    assert other.fingerprint == store.fingerprint


def test_types_on_disk(tmp_path: Path) -> None:
    split = write(tmp_path / "store").splits["train"]
    for array, dtype in (
        (split.tokens, np.int32),
        (split.offsets, np.int64),
        (split.label_ids, np.int32),
        (split.label_offsets, np.int64),
    ):
        assert isinstance(array, np.memmap)
        assert array.dtype == dtype
        assert not array.flags.writeable
    assert split.lengths.dtype == np.int32


def test_label_matrix(tmp_path: Path) -> None:
    store = write(tmp_path / "store")
    test = store.splits["test"]
    matrix = test.label_matrix()
    assert matrix.toarray().tolist() == [[1, 0, 0, 1, 1], [0, 0, 1, 0, 0]]
    assert matrix.dtype == np.float32
    assert matrix.has_canonical_format
    assert test.label_matrix(3).toarray().tolist() == [[1, 0, 0], [0, 0, 1]]
    assert test.label_matrix(6).shape == (2, 6)
    train = store.splits["train"].label_matrix(store.num_train_labels)
    assert train.toarray().tolist() == [[1, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_limits(tmp_path: Path) -> None:
    store = write(tmp_path / "store", vocabulary_size=5, min_documents=2, max_tokens=3)
    assert store.vocabulary.words == ["<pad>", "<unk>", "the"]
    about = store.description["splits"]["train"]
    assert about["truncated_documents"] == 2
    assert store.splits["train"].lengths.max() == 3
    # "dog" is cut from the first document and so is found in one document only.
    assert words_of(store, "train", 0) == ["the", "<unk>", "<unk>"]
    small = write(tmp_path / "small", vocabulary_size=4)
    assert small.vocabulary.words == WORDS[:4]


def test_counts_in_the_description(tmp_path: Path) -> None:
    about = write(tmp_path / "store").description
    assert about["splits"]["train"] == {
        "documents": 4,
        "tokens": 14,
        "truncated_documents": 0,
        "empty_documents": 1,
        "unknown_tokens": 0,
        "distinct_unknown_words": 0,
        "labels": 4,
        "distinct_labels": 3,
        "labels_unseen_in_train": 0,
        "entries_unseen_in_train": 0,
        "documents_without_labels": 1,
        "documents_with_repeated_labels": 1,
        "skipped": {},
        "ids": True,
    }
    test = about["splits"]["test"]
    assert (test["labels_unseen_in_train"], test["entries_unseen_in_train"]) == (2, 2)
    assert (test["unknown_tokens"], test["tokens"]) == (2, 4)
    assert test["distinct_unknown_words"] == 1  # "unseen", twice
    rare = write(tmp_path / "rare", min_documents=2).description["splits"]["train"]
    assert rare["distinct_unknown_words"] == len(WORDS) - len(["<pad>", "<unk>", "the", "dog"])
    assert about["source"] == "a test"
    assert about["words"] == len(WORDS)


def test_generators_are_read_once(tmp_path: Path) -> None:
    reads = 0

    def documents() -> Iterator[Document]:
        nonlocal reads
        reads += 1
        yield from TRAIN

    write_store(tmp_path / "store", {"train": documents()}, source="", vectors="none")
    assert reads == 1


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    first = write(tmp_path / "first")
    assert write(tmp_path / "second", source="elsewhere").fingerprint == first.fingerprint
    assert write(tmp_path / "third", max_tokens=3).fingerprint != first.fingerprint
    assert len(first.fingerprint) == 64
    relabelled = [*TEST[:-1], TEST[-1]._replace(labels=("b",))]
    other = write_store(
        tmp_path / "other", {"train": TRAIN, "test": relabelled}, source="", vectors="none"
    )
    assert other.fingerprint != first.fingerprint


def test_vectors_are_written_and_not_part_of_the_fingerprint(tmp_path: Path) -> None:
    store = write(tmp_path / "store", vectors="ppmi", vector_width=6)
    assert store.vectors is not None
    assert store.vectors.shape == (len(WORDS), 6)
    assert store.vectors.dtype == np.float32
    assert isinstance(store.vectors, np.memmap)
    assert not store.vectors[0].any()
    assert store.fingerprint == write(tmp_path / "bare").fingerprint
    other = write(tmp_path / "other", vectors="ppmi", vector_width=5)
    assert other.description["vectors"]["sha256"] != store.description["vectors"]["sha256"]


def test_vectors_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("the 1 2\ndog 3 4\nsat 5 6\n")
    store = write(tmp_path / "store", vectors=tmp_path / "v.txt")
    assert store.vectors is not None
    assert store.vectors[WORDS.index("dog")].tolist() == [3, 4]
    about = store.description["vectors"]
    assert about["words_found"] == 3
    assert about["token_coverage"] == pytest.approx(7 / 14)
    assert about["file"] == "v.txt"
    store.verify()


def test_nothing_is_left_of_a_store_that_failed(tmp_path: Path) -> None:
    def documents() -> Iterator[Document]:
        yield TRAIN[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "store", {"train": documents()}, source="")
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_folder_is_no_store(tmp_path: Path) -> None:
    seen: list[Path] = []

    def documents() -> Iterator[Document]:
        yield TRAIN[0]
        seen.extend(tmp_path.iterdir())  # while it is being written
        assert not is_store(seen[0])
        with pytest.raises(InputError, match="no store"):
            open_store(seen[0])

    write_store(tmp_path / "store", {"train": documents()}, source="", vectors="none")
    assert len(seen) == 1
    assert seen[0].name.startswith(".store.")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_only_a_store_is_overwritten_and_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "store"
    first = write(path)
    with pytest.raises(InputError, match="--overwrite"):
        write(path)
    second = write(path, overwrite=True, max_tokens=2)
    assert second.fingerprint != first.fingerprint
    assert first.splits["train"].lengths.tolist() == [6, 4, 1, 3]  # still mapped
    assert first.splits["train"].document(0)[0] == WORDS.index("the")
    assert [item.name for item in tmp_path.iterdir()] == ["store"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("two years of work")
    with pytest.raises(InputError, match="left alone"):
        write(mine, overwrite=True)
    assert (mine / "thesis.txt").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_made_while_writing_is_left_alone(tmp_path: Path, overwrite: bool) -> None:
    def documents() -> Iterator[Document]:
        yield TRAIN[0]
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "thesis.txt").write_text("two years of work")

    with pytest.raises(InputError, match="left alone"):
        write_store(
            tmp_path / "store",
            {"train": documents()},
            source="",
            vectors="none",
            overwrite=overwrite,
        )
    assert (tmp_path / "store" / "thesis.txt").read_text() == "two years of work"
    assert [item.name for item in tmp_path.iterdir()] == ["store"]


def test_a_store_made_while_writing_is_replaced_only_when_asked(tmp_path: Path) -> None:
    def documents() -> Iterator[Document]:
        yield TRAIN[0]
        shutil.copytree(other.path, tmp_path / "store")

    other = write(tmp_path / "other")
    splits = {"train": documents()}
    with pytest.raises(InputError, match="--overwrite"):
        write_store(tmp_path / "store", splits, source="", vectors="none")
    assert open_store(tmp_path / "store").fingerprint == other.fingerprint
    shutil.rmtree(tmp_path / "store")
    splits = {"train": documents()}
    new = write_store(tmp_path / "store", splits, source="", vectors="none", overwrite=True)
    assert len(new.splits["train"]) == 1


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_the_old_store_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "store"
    first = write(path)
    rename = Path.rename

    def failing(source: Path, target: Path) -> Path:
        if source.suffix == ".partial":
            raise error
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises((InputError, KeyboardInterrupt), match=r"disk full|^$"):
        write(path, overwrite=True, max_tokens=2)
    assert open_store(path).fingerprint == first.fingerprint
    assert [item.name for item in tmp_path.iterdir()] == ["store"]


def test_what_came_in_the_last_moment_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store"
    write(path)
    rename = Path.rename

    def exchanged(source: Path, target: Path) -> Path:
        if source == path:  # after it was looked at, before it is moved
            shutil.rmtree(path)
            path.mkdir()
            (path / "thesis.txt").write_text("two years of work")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", exchanged)
    with pytest.raises(InputError, match="left alone"):
        write(path, overwrite=True)
    assert [item.name for item in path.iterdir()] == ["thesis.txt"]


def test_a_link_to_a_store_is_replaced_and_not_what_it_points_to(tmp_path: Path) -> None:
    first = write(tmp_path / "first")
    (tmp_path / "link").symlink_to("first")
    assert write(tmp_path / "link", overwrite=True, max_tokens=2).fingerprint != first.fingerprint
    assert open_store(tmp_path / "first").fingerprint == first.fingerprint
    assert sorted(item.name for item in tmp_path.iterdir()) == ["first", "link"]


def test_the_old_store_stays_where_the_new_one_fails(tmp_path: Path) -> None:
    store = write(tmp_path / "store")
    with pytest.raises(InputError, match="no documents"):
        write_store(tmp_path / "store", {"train": []}, source="", overwrite=True)
    assert open_store(tmp_path / "store").fingerprint == store.fingerprint


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": TRAIN, "test": []}, "'test' has no documents"),
        ({"train": [Document("text")]}, "nothing can be learned"),
        ({"train": [Document("?!", ("a",))]}, "no word of the split 'train'"),
    ],
)
def test_unusable_documents(
    tmp_path: Path, splits: dict[str, list[Document]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_store(tmp_path / "store", splits, source="")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document("a", (1, "b")), "a label should be text .* it is 1"),  # type: ignore[arg-type]
        (Document("a", ("b", b"c")), "it is b'c'"),  # type: ignore[arg-type]
        (Document("a", (["b"],)), r"it is \['b'\]"),  # type: ignore[arg-type]
        (Document("a", ("half \ud800",)), r"it is 'half \\ud800'"),
        (Document("a", "bc"), "a tuple of names, but 'bc' came"),  # type: ignore[arg-type]
        (Document("a", None), "a tuple of names, but None came"),  # type: ignore[arg-type]
        (Document(b"a", ("b",)), "its text .* of type bytes"),  # type: ignore[arg-type]
        (Document("a", ("b",), "\udfff"), "its id should be text"),
        (Document("a", ("b",), 7), "its id should be text"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.parametrize("split", ["train", "new"])
def test_a_document_that_is_no_text_is_named(
    tmp_path: Path, split: str, document: Document, message: str
) -> None:
    splits = {"train": [TRAIN[0]], split: [TRAIN[1], document]}
    with pytest.raises(InputError, match=f"^document 2 of the split '{split}': .*{message}"):
        write_store(tmp_path / "store", splits, source="", vectors="none")
    assert list(tmp_path.iterdir()) == []


def test_half_a_surrogate_pair_in_a_text_separates_words(tmp_path: Path) -> None:
    splits = {"train": [Document("cat\ud800dog", ("ä",), "é")]}
    store = write_store(tmp_path / "store", splits, source="", vectors="none")
    assert words_of(store, "train", 0) == ["cat", "dog"]
    assert (store.label_names, store.splits["train"].ids) == (["ä"], ["é"])


def test_unusable_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a split 'train'"):
        write_store(tmp_path / "store", {"test": TEST}, source="")
    with pytest.raises(ValueError, match="cannot be the name of a folder"):
        write_store(tmp_path / "store", {"train": TRAIN, "../x": TEST}, source="")
    with pytest.raises(ValueError, match="max_tokens"):
        write(tmp_path / "store", max_tokens=-1)


def test_labels_nowhere_but_in_training(tmp_path: Path) -> None:
    splits = {"train": TRAIN, "new": [Document("a cat")]}
    store = write_store(tmp_path / "store", splits, source="", vectors="none")
    assert store.splits["new"].label_matrix().toarray().tolist() == [[0, 0, 0]]


def test_array_writer(tmp_path: Path) -> None:
    pieces = [np.arange(3), np.array([], int), np.arange(200_000), np.array([7])]
    with ArrayWriter(tmp_path / "a.npy", np.int32) as writer:
        for piece in pieces:
            writer.write(piece)
    read = np.load(tmp_path / "a.npy")
    np.testing.assert_array_equal(read, np.concatenate(pieces))
    assert read.dtype == np.int32
