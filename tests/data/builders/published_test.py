"""The paper's data sets in their publishers' formats: whole, damaged, missing, and counted."""

from collections.abc import Sized
from pathlib import Path
from typing import Any

import pytest

from axml_jax.data import encode, table_one
from axml_jax.data.builders.catalogue import DATASETS
from axml_jax.data.builders.named import open_dataset, show_row
from axml_jax.data.builders.published import checked, from_memory
from axml_jax.data.store import write_store
from axml_jax.data.text import tokenize
from axml_jax.errors import ConfigError, InputError
from tests.data.builders import published_files as small

KINDS = {
    "rcv1": ("rcv1", small.RCV1, small.RCV1_DOCUMENTS),
    "eurlex4k": ("eurlex4k", small.PAIRS, small.PAIRS_DOCUMENTS),
    "eurlex4k in its archive's folder": (
        "eurlex4k",
        {f"EUR-Lex/{name}": text for name, text in small.PAIRS.items()},
        small.PAIRS_DOCUMENTS,
    ),
    "eurlex4k as ARFF": ("eurlex4k", small.ARFF, small.ARFF_DOCUMENTS),
    "wiki10_31k": (
        "wiki10_31k",
        {
            **small.PAIRS,
            **{name.replace("_texts", "_raw_texts"): text for name, text in small.PAIRS.items()},
            "train_texts.txt": "tokenized\n" * 2,
        },
        small.PAIRS_DOCUMENTS,
    ),
    "wikilshtc": ("wikilshtc", small.PAIRS, small.PAIRS_DOCUMENTS),
    "wikilshtc as vectors": ("wikilshtc", small.VECTORS, small.VECTORS_DOCUMENTS),
    "amazoncat_13k": ("amazoncat_13k", small.AMAZONCAT, small.AMAZONCAT_DOCUMENTS),
    "amazoncat_13k in pairs": ("amazoncat_13k", small.PAIRS, small.PAIRS_DOCUMENTS),
}
RCV1_TOPICS_TWICE = (
    "E11 2286 1\nE11 2286 1\nC15 2287 1\nE11 26151 1\nM11 26152 1\nM12 26153 1\n"
    "M13 30000 1\nGCAT 30001 1\n"
)


def write(folder: Path, files: dict[str, str]) -> Path:
    small.write(folder, files)
    if (raw := folder / "AmazonCat-13K.raw").exists():
        (raw / "Yf.txt").write_bytes(small.AMAZONCAT_NAMES)
    return folder


def read(name: str, folder: Path) -> dict[str, list[Any]]:
    dataset = DATASETS[name]
    splits = dataset.read(dataset.files(folder))
    return {split: list(documents) for split, documents in splits.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_data_set_is_read(kind: str, tmp_path: Path) -> None:
    name, files, expected = KINDS[kind]
    assert read(name, write(tmp_path, files)) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_every_missing_file_is_named_with_where_it_comes_from(kind: str, tmp_path: Path) -> None:
    name, files, _ = KINDS[kind]
    if name == "wiki10_31k":
        files = small.PAIRS
    write(tmp_path, files)
    for missing in [path for path in tmp_path.rglob("*") if path.is_file()]:
        content = missing.read_bytes()
        missing.unlink()
        with pytest.raises(InputError, match="this file is missing") as caught:
            read(name, tmp_path)
        plain = missing.name.removesuffix(".gz").replace("_texts", "_raw_texts")
        assert plain in str(caught.value).replace("_raw_raw_", "_raw_")
        assert DATASETS[name].source in str(caught.value)
        missing.write_bytes(content)


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "pydocs"])
def test_an_empty_folder_and_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this file is missing"):
        read(name, tmp_path)
    with pytest.raises(InputError, match="there is no such folder") as caught:
        read(name, tmp_path / "nowhere")
    assert DATASETS[name].source in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "file", "content", "message"),
    [
        ("rcv1", "lyrl2004_tokens_train.dat.gz", "", r"file is empty: expected \.I"),
        ("rcv1", "lyrl2004_tokens_train.dat.gz", "recov\n", r"expected \.I and.*found 'recov'"),
        ("rcv1", "lyrl2004_tokens_train.dat.gz", ".I 2x\n.W\na\n", "number after .I, found '2x'"),
        ("rcv1", "lyrl2004_tokens_train.dat.gz", ".I 2286\nrecov\n", r"expected \.W below .I 2286"),
        ("rcv1", "lyrl2004_tokens_train.dat.gz", ".I 2286\n.W\na\n.I 2287\n", r":4: .*has no \.W"),
        ("rcv1", "lyrl2004_tokens_train.dat.gz", ".I 2286\n.W\n\n", "2286 has no words"),
        ("rcv1", "lyrl2004_tokens_test_pt2.dat", ".I 5\n.W\na\n", "document 5 has no topic in"),
        ("rcv1", "lyrl2004_tokens_test_pt2.dat", ".I 26152\n.W\na\n", ":1: document 26152 stands"),
        ("rcv1", "lyrl2004_tokens_test_pt2.dat", ".I 2287\n.W\na\n", ":1: document 2287 stands"),
        (
            "rcv1",
            "lyrl2004_tokens_test_pt2.dat",
            ".I 30000\n.W\na\n\n.I 30000\n.W\na\n",
            ":5: document 30000 stands here again",
        ),
        ("rcv1", "rcv1-v2.topics.qrels.gz", "E11 2286 1\nECAT 22", ":2: expected a label, a doc"),
        ("eurlex4k", "train_labels.txt", "12\n", "train_labels.txt has 1 lines but train_te"),
        ("eurlex4k as ARFF", "eurlex_tokenstring_CV1-10_test.arff", "@relation", "no line @data"),
        ("eurlex4k as ARFF", "eurlex_tokenstring_CV1-10_test.arff", "@data\n", "no row after @d"),
        (
            "eurlex4k as ARFF",
            "eurlex_tokenstring_CV1-10_test.arff",
            "@data\n2,'commission regu",
            ":2: expected a document's number, a comma",
        ),
        ("wikilshtc as vectors", "train.txt", "545, 32 8:1 18\n", ":1: expected categories sep"),
        ("wikilshtc as vectors", "train.txt", "5 8:1\n5 8:1.5\n", ":2: expected categories sep"),
        ("wikilshtc as vectors", "train.txt", "", "the file is empty"),
        ("wikilshtc as vectors", "train.txt", "5 8:1\n5 8:1 9:300000000\n", ":2: .*600,000,002 b"),
        ("wikilshtc as vectors", "train.txt", f"5 8:{'9' * 5000}\n", ":1: expected categories sep"),
        ("wikilshtc as vectors", "test.txt.gz", "0 3:1\n", "keeps the categories secret"),
        ("amazoncat_13k", "AmazonCat-13K.raw/trn.json.gz", '{"uid": "B1", "ti', "trn.json.gz:1"),
        ("amazoncat_13k", "AmazonCat-13K.raw/Yf.txt", "one\n", "label 2 is none of Yf.txt"),
        ("amazoncat_13k", "AmazonCat-13K.raw/Yf.txt", "one\n\n", ":2: an empty line"),
        ("amazoncat_13k", "AmazonCat-13K.raw/Yf.txt", "", "the file is empty"),
        (
            "amazoncat_13k",
            "AmazonCat-13K.raw/Yf.txt",
            "Books\nBooks [2]\nBooks\nMusic\nToys\n",
            r":3: the name 'Books \[2\]' stands here again",
        ),
    ],
)
def test_damage_is_told_with_file_and_line(
    kind: str, file: str, content: str, message: str, tmp_path: Path
) -> None:
    name, files, _ = KINDS[kind]
    write(tmp_path, files)
    small.write(tmp_path, {file: content})
    with pytest.raises(InputError, match=message) as caught:
        read(name, tmp_path)
    assert caught.value.file
    assert caught.value.file.startswith(str(tmp_path))


def test_a_file_cut_short_in_its_compression(tmp_path: Path) -> None:
    path = write(tmp_path, small.RCV1) / "lyrl2004_tokens_train.dat.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InputError, match="damaged or cut short"):
        read("rcv1", tmp_path)


def test_names_of_categories_that_stand_twice_stay_apart(tmp_path: Path) -> None:
    write(tmp_path, small.AMAZONCAT)
    (tmp_path / "AmazonCat-13K.raw" / "Yf.txt").write_text("lamps\nx\nlamps\n")
    assert read("amazoncat_13k", tmp_path)["train"][0].labels == ("lamps [2]", "lamps")


def test_eurlex57k_is_read_by_its_folders(tmp_path: Path) -> None:
    splits = read("eurlex57k", small.write(tmp_path, small.EURLEX57K))
    found = {name: [(d.id, d.labels) for d in documents] for name, documents in splits.items()}
    assert found == {
        "train": [("32000D0001", ("1309", "192")), ("32000D0002", ("192",))],
        "valid": [("32000D0003", ("1309",))],
        "test": [("32000D0004", ())],
    }
    assert splits["train"][1].text.split() == ["Council", "Regulation", "whereas", "milk", "done"]


def test_other_counts_than_the_papers_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, small.RCV1)
    splits = open_dataset("rcv1", manual_dir=tmp_path).documents
    message = (
        r"rcv1 is not the published RCV1: N_train is 2, 23,149 published; N_test is 5, 781,265 "
        r"published; L is 8, 103 published\..*--other_counts"
    )
    with pytest.raises(InputError, match=message):
        write_store(tmp_path / "store", splits, source="x", vectors="none")
    assert not (tmp_path / "store").exists()


def test_or_told_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, small.RCV1)
    opened = open_dataset("axml_rcv1", manual_dir=tmp_path, other_counts=True)
    store = write_store(tmp_path / "store", opened.documents, source="x", vectors="none")
    assert table_one.row_of_store("rcv1", store)[:5] == ("rcv1", 2, 5, 6, 8)
    show_row("axml_rcv1", store)
    out, err = capsys.readouterr()
    assert "RCV1 in the paper" in out
    assert "note: rcv1 is not the published RCV1: N_train is 2" in err
    assert opened.source.startswith("rcv1, http")
    assert store.splits["test"].ids == ["26151", "26152", "26153", "30000", "30001"]


def test_the_papers_counts_pass(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    dataset = DATASETS["rcv1"]
    documents = read("rcv1", write(tmp_path, small.RCV1))
    row = table_one.Row("RCV1", 2, 5, 1, 8, 2.0, 1.0, 99.0, 1.8)
    # Other words per document than the paper's are no error: what a word is differs.
    same = dataset._replace(row=row)
    splits = checked(same, from_memory(documents), tell=False, table=True)
    # In any order, and only when the last split is read to its end.
    assert list(splits["test"]) == documents["test"]
    assert not capsys.readouterr().out
    assert list(splits["train"]) == documents["train"]
    out = " ".join(capsys.readouterr().out.split())
    assert "Table 1" in out
    assert out.endswith("words/training document is 3.00, 99.00 published")
    assert list(splits["train"]) == documents["train"]  # again, and nothing is counted twice
    one_less = same._replace(row=row._replace(test_documents=4))
    splits = checked(one_less, from_memory(documents), tell=False)
    list(splits["train"])
    with pytest.raises(InputError, match="N_test is 5, 4 published"):
        list(splits["test"])


@pytest.mark.parametrize(
    ("name", "files", "repeated"),
    [
        (
            "eurlex4k",
            {**small.PAIRS, "train_labels.txt": "12 7 12\n\n", "test_labels.txt": "7 7\n"},
            [1, 1],
        ),
        ("wikilshtc", small.VECTORS, [0, 1]),
        (
            "rcv1",
            {**small.RCV1, "rcv1-v2.topics.qrels.gz": RCV1_TOPICS_TWICE},
            [1, 0],
        ),
    ],
)
def test_labels_that_stand_twice_are_counted(
    name: str, files: dict[str, str], repeated: list[int], tmp_path: Path
) -> None:
    opened = open_dataset(name, manual_dir=small.write(tmp_path, files), other_counts=True)
    store = write_store(tmp_path / "store", opened.documents, source="x", vectors="none")
    found = [
        store.description["splits"][split]["documents_with_repeated_labels"]
        for split in ("train", "test")
    ]
    assert found == repeated


def test_the_number_of_documents_is_known_where_files_are_counted(tmp_path: Path) -> None:
    small.write(tmp_path, small.EURLEX57K)
    opened = open_dataset("eurlex57k", manual_dir=tmp_path).documents
    counted = {split: isinstance(part, Sized) and len(part) for split, part in opened.items()}
    assert counted == {"train": 2, "valid": 1, "test": 1}


def test_a_text_is_split_into_words_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def counted(text: str) -> list[str]:
        texts.append(text)
        return tokenize(text)

    for module in (encode, table_one):
        monkeypatch.setattr(module, "tokenize", counted)
    files = small.write(tmp_path, small.PAIRS)
    opened = open_dataset("eurlex4k", manual_dir=files, other_counts=True)
    write_store(tmp_path / "store", opened.documents, source="x", vectors="none")
    assert sorted(texts) == ["fish quota", "the commission", "the council has decided"]


def test_what_is_odd_about_a_published_figure_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = small.write(tmp_path, small.PAIRS)
    splits = open_dataset("eurlex4k", manual_dir=files, other_counts=True).documents
    store = write_store(tmp_path / "store", splits, source="x", vectors="none")
    show_row("eurlex4k", store)
    shown = " ".join(capsys.readouterr().out.split())
    assert "labels/document is 1.00, 5.30 published;" in shown
    assert "1.00, 7.79 published (no mean over training: 15,449 x 5.30" in shown
    assert "words/training document is 3.00, 1,248.58 published" in shown


def test_eurlex57k_is_counted_too(tmp_path: Path) -> None:
    small.write(tmp_path, small.EURLEX57K)
    splits = open_dataset("eurlex57k", manual_dir=tmp_path).documents
    message = (
        "not the published eurlex57k: N_train is 2, 45,000 published; N_test is 1, 6,000 "
        "published; L is 2, 4,271 published"
    )
    with pytest.raises(InputError, match=message):
        write_store(tmp_path / "store", splits, source="x", vectors="none")


def test_every_one_of_the_papers_has_its_row() -> None:
    rows = [dataset.row for dataset in DATASETS.values() if dataset.row]
    assert rows == list(table_one.PAPER.values())


def test_names() -> None:
    with pytest.raises(ConfigError, match=r"no data set 'rvc1'.  Did you mean rcv1\?"):
        open_dataset("rvc1")
    with pytest.raises(ConfigError, match=r"wiki10_31k needs --manual_dir, .*AttentionXML"):
        open_dataset("axml_wiki10_31k")
