"""Opening stores: what is missing, damaged or made up is refused with the file's name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from axml_jax.data.corpus import Document
from axml_jax.data.store import open_store, write_store
from axml_jax.errors import InputError

TRAIN = [
    Document("The cat sat; the dog ran.", ("b", "a"), "one"),
    Document("A dog, a dog!", ("c",), "two"),
    Document("the rare word", (), "three"),
]
TEST = [Document("the unseen dog", ("z", "a", "d")), Document("unseen", ("c",))]
WORDS = ["<pad>", "<unk>", "dog", "the", "a", "cat", "ran", "rare", "sat", "word"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "store"
    splits = {"train": TRAIN, "test": TEST}
    return write_store(path, splits, source="a test", vector_width=4).path


@pytest.fixture
def damaged(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "store")


def test_no_store_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder.*launch/prepare.py"):
        open_store(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"the folder is empty.*launch/prepare.py --out"):
        open_store(tmp_path)


def test_a_folder_where_no_store_can_be_made_is_not_proposed_for_one(tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("theirs")
    for path in (tmp_path, tmp_path / "theirs.txt"):
        with pytest.raises(InputError, match=r"this is no store: .* name one that") as caught:
            open_store(path)
        assert f"--out {tmp_path}" not in str(caught.value)


@pytest.mark.parametrize("name", ["train/tokens.npy", "test/offsets.npy", "words.json"])
def test_a_missing_file(damaged: Path, name: str) -> None:
    (damaged / name).unlink()
    with pytest.raises(InputError, match="missing") as caught:
        open_store(damaged)
    assert caught.value.file == str(damaged / name)


@pytest.mark.parametrize("name", ["train/tokens.npy", "vectors.npy", "labels.json"])
def test_a_file_cut_short(damaged: Path, name: str) -> None:
    content = (damaged / name).read_bytes()
    (damaged / name).write_bytes(content[:-3])
    with pytest.raises(InputError, match=rf"expected {len(content)} bytes, found"):
        open_store(damaged)


def test_another_version(damaged: Path) -> None:
    description = json.loads((damaged / "store.json").read_text())
    (damaged / "store.json").write_text(json.dumps({**description, "version": 7}))
    with pytest.raises(InputError, match="version 7, this program reads version 1"):
        open_store(damaged)
    (damaged / "store.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(InputError, match="does not describe a store"):
        open_store(damaged)
    (damaged / "store.json").write_text("{")
    with pytest.raises(InputError, match=r"store\.json: this is not whole JSON.*launch/prepare"):
        open_store(damaged)


def set_in_description(store: Path, place: str, value: object) -> None:
    description = json.loads((store / "store.json").read_text())
    inner, *keys = description, *place.split("/")
    for key in keys[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    (store / "store.json").write_text(json.dumps(description))


@pytest.mark.parametrize("value", [..., None, -1, "3", [], True, 1.5])
@pytest.mark.parametrize(
    "place",
    [
        "words",
        "labels",
        "num_train_labels",
        "splits",
        "files",
        "settings",
        "source",
        "fingerprint",
        "splits/test",
        "splits/test/documents",
        "splits/test/labels_unseen_in_train",
        "splits/test/tokens",
        "files/words.json",
        "vectors",
        "vectors/width",
        "vectors/kind",
        "vectors/sha256",
    ],
)
def test_a_damaged_description(damaged: Path, place: str, value: object) -> None:
    if place in ("source", "vectors/kind") and value == "3":
        value = {}
    set_in_description(damaged, place, value)
    with pytest.raises(InputError, match="description of the store is damaged") as caught:
        open_store(damaged)
    assert caught.value.file == str(damaged / "store.json")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("splits/test/labels", 10**400),
        ("words", 2**63),
        ("vectors/token_coverage", float("nan")),
        ("vectors/token_coverage", 10**400),
        ("vectors/split_coverage", {"train": 2}),
    ],
)
def test_numbers_that_are_no_counts_and_shares(damaged: Path, place: str, value: object) -> None:
    set_in_description(damaged, "vectors/kind", "file")
    for name, sound in (("file", "v"), ("words_found", 1), ("token_coverage", 0.5)):
        set_in_description(damaged, f"vectors/{name}", sound)
    open_store(damaged)
    set_in_description(damaged, place, value)
    with pytest.raises(InputError, match="description of the store is damaged"):
        open_store(damaged)


@pytest.mark.parametrize("name", ["documents_with_repeated_labels", "skipped"])
def test_a_store_from_before_this_was_counted(damaged: Path, name: str) -> None:
    set_in_description(damaged, f"splits/test/{name}", ...)
    assert open_store(damaged).label_names


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("num_train_labels", 0),
        ("num_train_labels", 99),
        ("splits/test/documents", 0),
        ("splits/test/documents", 10**6),
        ("splits/test/documents_with_repeated_labels", -1),
        ("splits/test/skipped", []),
        ("splits/test/skipped", {"no CSV": 3}),
        ("splits/test/skipped", {"no CSV": {"rows": -1, "first": []}}),
        ("splits/test/skipped", {"no CSV": {"rows": 1, "first": [2]}}),
        ("splits/test/ids", 0),
        ("splits/test/ids", True),  # its file is not listed
        ("files/extra.txt", 3),
        ("files/train/tokens.npy", ...),
        ("vectors/kind", "file"),
        ("fingerprint", "A" * 64),
    ],
)
def test_a_description_at_odds_with_itself(damaged: Path, place: str, value: object) -> None:
    if place.startswith("files/"):
        description = json.loads((damaged / "store.json").read_text())
        name = place.removeprefix("files/")
        files = {**description["files"], name: value}
        if value is ...:
            del files[name]
        set_in_description(damaged, "files", files)
    else:
        set_in_description(damaged, place, value)
    with pytest.raises(InputError, match="description of the store is damaged"):
        open_store(damaged)


@pytest.mark.parametrize("value", [-1, "3", None, 1.5])
def test_a_damaged_count_that_old_stores_lack(damaged: Path, value: object) -> None:
    set_in_description(damaged, "splits/test/distinct_unknown_words", ...)
    assert len(open_store(damaged).splits["test"]) == 2
    set_in_description(damaged, "splits/test/distinct_unknown_words", value)
    with pytest.raises(
        InputError, match="'distinct_unknown_words' of the split 'test' is no count"
    ):
        open_store(damaged)


@pytest.mark.parametrize("name", ["../x", "/x", "..", ".hidden", "", "a/b", "a\n"])
def test_a_split_outside_of_the_store_is_refused(damaged: Path, name: str) -> None:
    description = json.loads((damaged / "store.json").read_text())
    about = description["splits"]["test"]
    set_in_description(damaged, "splits", {**description["splits"], name: about})
    with pytest.raises(InputError, match="cannot be the name of a folder") as caught:
        open_store(damaged)
    assert caught.value.file == str(damaged / "store.json")


@pytest.mark.parametrize("name", ["labels.json", "train/ids.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('["a"]', "names, found 1"),
        ('{"a": 1}', "expected a JSON list of names"),
        ("[1, 2, 3, 4, 5]", "expected a JSON list of names"),
        ("[" * 100_000, "this is not whole JSON"),
    ],
)
def test_a_list_of_names_that_is_none(damaged: Path, name: str, content: str, message: str) -> None:
    (damaged / name).write_text(content)
    files = json.loads((damaged / "store.json").read_text())["files"]
    set_in_description(damaged, "files", {**files, name: len(content)})
    with pytest.raises(InputError, match=message) as caught:
        open_store(damaged)
    assert caught.value.file == str(damaged / name)


def test_a_list_of_words_of_another_length(damaged: Path) -> None:
    set_in_description(damaged, "words", len(WORDS) + 1)
    with pytest.raises(InputError, match=f"expected {len(WORDS) + 1} words, found {len(WORDS)}"):
        open_store(damaged)


def replace_same_size(path: Path, array: np.ndarray) -> None:
    before = path.stat().st_size
    np.save(path, array)
    assert path.stat().st_size == before


def test_an_array_of_another_type(damaged: Path) -> None:
    file = damaged / "train" / "tokens.npy"
    replace_same_size(file, np.load(file).astype(np.float32))
    with pytest.raises(InputError, match="expected int32 in 1 dimensions, found float32"):
        open_store(damaged)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("train/offsets", [0, 6, 5, 10], "where each of 3 documents begins in tokens"),
        ("train/offsets", [0, 6, 6, 13], "in ascending order"),
        ("train/offsets", [1, 6, 10, 13], "in ascending order"),
        ("train/offsets", [0, 6, 10, 99], "in ascending order"),
        ("train/label_offsets", [0, 3, 2, 3], "in label_ids.npy"),
        ("train/label_offsets", [0, 2**63 - 1, -(2**63), 3], "in ascending order"),
        ("train/label_ids", [0, 1, 9], "expected numbers of labels, 0 to 4, found 0 to 9"),
        ("train/label_ids", [0, 1, -1], "found -1 to 1"),
    ],
)
def test_arrays_that_are_no_documents(
    damaged: Path, name: str, values: list[int], message: str
) -> None:
    file = damaged / f"{name}.npy"
    replace_same_size(file, np.array(values, np.load(file).dtype))
    with pytest.raises(InputError, match=message) as caught:
        open_store(damaged)
    assert caught.value.file == str(file)


def test_an_array_of_another_shape(damaged: Path) -> None:
    file = damaged / "train" / "label_ids.npy"
    replace_same_size(file, np.load(file)[None])
    with pytest.raises(InputError, match="expected int32 in 1 dimensions, found int32 in 2"):
        open_store(damaged)


def test_vectors_of_another_shape(damaged: Path) -> None:
    file = damaged / "vectors.npy"
    replace_same_size(file, np.load(file).reshape(2, -1))
    with pytest.raises(InputError, match=r"each of 10 words, found the shape \(2, "):
        open_store(damaged)


def test_pickles_are_not_opened(damaged: Path) -> None:
    file = damaged / "train" / "tokens.npy"
    np.save(file, np.array([{}], object))
    description = json.loads((damaged / "store.json").read_text())
    description["files"]["train/tokens.npy"] = file.stat().st_size
    (damaged / "store.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match="no readable array"):
        open_store(damaged)


def test_changes_that_keep_the_size_are_found_by_verify(damaged: Path, tmp_path: Path) -> None:
    open_store(damaged).verify()
    copy = shutil.copytree(damaged, tmp_path / "copy")
    file = copy / "train" / "tokens.npy"
    replace_same_size(file, np.load(file)[::-1].copy())
    with pytest.raises(InputError, match="fingerprint"):
        open_store(copy).verify()
    replace_same_size(damaged / "vectors.npy", np.load(damaged / "vectors.npy") + 1)
    with pytest.raises(InputError, match="the word vectors were changed"):
        open_store(damaged).verify()
