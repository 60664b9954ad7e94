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
import hashlib
import io
import json
import os
import shutil
import tempfile
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from axml_jax import config, decisions, runs, sources
from axml_jax.baselines import choices, prediction_files
from axml_jax.baselines.predictions import read_predictions
from axml_jax.data import line_stream, new_texts, summary
from axml_jax.data.base import read_base
from axml_jax.data.corpus import Document
from axml_jax.data.labelled_texts import open_labelled_texts, refuse_strangers
from axml_jax.data.opened import open_store
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.formats import FORMATS
from axml_jax.data.readers.label_file import read_label_file
from axml_jax.data.readers.layouts import find_splits
from axml_jax.data.readers.opening import open_documents, open_splits
from axml_jax.data.store import write_store
from axml_jax.data.text import Vocabulary, tokenize, tokens_with_places
from axml_jax.data.titles import read_titles
from axml_jax.data.vectors import read_glove
from axml_jax.errors import ConfigError, InputError
from axml_jax.tables import printable
from axml_jax.train import checksums
from tests.fuzz.seeds import MARK, SEEDS, WORDS

# A label named by a number has that place: otherwise a file of numbers alone means two things.
_NAMES = ("0", "1", "a b", "cat", "dog", "x:y")
_SUM = hashlib.sha256(b"weights").hexdigest()
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
    if isinstance(error, InputError):
        assert error.file, f"an error that names no file: {error}"
        assert error.line is None or error.line >= 1


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (InputError, ConfigError) as error:
        note_refusal(error)


def place() -> str | None:
    """Where thousands of files may be written: in memory, unless TMPDIR says otherwise."""
    memory = "/dev/shm"
    return memory if "TMPDIR" not in os.environ and os.access(memory, os.W_OK) else None


@functools.cache
def _folder() -> Path:
    path = tempfile.mkdtemp(prefix="fuzz.", dir=place())
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
    Vocabulary(WORDS).encode(text, max_tokens=9)
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
        matrix, coverage = read_glove(_write(f"vectors{suffix}", data), WORDS)
        assert np.isfinite(matrix).all()
        assert matrix.shape == (len(WORDS), matrix.shape[1])
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
        lines = line_stream.stream_lines(io.BytesIO(data), name)
        stops = len(data) % 2 == 0
        for new in new_texts.open_new_texts(lines, name, format, stops=stops).texts:
            assert new.line >= 1
            assert new.error is None or not (stops or new.text)
            json.dumps({"id": new.id}, ensure_ascii=False).encode()
            Vocabulary(WORDS).encode(new.text)


def _labelled_texts(data: bytes) -> None:
    """Texts and the second file of what is known to be true, as launch/explain.py has them."""
    format, data = _choose(data, ("auto", *new_texts.FORMATS))
    texts, labels = _parts(data, 2)
    path, beside = str(_write("t.csv", texts)), str(_write("t.txt", labels))
    with _refusals():
        found = list(open_labelled_texts(path, beside if labels else None, format=format))
        assert all(document.text.strip() for document in found)
        refuse_strangers(found, _NAMES, beside)


def _own_names(data: bytes) -> None:
    """Predictions in a system's own numbers, and the file that says what these are."""
    names, predictions = _parts(data, 2)
    reading = choices.Reading(own_names=str(_write("own_names.txt", names)))
    with _refusals():
        store = open_store(_whole_store())
        found = sources.from_file(_write("own", predictions), store, "test", reading)
        assert np.isfinite(found.scores).all()
        assert ((found.label_ids >= 0) & (found.label_ids < len(store.label_names))).all()


def _thresholds(data: bytes) -> None:
    model: Any = types.SimpleNamespace(label_names=_NAMES)
    with _refusals():
        found, top_k = decisions.read_thresholds(_write("thresholds.json", data), model)
        assert np.isfinite([found.common, *found.by_label]).all()
        assert 1 <= top_k <= len(_NAMES) == len(found.by_label)


def _checksums(data: bytes) -> None:
    """A checkpoint's checksums, as somebody else may have written them."""
    _write("checkpoint/weights/array", b"weights")
    folder = _write("checkpoint/checksums.json", data).parent
    told = checksums.damage(folder)
    assert printable(told).encode() or json.loads(data).get("weights/array", _SUM) == _SUM


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


def _store_seeds() -> tuple[bytes, ...]:
    return tuple(bytes([i]) + path.read_bytes() for i, path in enumerate(_store_files()))


def _pair_of(format: str, suffix: str = ".txt") -> Callable[[bytes], None]:
    return lambda data: _read_pair(data, format, suffix)


_RUNS: dict[str, Callable[[bytes], None]] = {
    "csv": lambda data: _read_one(data, "a.csv", "csv"),
    "jsonl": lambda data: _read_one(data, "a.jsonl", "jsonl"),
    "xc_json": lambda data: _read_one(data, "a.json", "xc_json"),
    "tsv": lambda data: _read_one(data, "a.tsv", "tsv"),
    "tsv_id": lambda data: _read_one(data, "b.tsv", "tsv_id"),
    "json_folder": _json_folder,
    "lines": _pair_of("lines"),
    "lines_bow": _pair_of("lines_bow"),
    "lines_sparse": _pair_of("lines_sparse"),
    "lines_npz": _pair_of("lines_npz", ".npz"),
    "any format": _any_format,
    "any labels": _any_pair,
    "compressed": _compressed,
    "layout": _layout,
    "label file": _label_file,
    "titles": _titles,
    "tokenizer": _tokenize,
    "vocabulary": _vocabulary,
    "word vectors": _vectors,
    "predictions": _predictions,
    "new texts": _new_texts,
    "labelled texts": _labelled_texts,
    "own names": _own_names,
    "thresholds": _thresholds,
    "checksums": _checksums,
    "store": _store,
    "run": _run,
    "overrides": _overrides,
}


def targets() -> list[Target]:
    """All of them; makes the seeds that have to be made."""
    missing = FORMATS.keys() - _RUNS.keys()
    assert not missing, f"no fuzzer reads {missing}"
    seeds = {**SEEDS, "store": _store_seeds()}
    return [Target(name, run, seeds[name]) for name, run in _RUNS.items()]
