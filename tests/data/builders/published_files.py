"""Tiny data sets in their publishers' formats, written by the tests that read them."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path


def write(folder: Path, files: dict[str, str]) -> Path:
    """Writes files below a folder, compressed where the name ends in .gz; returns the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return folder


RCV1 = {
    "lyrl2004_tokens_train.dat.gz": (
        ".I 2286\n.W\nrecov excit\nbring mexic\n\n.I 2287\n.W\npercent year\n\n"
    ),
    "lyrl2004_tokens_test_pt0.dat": ".I 26151\n.W\nrow sheep\n\n",
    "lyrl2004_tokens_test_pt1.dat": ".I 26152\n.W\nstock\n\n.I 26153\n.W\nbond bond\n\n",
    "lyrl2004_tokens_test_pt2.dat": ".I 30000\n.W\nyen\n",
    "lyrl2004_tokens_test_pt3.dat": ".I 30001\n.W\nlast\nwords\nhere\n\n",
    "rcv1-v2.topics.qrels.gz": (
        "E11 2286 1\nECAT 2286 1\nM11 2286 1\nC15 2287 1\nE11 26151 1\nM11 26152 1\n"
        "M12 26153 1\nM13 30000 1\nGCAT 30001 1\nGDIP 30001 1\n"
    ),
}
RCV1_DOCUMENTS = {
    "train": [
        ("recov excit bring mexic", ("E11", "ECAT", "M11"), "2286"),
        ("percent year", ("C15",), "2287"),
    ],
    "test": [
        ("row sheep", ("E11",), "26151"),
        ("stock", ("M11",), "26152"),
        ("bond bond", ("M12",), "26153"),
        ("yen", ("M13",), "30000"),
        ("last words here", ("GCAT", "GDIP"), "30001"),
    ],
}

PAIRS = {
    "train_texts.txt": "the council has decided\nfish quota\n",
    "train_labels.txt": "12 7\n\n",
    "test_texts.txt": "the commission\n",
    "test_labels.txt": "7\n",
}
PAIRS_DOCUMENTS = {
    "train": [("the council has decided", ("12", "7"), ""), ("fish quota", (), "")],
    "test": [("the commission", ("7",), "")],
}

ARFF = {
    "eurlex_tokenstring_CV1-10_train.arff": (
        "% EUR-Lex\n@relation eurlex\n\n@attribute docID numeric\n@attribute tokens string\n@DATA\n"
        "1,'council decision it\\'s made'\n3,\"fish quota\"\n4,''\n"
    ),
    "eurlex_tokenstring_CV1-10_test.arff": "@relation eurlex\n@data\n2,'commission regulation'\n",
    "id2class_eurlex_eurovoc.qrels": "fishery_policy 1 1\nquota 1 1\nquota 3 1\nimport 2 1\n",
}
ARFF_DOCUMENTS = {
    "train": [
        ("council decision it's made", ("fishery_policy", "quota"), "1"),
        ("fish quota", ("quota",), "3"),
        ("", (), "4"),
    ],
    "test": [("commission regulation", ("import",), "2")],
}

VECTORS = {
    "train.txt": "545, 32 8:1 18:2\n32\n7 3:2.0\n",
    "test.txt.gz": "7,7 3:1\n",
}
VECTORS_DOCUMENTS = {
    "train": [("8 18 18", ("545", "32"), ""), ("", ("32",), ""), ("3 3", ("7",), "")],
    "test": [("3", ("7",), "")],  # its label once, though the file has it twice
}


def _product(uid: str, title: str, content: str, labels: list[int]) -> str:
    record = {"uid": uid, "title": title, "content": content, "target_ind": labels}
    return json.dumps({**record, "target_rel": [1.0] * len(labels)}) + "\n"


AMAZONCAT = {
    "AmazonCat-13K.raw/trn.json.gz": (
        _product("B1", "A lamp", "It shines.", [2, 0]) + _product("B2", "Caf\u00e9", "", [1])
    ),
    "AmazonCat-13K.raw/tst.json.gz": _product("B3", "Lamps", "Two of them.", [2]),
}
AMAZONCAT_NAMES = "books\nm\u00fasica\nhome & kitchen\n".encode("latin-1")
AMAZONCAT_DOCUMENTS = {
    "train": [
        ("A lamp\nIt shines.", ("home & kitchen", "books"), "B1"),
        ("Caf\u00e9", ("m\u00fasica",), "B2"),
    ],
    "test": [("Lamps\nTwo of them.", ("home & kitchen",), "B3")],
}


def _law(name: str, words: str, concepts: list[str]) -> str:
    return json.dumps(
        {
            "celex_id": name,
            "title": "Regulation",
            "header": "Council Regulation",
            "recitals": "whereas",
            "main_body": [words],
            "attachments": "done",
            "concepts": concepts,
        }
    )


EURLEX57K = {
    "dataset/train/32000D0001.json": _law("32000D0001", "fish", ["1309", "192"]),
    "dataset/train/32000D0002.json": _law("32000D0002", "milk", ["192"]),
    "dataset/dev/32000D0003.json": _law("32000D0003", "wine", ["1309"]),
    "dataset/test/32000D0004.json": _law("32000D0004", "corn", []),
}


def zip_of(path: Path, files: dict[str, str]) -> Path:
    """Writes the files into an archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
