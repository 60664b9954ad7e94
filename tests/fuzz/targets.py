"""What the fuzzers call: one function of bytes for each thing that reads what others wrote.

A function returns, for an input that can be used and for one that is refused with a clear error
alike; whatever else it raises is a fault.  Its seeds are small valid inputs.  Where an input stands
for several files, MARK stands between them; where there is a choice, the first byte makes it.
Knows nothing about fuzzers.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gzip
import io
import json
import lzma
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse

from axml_jax import config, runs
from axml_jax.baselines import choices, prediction_files
from axml_jax.baselines.predictions import read_predictions
from axml_jax.data import new_texts, summary
from axml_jax.data.base import read_base
from axml_jax.data.corpus import Document
from axml_jax.data.opened import open_store
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.formats import FORMATS
from axml_jax.data.readers.label_file import read_label_file
from axml_jax.data.readers.layouts import find_splits
from axml_jax.data.readers.opening import open_documents, open_splits
from axml_jax.data.store import write_store
from axml_jax.data.text import PAD_WORD, UNK_WORD, Vocabulary, tokenize, tokens_with_places
from axml_jax.data.titles import read_titles
from axml_jax.data.vectors import read_glove
from axml_jax.errors import ConfigError, InputError
from axml_jax.tables import printable

MARK = b"\n%%\n"
# Pieces that mean something to some reader: both fuzzers put them in.
PIECES = (
    b"\n", b"\r\n", b"\r", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\t", b" ", b",",
    b";", b":", b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b"[[[[[[[[", b"null", b"true", b"NaN",
    b"Infinity", b"1e999", b"-1", b"-0", b"0", b"2147483648", b"9223372036854775808", b"9" * 400,
    b"\\ud800", b"\\u0000", b"\x1b[31m", b"\xc2\x85", b"\xe2\x80\xa8", b"\xcc\x81\xcc\x96",
    b"\xc4\xb0", b"\xce\xa3", b"text", b"labels", b"id", b"title", b"uid", b"target_ind", b"../x",
    b"1:0.5", b"0:1 2:1", b"3 3", MARK,
)  # fmt: skip
_WORDS = [PAD_WORD, UNK_WORD, "the", "cat", "dog", "2", "paris", "i"]
_NAMES = ("cat", "dog", "a b", "1", "0", "x:y")
_SMALL = Options(max_line=1 << 16)


class Target(NamedTuple):
    """Something that reads.

    Attributes:
      name: For people, and for the command line.
      run: Reads an input.
      seeds: Inputs to begin with.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def note_refusal(error: Exception) -> None:
    """Called with each clear error; looks whether it can be shown."""
    assert printable(str(error)).encode(), "an error without a word"
    line = getattr(error, "line", None)
    assert line is None or line >= 1


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (InputError, ConfigError) as error:
        note_refusal(error)


@functools.cache
def _folder() -> Path:
    # In memory where that can be had: thousands of files are written.
    memory = Path("/dev/shm")
    path = tempfile.mkdtemp(prefix="fuzz.", dir=memory if os.access(memory, os.W_OK) else None)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def _write(name: str, content: bytes) -> Path:
    path = _folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _choose(data: bytes, choices: Sequence[str]) -> tuple[str, bytes]:
    return choices[(data[0] if data else 0) % len(choices)], data[1:]


def _parts(data: bytes, count: int) -> list[bytes]:
    found = data.split(MARK, count - 1)
    return found + [b""] * (count - len(found))


def _use(documents: Iterable[Document]) -> None:
    """What a store does with documents."""
    for document in documents:
        assert document.text.strip()
        for name in (*document.labels, document.id):
            name.encode()
        assert len(set(document.labels)) == len(document.labels)
        assert all(word.encode() for word in tokenize(document.text))


def _read_one(data: bytes, name: str, format: str) -> None:
    with _refusals():
        _use(open_documents(_write(name, data), format, _SMALL))


def _read_pair(data: bytes, format: str, suffix: str) -> None:
    texts, labels, names = _parts(data, 3)
    with _refusals():
        label_file = read_label_file(_write("names.txt", names)) if names else None
        options = Options(label_file=label_file, max_line=1 << 16)
        options = _SMALL if format == "lines" else options
        pair = _write("texts.txt", texts), _write(f"labels{suffix}", labels)
        _use(open_documents(pair[0], format, options, pair[1]))


def _json_folder(data: bytes) -> None:
    _write("records/b.json", b'{"text": "x", "concepts": []}')
    with _refusals():
        path = _write("records/a.json", data).parent
        _use(open_documents(path, "auto", Options(text_fields=("text",), max_line=1 << 16)))


def _any_format(data: bytes) -> None:
    """A file that tells by itself what it is."""
    suffix, data = _choose(data, (".txt", ".csv", ".tsv", ".json", ".json.gz", ".txt.xz"))
    with _refusals():
        _use(open_documents(_write(f"any{suffix}", data), "auto", _SMALL))


def _any_pair(data: bytes) -> None:
    texts, labels = _parts(data, 2)
    with _refusals():
        path = _write("any_texts.txt", texts)
        _use(open_documents(path, "auto", _SMALL, _write("any_labels.txt", labels)))


def _compressed(data: bytes) -> None:
    suffix, data = _choose(data, (".gz", ".xz"))
    with _refusals():
        _use(open_documents(_write(f"x.jsonl{suffix}", data), "jsonl", _SMALL))


def _layout(data: bytes) -> None:
    """A folder whose files others have named; the first part is the names."""
    names, content = _parts(data, 2)
    with tempfile.TemporaryDirectory(dir=_folder()) as folder, _refusals():
        for name in names.decode("utf-8", "replace").split("\n")[:9]:
            if name and "/" not in name and "\0" not in name and name.strip("."):
                with contextlib.suppress(OSError):  # a name too long for the file system
                    (Path(folder) / name).write_bytes(content)
        opened = open_splits(find_splits(folder), options=_SMALL)
        for documents in opened.documents.values():
            _use(documents)


def _label_file(data: bytes) -> None:
    suffix, data = _choose(data, (".txt", ".json", ".json.gz"))
    with _refusals():
        found = read_label_file(_write(f"lbl{suffix}", data))
        assert len(set(found.names)) == len(found.names) > 0
        assert all(name.encode() for name in found.names)


def _titles(data: bytes) -> None:
    suffix, data = _choose(data, (".txt", ".json", ".tsv.gz"))
    with _refusals():
        titles = read_titles(_write(f"titles{suffix}", data)).of_labels(_NAMES)
        assert len(titles) == len(_NAMES)
        "".join(filter(None, titles)).encode()


def _tokenizer(data: bytes) -> None:
    text = data.decode("utf-8", "surrogatepass" if b"\xed" in data else "replace")
    words = tokenize(text)
    assert [token.word for token in tokens_with_places(text)] == words
    Vocabulary(_WORDS).encode(text, max_tokens=9)
    assert all(word.encode() for word in words)


def _tokenize(data: bytes) -> None:
    with contextlib.suppress(UnicodeDecodeError):  # no text: a reader would have refused it
        _tokenizer(data)


def _vocabulary(data: bytes) -> None:
    with _refusals():
        vocabulary = Vocabulary.load(_write("words.json", data))
        vocabulary.save(_folder() / "again.json")
        assert Vocabulary.load(_folder() / "again.json").words == vocabulary.words


def _vectors(data: bytes) -> None:
    suffix, data = _choose(data, (".txt", ".txt.gz", ".txt.xz"))
    with _refusals():
        matrix, coverage = read_glove(_write(f"vectors{suffix}", data), _WORDS)
        assert np.isfinite(matrix).all()
        assert matrix.shape == (len(_WORDS), matrix.shape[1])
        assert not matrix[0].any()
        assert coverage.found.any()


def _predictions(data: bytes) -> None:
    format, data = _choose(data, (choices.AUTO, *choices.FORMATS))
    path = _write("predictions", data)
    with _refusals():
        count = len(prediction_files.read(path, format).offsets) - 1
        found = read_predictions(path, _NAMES, count, format=format)
        assert np.isfinite(found.scores).all()
        assert ((found.label_ids >= 0) & (found.label_ids < len(_NAMES))).all()
        assert found.matrix().shape == (count, len(_NAMES))
        assert found.top_k(3).shape == (count, 3)


def _new_texts(data: bytes) -> None:
    format, data = _choose(data, ("auto", *new_texts.FORMATS))
    name = f"standard input{('', '.csv', '.tsv')[len(data) % 3]}"
    with _refusals():
        lines = new_texts.stream_lines(io.BytesIO(data), name)
        for new in new_texts.open_new_texts(lines, name, format).texts:
            assert new.line >= 1
            json.dumps({"id": new.id}, ensure_ascii=False).encode()
            Vocabulary(_WORDS).encode(new.text)


@functools.cache
def _whole_store() -> Path:
    train = [Document("The cat sat.", ("b", "a"), "one"), Document("A dog!", (), "two")]
    splits = {"train": train, "test": [Document("the unseen dog", ("z", "a"), "three")]}
    path = _folder() / "store"
    vectors = _write("to_store.txt", b"the 1 2\ncat 2 3\ndog 3 4\n")
    return write_store(path, splits, source="a test", vectors=vectors).path


def _store_files() -> list[Path]:
    return sorted(path for path in _whole_store().rglob("*") if path.suffix in (".json", ".npy"))


def _store(data: bytes) -> None:
    """A store of which one file is another."""
    store, files = _whole_store(), _store_files()
    victim = files[(data[0] if data else 0) % len(files)]
    description = store / "store.json"
    whole = {path: path.read_bytes() for path in (victim, description)}
    try:
        victim.write_bytes(data[1:])
        if victim != description:  # whoever exchanges a file tells its size
            about = json.loads(whole[description])
            about["files"][str(victim.relative_to(store))] = len(data) - 1
            description.write_text(json.dumps(about), encoding="utf-8")
        with _refusals():
            opened = open_store(store)
            summary.table_rows(opened)
            summary.notes(opened)
            for split in opened.splits.values():
                split.label_matrix(opened.num_train_labels)
                assert all(len(split.document(i)) for i in range(len(split)))
                assert all(split.labels(i).max(initial=0) < 9 for i in range(len(split)))
            opened.verify()
    finally:
        for path, content in whole.items():
            path.write_bytes(content)


def _run(data: bytes) -> None:
    """A run folder's description, labels and words, as somebody else may have written them."""
    description, labels, words = _parts(data, 3)
    _write("run/run.json", description)
    _write("run/labels.json", labels)
    folder = _write("run/words.json", words).parent
    with _refusals():
        found = runs.read_description(folder)
        ours = config.Config().to_dict()
        config.from_dict(found["config"])
        runs.open_run(folder, ours, {"fingerprint": "x", "vectors": None, "init_from": None})
    with _refusals():
        read_base(folder)


def _overrides(data: bytes) -> None:
    """Settings of the command line, NAME=VALUE a line."""
    ours = config.Config()
    with _refusals():
        for line in data.decode("utf-8", "replace").split("\n"):
            name, _, value = line.partition("=")
            config.set_field(ours, name, value)
        ours.validate()
        assert config.from_dict(json.loads(json.dumps(ours.to_dict()))) == ours


def _npz(matrix: scipy.sparse.spmatrix) -> bytes:
    buffer = io.BytesIO()
    scipy.sparse.save_npz(buffer, matrix)
    return buffer.getvalue()


_EYE = scipy.sparse.csr_matrix(np.eye(3, dtype=np.float32))
_LINES = b'{"text": "The cat", "labels": ["cat"], "id": 1}\n{"text": "A", "labels": []}\n'
_NUMBERED = b'{"uid": "7", "title": "T", "content": "c", "target_ind": [1, 2]}\n'
_ROWS = {
    "json_lines": b'{"line": 1, "labels": [{"label": "cat", "probability": 0.5, "logit": 0}]}\n',
    "score_matrix": b"2 6\n0:0.5 3:0.1\n\n",
    "pairs": b"cat:0.5 dog:.1\nx:y:1e-3\n",
    "omikuji": b"cat 0.5\tdog 0.25\n",
    "annexml": b"1,2\t0:0.5,3:0.25\n",
    "npz": _npz(scipy.sparse.csr_matrix(([0.5, 0.25], ([0, 1], [2, 5])), (2, 6))),
}
_FIELDS = b'text,labels,id\nthe cat,cat dog,1\n"a\nb""c",,2\n'


def _store_seeds() -> tuple[bytes, ...]:
    return tuple(bytes([i]) + path.read_bytes() for i, path in enumerate(_store_files()))


def _run_seed() -> bytes:
    about = {"format": runs.FORMAT, "version": runs.FORMAT_VERSION, "data": {"fingerprint": "x"}}
    about["config"] = config.Config().to_dict()
    labels = {"names": ["a", "b"], "titles": [None, "B"], "train_counts": [1, 2]}
    words = [PAD_WORD, UNK_WORD, "the"]
    return MARK.join(json.dumps(part).encode() for part in (about, labels, words))


def targets() -> list[Target]:
    """All of them; makes their seeds."""
    chosen = {name: bytes([i + 1]) for i, name in enumerate(choices.FORMATS)}
    tabs = b"cat dog\tthe text\n\tanother\n"
    pair = b"one\ntwo\n" + MARK
    whole = {
        "csv": (lambda data: _read_one(data, "a.csv", "csv"), (_FIELDS, b"text;labels\na;b\n")),
        "jsonl": (lambda data: _read_one(data, "a.jsonl", "jsonl"), (_LINES,)),
        "xc_json": (lambda data: _read_one(data, "a.json", "xc_json"), (_NUMBERED,)),
        "tsv": (lambda data: _read_one(data, "a.tsv", "tsv"), (tabs, b"text\tlabels\na\tb\n")),
        "tsv_id": (lambda data: _read_one(data, "b.tsv", "tsv_id"), (b"1\tcat dog\tthe text\n",)),
        "json_folder": (_json_folder, (b'{"text": ["a", "b"], "concepts": ["1"]}',)),
        "lines": (lambda data: _read_pair(data, "lines", ".txt"), (pair + b"a b\n\n",)),
        "lines_bow": (
            lambda data: _read_pair(data, "lines_bow", ".txt"),
            (pair + b"0,1 0:0.1\n 5:.2\n" + MARK + b"cat\ndog\n", pair + b"2 9 2\n0 1:1\n1 2:1\n"),
        ),
        "lines_sparse": (
            lambda data: _read_pair(data, "lines_sparse", ".txt"),
            (pair + b"2 3\n0:1 2:1.0\n1:0\n",),
        ),
        "lines_npz": (
            lambda data: _read_pair(data, "lines_npz", ".npz"),
            tuple(b"a\nb\nc\n" + MARK + _npz(_EYE.asformat(kind)) for kind in ("csr", "coo")),
        ),
        "any format": (
            _any_format,
            (b"\0" + tabs, b"\1" + _FIELDS, b"\2" + tabs, b"\3" + _NUMBERED)
            + (b"\4" + gzip.compress(_LINES), b"\5" + lzma.compress(tabs)),
        ),
        "any labels": (_any_pair, (pair + b"3,1 0:0.5\n2 1:1\n", pair + b"2 3\n0:1\n1:1\n")),
        "compressed": (_compressed, (b"\0" + gzip.compress(_LINES), b"\1" + lzma.compress(_LINES))),
        "layout": (_layout, (b"train.csv\ntest.csv" + MARK + _FIELDS,)),
        "label file": (_label_file, (b"\0cat\ndog\ncat\n", b'\1["a", "b"]', b'\1{"title": "x"}\n')),
        "titles": (
            _titles,
            (b"\0cat\ta cat\n", b'\1{"cat": "a cat"}', b'\1{"uid": "cat", "title": "x"}\n'),
        ),
        "tokenizer": (_tokenize, ("It's the Café, İ 中か\u3099 \u0301\u0316".encode(),)),
        "vocabulary": (_vocabulary, (json.dumps(_WORDS).encode(),)),
        "word vectors": (_vectors, (b"\x004 2\nthe 1 2\n. . 3 4\ncat -1e-1 .5\nDog 1 1\n",)),
        "predictions": (
            _predictions,
            tuple(chosen[name] + row for name, row in _ROWS.items())
            + tuple(b"\0" + row for row in _ROWS.values()),
        ),
        "new texts": (
            _new_texts,
            (b"\0one\ntwo\n", b"\0" + _LINES, b"\0" + _FIELDS, b"\4" + tabs),
        ),
        "store": (_store, _store_seeds()),
        "run": (_run, (_run_seed(),)),
        "overrides": (_overrides, (b"train.epochs=3\nmodel.fully_connected=512,256\nseed=1",)),
    }  # fmt: skip
    missing = FORMATS.keys() - whole.keys()
    assert not missing, f"no fuzzer reads {missing}"
    return [Target(name, run, seeds) for name, (run, seeds) in whole.items()]
