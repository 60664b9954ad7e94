"""Small valid inputs of all targets, and pieces that mean something to readers.

Where an input stands for several files, MARK stands between them; where there is a choice, the
first byte makes it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma

import numpy as np
import scipy.sparse

from axml_jax import config, runs
from axml_jax.baselines import choices
from axml_jax.data.text import PAD_WORD, UNK_WORD

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
WORDS = [PAD_WORD, UNK_WORD, "the", "cat", "dog", "2", "paris", "i"]


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


def _run_seed() -> bytes:
    about = {"format": runs.FORMAT, "version": runs.FORMAT_VERSION, "data": {"fingerprint": "x"}}
    about["config"] = config.Config().to_dict()
    labels = {"names": ["a", "b"], "titles": [None, "B"], "train_counts": [1, 2]}
    words = [PAD_WORD, UNK_WORD, "the"]
    return MARK.join(json.dumps(part).encode() for part in (about, labels, words))


_THRESHOLDS = {"kind": "logit", "common": 0.5, "top_k": 3}
_THRESHOLDS["labels"] = dict.fromkeys(("0", "1", "a b", "cat", "dog", "x:y"), 1)
_CHOSEN = {name: bytes([i + 1]) for i, name in enumerate(choices.FORMATS)}
_TABS = b"cat dog\tthe text\n\tanother\n"
_PAIR = b"one\ntwo\n" + MARK
SEEDS: dict[str, tuple[bytes, ...]] = {
    "csv": (_FIELDS, b"text;labels\na;b\n"),
    "jsonl": (_LINES,),
    "xc_json": (_NUMBERED,),
    "tsv": (_TABS, b"text\tlabels\na\tb\n"),
    "tsv_id": (b"1\tcat dog\tthe text\n",),
    "json_folder": (b'{"text": ["a", "b"], "concepts": ["1"]}',),
    "lines": (_PAIR + b"a b\n\n",),
    "lines_bow": (
        _PAIR + b"0,1 0:0.1\n 5:.2\n" + MARK + b"cat\ndog\n",
        _PAIR + b"2 9 2\n0 1:1\n1 2:1\n",
    ),
    "lines_sparse": (_PAIR + b"2 3\n0:1 2:1.0\n1:0\n",),
    "lines_npz": tuple(
        b"a\nb\nc\n" + MARK + _npz(_EYE.asformat(kind)) for kind in ("csr", "coo", "dia")
    ),
    "any format": (
        b"\0" + _TABS,
        b"\1" + _FIELDS,
        b"\2" + _TABS,
        b"\3" + _NUMBERED,
        b"\4" + gzip.compress(_LINES),
        b"\5" + lzma.compress(_TABS),
    ),
    "any labels": (_PAIR + b"3,1 0:0.5\n2 1:1\n", _PAIR + b"2 3\n0:1\n1:1\n"),
    "compressed": (b"\0" + gzip.compress(_LINES), b"\1" + lzma.compress(_LINES)),
    "layout": (b"train.csv\ntest.csv" + MARK + _FIELDS,),
    "label file": (b"\0cat\ndog\ncat\n", b'\1["a", "b"]', b'\1{"title": "x"}\n'),
    "titles": (
        b"\0cat\ta cat\n",
        b'\1{"cat": "a cat"}',
        b'\1{"uid": "cat", "title": "x"}\n',
    ),
    "tokenizer": ("It's the Café, İ 中か\u3099 \u0301\u0316".encode(),),
    "vocabulary": (json.dumps(WORDS).encode(),),
    "word vectors": (b"\x004 2\nthe 1 2\n. . 3 4\ncat -1e-1 .5\nDog 1 1\n",),
    "predictions": (
        *(_CHOSEN[name] + row for name, row in _ROWS.items()),
        *(b"\0" + row for row in _ROWS.values()),
    ),
    "new texts": (b"\0one\ntwo\n", b"\0" + _LINES, b"\0" + _FIELDS, b"\4" + _TABS),
    "labelled texts": (
        b"\1one\ntwo\n" + MARK + b"cat dog\n\n",
        b"\0text,labels\nx,y\n" + MARK + b"cat\n",
        b"\2" + _LINES,
    ),
    "own names": (b"a\nz\nb\n" + MARK + b"0:0.5 2:0.1\n",),
    "thresholds": (json.dumps(_THRESHOLDS).encode(),),
    "checksums": (json.dumps({"weights/array": hashlib.sha256(b"weights").hexdigest()}).encode(),),
    "run": (_run_seed(),),
    "overrides": (b"train.epochs=3\nmodel.fully_connected=512,256\nseed=1",),
}
"""By target; those of the store are its files."""
