"""How many documents a second does each reader read, and how far is that from the floor?

    python benchmarks/readers.py

Writes the same generated documents (random words, as many as EURLEX57K has in the mean by default,
5 labels each) to a temporary folder in every format, and reads each with `open_documents`, on one
core.  Beside each reader stands its floor: what reading the same files takes at the least, which is
their lines (decoded), for JSON with `json.loads`, for CSV with `csv.reader`.  Rates are given in
processor time, which other work on the machine hardly changes; MB are those of the files as they
are, uncompressed unless --gzip is given.
"""

import collections
import csv
import gzip
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file

import numpy as np
import scipy.sparse
from absl import app, flags

from axml_jax.data.corpus import Document, open_bytes, read_lines
from axml_jax.data.readers.formats import FORMATS
from axml_jax.data.readers.json_folder import json_files
from axml_jax.data.readers.opening import open_documents
from benchmarks import report

DOCUMENTS = flags.DEFINE_integer("documents", 5_000, "documents to generate", lower_bound=2)
WORDS = flags.DEFINE_integer("words", 730, "words in the mean document", lower_bound=1)
GZIP = flags.DEFINE_boolean("gzip", False, "compress the files of lines with gzip")
REPEATS = flags.DEFINE_integer("repeats", 3, "timed rounds", lower_bound=1)
NAME = flags.DEFINE_string("name", "readers", "name of the file of results")
OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")

LABEL_COUNT = 4_271
LABELS = 5


class Files(NamedTuple):
    """The documents in one format: a file or folder, and a file of labels where there is one."""

    path: Path
    labels: Path | None = None


def generate(documents: int, words: int) -> list[Document]:
    """Documents of random words, whose lengths are log-normal, and of labels that are numbers."""
    random = np.random.default_rng(0)
    letters = random.integers(ord("a"), ord("z") + 1, (20_000, 7), np.uint8)
    vocabulary = np.array([bytes(word).decode() for word in letters])
    lengths = random.lognormal(np.log(words) - 0.39, 0.88, documents).astype(int) + 1
    return [
        Document(
            " ".join(random.choice(vocabulary, length)),
            tuple(map(str, random.choice(LABEL_COUNT, LABELS, replace=False))),
            str(number),
        )
        for number, length in enumerate(lengths)
    ]


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Writes a file of lines, compressed if that is asked for."""
    content = "".join(f"{line}\n" for line in lines).encode()
    if GZIP.value:
        path, content = path.with_name(f"{path.name}.gz"), gzip.compress(content, 6)
    path.write_bytes(content)
    return path


def write_format(name: str, documents: list[Document], folder: Path) -> Files:
    """Writes the documents in one of FORMATS."""
    folder.mkdir()
    if name == "jsonl":
        rows = [{"id": d.id, "text": d.text, "labels": d.labels} for d in documents]
        return Files(write_lines(folder / "train.jsonl", map(json.dumps, rows)))
    if name == "xc_json":
        numbered = [
            {"uid": d.id, "title": "", "content": d.text, "target_ind": [*map(int, d.labels)]}
            for d in documents
        ]
        return Files(write_lines(folder / "trn.json", map(json.dumps, numbered)))
    if name == "csv":
        lines = [f'{d.id},{" ".join(d.labels)},"{d.text}"' for d in documents]
        return Files(write_lines(folder / "train.csv", ["id,labels,text", *lines]))
    if name in ("tsv", "tsv_id"):
        first = {"tsv": "", "tsv_id": "{}\t"}[name]
        lines = [first.format(d.id) + f"{','.join(d.labels)}\t{d.text}" for d in documents]
        return Files(write_lines(folder / "train.tsv", lines))
    if name == "json_folder":
        for number, d in enumerate(documents):
            law = {"celex_id": d.id, "concepts": d.labels, "header": d.text[:200]}
            law |= {"recitals": "", "main_body": [d.text[200:]], "attachments": ""}
            (folder / f"{number:08}.json").write_text(json.dumps(law), encoding="utf-8")
        return Files(folder)
    texts = write_lines(folder / "texts.txt", [d.text for d in documents])
    if name == "lines_npz":
        columns = [int(label) for d in documents for label in d.labels]
        owners = np.repeat(np.arange(len(documents)), LABELS)
        shape = (len(documents), LABEL_COUNT)
        matrix = scipy.sparse.csr_array(
            (np.ones(len(columns), np.float32), (owners, columns)), shape
        )
        scipy.sparse.save_npz(folder / "Y.npz", matrix)
        return Files(texts, folder / "Y.npz")
    lines = {
        "lines": [" ".join(d.labels) for d in documents],
        "lines_bow": [f"{','.join(d.labels)} 0:0.5 7:0.25" for d in documents],
        "lines_sparse": [" ".join(f"{label}:1.0" for label in d.labels) for d in documents],
    }[name]
    header = {"lines_sparse": [f"{len(documents)} {LABEL_COUNT}"]}.get(name, [])
    return Files(texts, write_lines(folder / "labels.txt", [*header, *lines]))


def consume(items: Iterable[Any]) -> None:
    collections.deque(items, maxlen=0)


def floor(name: str, files: Files) -> Iterator[Any]:
    """The least that reading takes: lines, and for JSON and CSV the standard library's parser."""
    if name == "json_folder":
        for file in json_files(files.path):
            with open_bytes(file) as opened:
                yield json.loads(opened.read())
    elif name in ("jsonl", "xc_json"):
        yield from map(json.loads, read_lines(files.path))
    elif name == "csv":
        yield from csv.reader(read_lines(files.path))
    elif files.labels is None or name == "lines_npz":
        yield from read_lines(files.path)
    else:
        yield from zip(read_lines(files.path), read_lines(files.labels), strict=False)


def processor_seconds(run: Callable[[], None], seconds: list[float]) -> Callable[[], None]:
    """The same function, noting its processor time."""

    def call() -> None:
        begin = time.process_time()
        run()
        seconds.append(time.process_time() - begin)

    return call


def size(files: Files) -> int:
    """Bytes of all files of one format."""
    paths = [path for path in files if path is not None]
    paths += files.path.iterdir() if files.path.is_dir() else []
    return sum(path.stat().st_size for path in paths if path.is_file())


def measure(name: str, files: Files, documents: int) -> dict[str, Any]:
    """Times one reader and its floor in turn."""
    seconds: dict[str, list[float]] = {"reader": [], "floor": []}

    def read() -> None:
        consume(open_documents(files.path, name, labels=files.labels))

    rivals = {
        "floor": processor_seconds(lambda: consume(floor(name, files)), seconds["floor"]),
        "reader": processor_seconds(read, seconds["reader"]),
    }
    times = report.alternate(rivals, REPEATS.value, warm_up=1)
    best = {key: max(min(found[1:]), 1e-9) for key, found in seconds.items()}  # [0]: warming up
    megabytes = size(files) / 1e6
    return {
        "documents_per_second": round(documents / best["reader"]),
        "megabytes_per_second": megabytes / best["reader"],
        "floor_documents_per_second": round(documents / best["floor"]),
        "times_the_floor": best["reader"] / best["floor"],
        "megabytes": megabytes,
        "cpu_s": best,
        "times": times,
    }


def main(arguments: list[str]) -> None:
    if len(arguments) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(arguments[1:])}")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    csv.field_size_limit(1 << 26)
    documents = generate(DOCUMENTS.value, WORDS.value)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for kind in FORMATS:
            files = write_format(kind, documents, Path(name) / kind)
            results[kind] = found = measure(kind, files, len(documents))
            print(
                f"{kind:14} {found['documents_per_second']:>10,} documents/s "
                f"{found['megabytes_per_second']:>8.1f} MB/s, {found['times_the_floor']:.2f} times "
                "the floor's time"
            )
    about = {
        "documents": len(documents),
        "words_per_document": sum(d.text.count(" ") + 1 for d in documents) / len(documents),
        "gzip": GZIP.value,
        "formats": results,
    }
    path = report.write(NAME.value, about, None if OUT.value is None else Path(OUT.value))
    print(f"Written to {path.name}.")


if __name__ == "__main__":
    app.run(main)
