"""A few documents in every format that is read, written with other means than the readers'."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from axml_jax.data.corpus import Document
from axml_jax.data.readers.layouts import SplitFiles

DOCUMENTS = [
    Document("The cat sat, on the mat", ("1", "0"), "d1"),
    Document("Ein Hündchen lief; \u0939\u093f\u0928\u094d\u0926\u0940 3.5%", ("2",), "d2"),
    Document('He said: "don\'t", snake_case', (), "d3"),
]


def in_format(folder: Path, name: str, documents: Sequence[Document]) -> SplitFiles:
    """Writes documents in one of FORMATS."""
    folder.mkdir(parents=True)
    path, labels = folder / "documents", folder / "labels"
    texts = "".join(f"{text}\n" for text, _, _ in documents)
    if name.startswith("lines"):
        path.write_text(texts)
        (folder / "ids").write_text("".join(f"{document.id}\n" for document in documents))
    if name == "jsonl":
        rows = [{"id": d.id, "text": d.text, "labels": d.labels} for d in documents]
        path.write_text("\n".join(map(json.dumps, rows)))
    elif name == "xc_json":
        targets = [[int(label) for label in d.labels] for d in documents]
        numbered = [
            {"uid": d.id, "title": d.text, "content": "", "target_ind": target, "target_rel": [1.0]}
            for d, target in zip(documents, targets, strict=True)
        ]
        path.write_text("\n".join(map(json.dumps, numbered)))
    elif name == "csv":
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([["labels", "text", "id"]])
            writer.writerows([" ".join(d.labels), d.text, d.id] for d in documents)
    elif name in ("tsv", "tsv_id"):
        rows_of_text = [f"{d.id}\t{','.join(d.labels)}\t{d.text}\n" for d in documents]
        cut = [row.split("\t", 1)[1] if name == "tsv" else row for row in rows_of_text]
        path.write_text("".join(cut))
    elif name == "json_folder":
        path.mkdir()
        for number, d in enumerate(documents):
            law = {"celex_id": d.id, "concepts": d.labels, "header": d.text}
            law.update({"recitals": "", "main_body": [], "attachments": ""})
            (path / f"{number:05}.json").write_text(json.dumps(law))
    elif name == "lines":
        labels.write_text("".join(" ".join(d.labels) + "\n" for d in documents))
    elif name == "lines_bow":
        header = f"{len(documents)} 9 3\n"
        labels.write_text(header + "".join(f"{','.join(d.labels)} 0:0.5 8:1\n" for d in documents))
    elif name == "lines_sparse":
        rows_of_text = [" ".join(f"{label}:1.0" for label in d.labels) for d in documents]
        labels.write_text("\n".join([f"{len(documents)} 3", *rows_of_text]) + "\n")
    elif name == "lines_npz":
        labels = labels.with_suffix(".npz")
        indptr = np.cumsum([0, *(len(d.labels) for d in documents)])
        indices = np.array([int(label) for d in documents for label in d.labels], np.int32)
        shape, data = (len(documents), 3), np.ones(len(indices), np.float32)
        np.savez(labels, indices=indices, indptr=indptr, data=data, shape=shape, format=b"csr")
    if not name.startswith("lines"):
        return SplitFiles(path)
    return SplitFiles(path, labels, folder / "ids")
