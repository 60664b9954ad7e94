"""EURLEX57K: European law with EUROVOC concepts (Chalkidis et al., ACL 2019); not the paper's.

Published as `datasets.zip`, which unpacks to `dataset/train`, `dataset/dev` and `dataset/test` with
one JSON file a document: 45,000, 6,000 and 6,000, with 4,271 concepts.  They are read by
`axml_jax.data.readers.json_folder`.
"""

from __future__ import annotations

from axml_jax.data.builders.published import Files, Published, Splits
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.json_folder import open_json_folder

_PAGE = "http://nlp.cs.aueb.gr/software_and_datasets/EURLEX57K"
_FOLDERS = {"train": "train", "valid": "dev", "test": "test"}


def read(files: Files) -> Splits:
    """The three splits; the data set's `dev` is called `valid`."""
    folders = {
        split: files.find(name, f"dataset/{name}", f"datasets/{name}")
        for split, name in _FOLDERS.items()
    }
    options = Options(keep_empty=True, keep_repeated_ids=True)
    return {split: open_json_folder(folder, options) for split, folder in folders.items()}


EURLEX57K = Published(
    name="eurlex57k",
    row=None,
    source=f"folders train, dev and test of {_PAGE}/datasets.zip, unpacked.",
    homepage=_PAGE,
    read=read,
    urls={"datasets.zip": f"{_PAGE}/datasets.zip"},
    counts={"train_documents": 45_000, "test_documents": 6_000, "labels": 4_271},
)
