"""AmazonCat-13K: products with their categories (McAuley and Leskovec, 2013).

Two layouts are read, the first that is there:

1.  The Extreme Classification Repository's raw text, archive AmazonCat-13K.raw: `trn.json.gz` and
    `tst.json.gz`, a JSON object a line with `uid`, `title`, `content` and `target_ind` (numbers of
    categories, from 0), and `Yf.txt`, the categories' names line by line.  That file is not UTF-8
    throughout: lines that are not are read as Latin-1.
2.  Line-aligned texts and labels as the paper's authors share them (`published.read_pairs`).
"""

from __future__ import annotations

from axml_jax.data.builders.published import Files, Published, Splits, has_pairs, read_pairs
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.json_lines import open_numbered
from axml_jax.data.readers.label_file import read_label_file
from axml_jax.data.table_one import PAPER

_FOLDER = "AmazonCat-13K"
_RAW_FOLDER = "AmazonCat-13K.raw"
_JSON = {"train": "trn.json", "test": "tst.json"}
_NAMES = "Yf.txt"


def read(files: Files) -> Splits:
    """Both splits, of whichever layout is there."""
    wanted = {split: (name, f"{_RAW_FOLDER}/{name}") for split, name in _JSON.items()}
    any_json = any(files.get(*names) for names in wanted.values())
    if not any_json and has_pairs(files, _FOLDER):
        return read_pairs(files, _FOLDER)
    paths = {split: files.find(*names) for split, names in wanted.items()}
    names = read_label_file(files.find(_NAMES, f"{_RAW_FOLDER}/{_NAMES}"), otherwise="latin-1")
    options = Options(label_file=names, keep_empty=True, keep_repeated_ids=True)
    return {split: open_numbered(path, options) for split, path in paths.items()}


AMAZONCAT_13K = Published(
    name="amazoncat_13k",
    row=PAPER["AmazonCat-13K"],
    source=(
        "the raw text of AmazonCat-13K from "
        "http://manikvarma.org/downloads/XC/XMLRepository.html (AmazonCat-13K.raw.zip): "
        f"trn.json.gz, tst.json.gz and {_NAMES}; or the archive AmazonCat-13K of "
        "https://github.com/yourh/AttentionXML: train_raw_texts.txt, train_labels.txt, "
        "test_raw_texts.txt, test_labels.txt."
    ),
    homepage="http://manikvarma.org/downloads/XC/XMLRepository.html",
    read=read,
    urls={},
)
