"""Prediction files: each format read, told from the others, checked; ours written, read again."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from axml_jax.baselines.choices import FORMATS
from axml_jax.baselines.prediction_files import sniff
from axml_jax.baselines.predictions import (
    Predictions,
    from_lists,
    read_predictions,
    write_predictions,
)
from axml_jax.errors import InputError

NAMES = ["apple", "red:wine", "olive oil", "fig", "lime"]
# Document 0: 3, 0, 4; document 1: none; document 2: 1, 2 with equal scores.
MATRIX = "3 5\n0:0.5 3:0.75 4:0.25\n\n1:0.125 2:0.125\n"
FILES = {
    "score_matrix": MATRIX,
    "pairs": "3:0.75 0:0.5 4:0.25 \n \n1:0.125 2:0.125\n",
    "omikuji": "3 0.750\t0 0.500\t4 0.250\n\n1 0.125\t2 0.125\n",
    "annexml": "0,2\t3:0.75,0:0.5,4:0.25\n1\n\t1:0.125,2:0.125\n",
    "json_lines": '{"line": 1, "labels": [{"label": "fig", "probability": 0.75}, '
    '{"label": "apple", "probability": 0.5}, {"label": "lime", "probability": 0.25}]}\n'
    '{"line": 2, "labels": []}\n'
    '{"labels": [{"label": "red:wine", "probability": 0.125}, '
    '{"label": "olive oil", "probability": 0.125}]}\n',
}


def read(path: Path, **options: Any) -> Predictions:
    return read_predictions(
        path, options.pop("names", NAMES), options.pop("documents", 3), **options
    )


def check(found: Predictions) -> None:
    np.testing.assert_array_equal(found.offsets, [0, 3, 3, 5])
    np.testing.assert_array_equal(found.label_ids, [3, 0, 4, 1, 2])
    np.testing.assert_array_equal(found.scores, [0.75, 0.5, 0.25, 0.125, 0.125])
    assert (len(found), found.longest, found.num_labels) == (3, 3, 5)
    assert found.kind == "probability"


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_text_format_tells_by_itself(format: str, compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / ("file.gz" if compressed else "file")
    path.write_bytes(
        gzip.compress(FILES[format].encode()) if compressed else FILES[format].encode()
    )
    check(read(path))
    check(read(path, format=format))
    assert sniff(path)[0] == format
    assert read(path).taken_for.startswith(f"{format} (line 1 ")


def test_a_line_may_be_as_long_as_there_are_labels(tmp_path: Path) -> None:
    path = tmp_path / "file"
    first, _, rest = FILES["pairs"].partition(" ")
    path.write_text(f"{first}{' ' * (20 << 20)}{rest}")
    check(read(path))


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "csc_matrix", "coo_matrix"])
def test_a_sparse_matrix(kind: str, tmp_path: Path) -> None:
    rows, columns = np.array([2, 0, 0, 0, 2]), np.array([2, 4, 3, 0, 1])
    scores = np.array([0.125, 0.25, 0.75, 0.5, 0.125], np.float32)
    matrix = sp.coo_matrix((scores, (rows, columns)), (3, 5))
    path = tmp_path / "scores"  # without its ending too
    with path.open("wb") as file:
        sp.save_npz(file, getattr(sp, kind)(matrix))
    check(read(path))
    assert read(path).taken_for == (
        "npz (it begins as a zip archive); labels by their numbers, as they are in the label set; "
        "scores are probabilities, as all lie in 0..1"
    )


def test_every_format_is_tested_here() -> None:
    assert {*FILES, "npz"} == set(FORMATS)


def test_names_with_colons_and_spaces(tmp_path: Path) -> None:
    (tmp_path / "tabs").write_text(
        "fig:0.75\tapple:0.5\tlime:0.25\n\nred:wine:0.125\tolive oil:0.125\n"
    )
    check(read(tmp_path / "tabs"))
    (tmp_path / "omikuji").write_text(
        "fig 0.75\tapple 0.5\tlime 0.25\n\nred:wine 0.125\tolive oil 0.125"
    )
    check(read(tmp_path / "omikuji", format="omikuji"))


def test_lists_are_ranked_and_equal_scores_stay_as_the_file_has_them(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("4:1.000 2:1.000 0:0.5 3:1.000\n")
    found = read(tmp_path / "f", documents=1)
    np.testing.assert_array_equal(found.label_ids, [4, 2, 3, 0])
    matrix = sp.csr_matrix((np.ones(3), [4, 0, 2], [0, 3]), shape=(1, 5))
    sp.save_npz(tmp_path / "f.npz", matrix)
    np.testing.assert_array_equal(read(tmp_path / "f.npz", documents=1).label_ids, [0, 2, 4])


def test_numbers_that_are_names_are_names(tmp_path: Path) -> None:
    names = ["1", "10", "2"]  # sorted as text, as a store has them
    (tmp_path / "f").write_text("1 11\n10:0.5 2:0.25\n")
    found = read(tmp_path / "f", names=names, documents=1)
    np.testing.assert_array_equal(found.label_ids, [1, 2])
    assert "labels by their names, as all of them are names" in found.taken_for
    (tmp_path / "g").write_text("1:0.5 2:0.25\n")
    with pytest.raises(InputError, match="both names of labels and places of others"):
        read(tmp_path / "g", names=names, documents=1)
    by_name = read(tmp_path / "g", names=names, documents=1, labels="names")
    np.testing.assert_array_equal(by_name.label_ids, [0, 2])
    by_id = read(tmp_path / "g", names=names, documents=1, labels="ids")
    np.testing.assert_array_equal(by_id.label_ids, [1, 2])
    # Where a label's name is its number, both are the same.
    same = read(tmp_path / "g", names=["0", "1", "2"], documents=1)
    np.testing.assert_array_equal(same.label_ids, [1, 2])
    with pytest.raises(InputError, match=r"g:1: unknown label '2'.*from 0 to 1"):
        read(tmp_path / "g", names=["a", "1"], documents=1)


def test_places_of_which_some_are_names_of_others_are_refused(tmp_path: Path) -> None:
    names = ["3", "1", "2", "5"]
    (tmp_path / "f").write_text("1:0.9 2:0.5\n3:0.9 0:0.1\n")
    with pytest.raises(InputError, match=r"names of other labels too, such as '3'.*f::labels=ids"):
        read(tmp_path / "f", names=names, documents=2)
    found = read(tmp_path / "f", names=names, documents=2, labels="ids")
    np.testing.assert_array_equal(found.label_ids, [1, 2, 3, 0])
    # Where the names that occur are their own places, both are the same.
    (tmp_path / "g").write_text("1:0.9 2:0.5\n0:0.1\n")
    np.testing.assert_array_equal(
        read(tmp_path / "g", names=names, documents=2).label_ids, [1, 2, 0]
    )


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("5 1\n3 0.5\n\n2 0.25\n", "omikuji"),  # a label's score of 1, not 5 documents
        ("1 5\n2:0.5 3:0.25\n", "score_matrix"),
        ("3:0.5\n1\t3:0.5\n", "annexml"),  # a document without true labels, one of one label
        ("1,2\n4\t3:0.5,2:0.25\n", "annexml"),
        ("3:0.5\n1\n", "pairs"),  # whose second line is damaged
        ("\n2:0.5 3:0.25\n", "pairs"),
    ],
)
def test_one_line_does_not_tell_a_format(text: str, format: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(text)
    assert sniff(tmp_path / "f")[0] == format


@pytest.mark.parametrize("text", ["word\n", "5 1\n", "a:0.5\nb\n"])
def test_an_error_of_the_format_names_what_overrules_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(text)
    with pytest.raises(InputError, match="f::format=NAME"):
        read(tmp_path / "f", documents=1)


def test_a_kind_that_the_file_denies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text('{"labels": [{"label": "fig", "probability": 0.9}]}\n')
    with pytest.raises(InputError, match="expected logits, found probabilities, as it says itself"):
        read(tmp_path / "f", documents=1, kind="logit")
    assert "scores are probabilities, as asked for" in (
        read(tmp_path / "f", documents=1, kind="probability").taken_for
    )
    (tmp_path / "g").write_text("0:0.9\n")
    with pytest.raises(InputError, match=r"all its scores lie in 0\.\.1"):
        read(tmp_path / "g", documents=1, kind="logit", assumed={"scores"})
    assert read(tmp_path / "g", documents=1, kind="logit").kind == "logit"


def test_a_systems_own_numbers(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(MATRIX)
    own = ["fig", "lime", "apple", "olive oil", "red:wine"]
    found = read(tmp_path / "f", own_names=own)
    np.testing.assert_array_equal(found.label_ids, [2, 3, 1, 4, 0])
    with pytest.raises(InputError, match=r"expected 4 labels.*found 5"):
        read(tmp_path / "f", own_names=own[:4])
    with pytest.raises(InputError, match=r"f:4: unknown label '2' .*own name 'banana' is none"):
        read(tmp_path / "f", own_names=["fig", "lime", "banana", "olive oil", "apple"])
    (tmp_path / "f").write_text("0:1\n\n5:0.5\n")
    with pytest.raises(InputError, match=r"f:3: unknown label '5' \(row 3\): .* from 0 to 4 into"):
        read(tmp_path / "f", own_names=own)


def test_labels_of_training_alone(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("1 3\n2:0.5\n")
    assert read(tmp_path / "f", documents=1, num_train_labels=3).label_ids == [2]
    with pytest.raises(
        InputError, match="expected 5 labels, the number of the labels of the store"
    ):
        read(tmp_path / "f", documents=1)


@pytest.mark.parametrize(
    ("text", "options", "kind"),
    [
        ("0:0.5 1:1.0\n", {}, "probability"),
        ("0:0.5 1:1.01\n", {}, "score"),
        ("0:-0.1\n", {}, "score"),
        ("0:-0.1\n", {"kind": "logit"}, "logit"),
        ("0:0.5\n", {"kind": "score"}, "score"),
        ('{"labels": [{"label": "fig", "probability": 1.0, "logit": 50.0}]}\n', {}, "logit"),
    ],
)
def test_what_scores_are(text: str, options: dict[str, str], kind: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(text)
    found = read(tmp_path / "f", documents=1, **options)
    assert found.kind == kind
    assert f"scores {'only rank' if 'kind' not in options and kind == 'score' else 'are'}" in (
        found.taken_for
    )
    if kind == "logit":
        assert found.scores[0] == (50 if "label" in text else -0.1)
    if kind == "score":
        with pytest.raises(InputError, match="of which only the order is known"):
            found.probabilities()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (MATRIX, {"documents": 4}, "f: expected 4 documents, one a row, found 3"),
        ("4 5\n0:1\n", {}, "f: its first line says 4 rows, but 1 follow"),
        (MATRIX.replace("5", "6", 1), {}, "f: expected 5 labels, the number of the labels"),
        ("0:0.5\n\nbanana:0.5\n", {}, "f:3: unknown label 'banana' (row 3): expected one of"),
        (
            "0:0.5\n\n5:0.5\n",
            {},
            "f:3: unknown label '5' (row 3): expected one of the names of the 5 labels, or a "
            "label's number from 0 to 4.",
        ),
        ("fig:0.5\n0:1\n\n", {}, "f:2: unknown label '0' (row 2)"),
        ("3 5\n0:0.5\n\n7:0.5\n", {}, "f:4: unknown label '7' (row 3)"),
        ("0:0.5\n\nfig:0.5 1:0.2\n", {"labels": "names"}, "f:1: unknown label '0'"),
        ("fig:0.5\n\n\n", {"labels": "ids"}, "f:1: unknown label 'fig'"),
        ("0:0.5\n1:0.5 00:2 0:3\n\n", {}, "f:2: the label 'apple' stands twice in row 2"),
        ("0:0.5\n1:nan\n\n", {}, "f:2: expected a finite score, found nan"),
        ("0:0.5\n1:1e999\n\n", {}, "f:2: expected a finite score, found inf"),
        ("0:0.5\n1:x\n\n", {}, "f:2: expected a line of format pairs, found '1:x'"),
        ("0:0.5\n1\n\n", {}, "f:2: expected a line of format pairs, found '1'"),
        ("0 0.5\n1\n\n", {}, "f:2: expected a line of format omikuji"),
        ("1 0:0.5\n1,2 3:0.5 4:0.5\n\n", {}, "f:2: expected a line of format annexml"),
        ("0,1\t0:0.5,1\n\n\n", {"format": "annexml"}, "f:1: expected a line of format annexml"),
        ("0:0.5\n\n\n", {"format": "score_matrix"}, "f:1: expected the number of documents"),
        ("0:0.5\n\n\n", {"format": "npz"}, "f: expected a sparse matrix of scipy"),
        ("0:1.5\n\n\n", {"kind": "probability"}, "f: expected probabilities, from 0 to 1, found"),
        ("what is this\n", {}, "f:1: this line fits no format known here (json_lines,"),
        ("\n\n\n", {}, "f: no line of this file holds a prediction"),
        (
            f"{'9' * 5000} 3\n\n",
            {"format": "score_matrix"},
            "f:1: expected the number of documents",
        ),
        (
            '{"labels": [{"label": "fig", "logit": 1' + "0" * 400 + "}]}\n",
            {},
            "f:1: expected a line",
        ),
        (f"fig:{'1' * 200_000}x\n", {}, "f:1: this line fits no format known here"),
        ('{"labels": []}\n[1]\n\n', {}, "f:2: expected a line of format json_lines"),
        ('{"line": 2, "labels": []}\n', {}, "it says that it is line 2, but it is line 1"),
        ('{"labels": [{"label": 3, "logit": 1}]}\n', {}, "a label must be a string"),
        ('{"labels": [{"label": "fig"}]}\n', {}, "f:1: expected a line of format json_lines"),
        (
            '{"labels": [{"label": "fig", "logit": 1}]}\n'
            '{"labels": [{"label": "fig", "probability": 1}]}\n',
            {},
            "some of its labels have a logit and others none",
        ),
        ('{"labels": [{"label": "0", "logit": 1}]}\n', {"documents": 1}, "f:1: unknown label '0'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    text: str,
    options: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        read(Path("f"), **options)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (sp.csr_matrix((3, 4)), "expected 5 labels"),
        (sp.csr_matrix((2, 5)), "expected 3 documents, one a row, found 2"),
        (sp.coo_matrix((np.ones(2), ([0, 0], [1, 1])), (3, 5)), "stands twice in a row"),
        (sp.csr_matrix((np.ones(2), [1, 1], [0, 2, 2, 2]), (3, 5)), "'red:wine' stands twice"),
        (sp.csr_matrix(np.full((3, 5), np.nan)), "found nan (row 1)"),
        (
            sp.csr_array(np.array([1.0, 0.0, 2.0])),
            "expected a matrix [documents, labels]",
        ),
    ],
)
def test_what_is_wrong_with_a_matrix(matrix: Any, message: str, tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "f.npz", matrix)
    with pytest.raises(InputError, match=re.escape(message)):
        read(tmp_path / "f.npz")


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", data=np.array([print], object), format=np.array("csr"))
    with pytest.raises(InputError, match="allow_pickle=False"):
        read(tmp_path / "f.npz")


@pytest.mark.parametrize("option", ["format", "labels", "kind"])
def test_an_option_that_is_none(option: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(MATRIX)
    with pytest.raises(ValueError, match=f"{option} is 'x': expected "):
        read(tmp_path / "f", **{option: "x"})


def test_lists_matrices_and_cuts() -> None:
    ids = np.array([[3, 1, -1], [0, 2, 4], [-1, -1, -1]], np.int32)
    logits = np.array([[50.0, 0.0, 7.0], [2.0, 1.0, -1.0], [0.0, 0.0, 0.0]], np.float32)
    lists = from_lists(ids, logits, 5)
    np.testing.assert_array_equal(lists.top_k(3), ids)
    np.testing.assert_array_equal(lists.top_k(1), ids[:, :1])
    np.testing.assert_array_equal(lists.top_k(4), np.c_[ids, [-1, -1, -1]])
    np.testing.assert_array_equal(lists.cut(2).top_k(3), [[3, 1, -1], [0, 2, -1], [-1, -1, -1]])
    expected = [[0, 0, 0, 50, 0], [2, 0, 1, 0, -1], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(lists.matrix().toarray(), expected)
    assert lists.matrix().nnz == 5  # a logit of zero is a prediction
    assert lists.matrix().has_canonical_format


def test_ours_are_read_as_they_were_written(tmp_path: Path) -> None:
    ids = np.array([[3, 1], [4, 0], [2, -1]], np.int32)
    logits = np.array([[80.000001, 80.0], [-0.1, -800.25], [1 / 3, 0.0]])
    lists = from_lists(ids, logits, 5)
    write_predictions(tmp_path / "ours.jsonl", lists, NAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["ours.jsonl"]
    again = read(tmp_path / "ours.jsonl")
    for name in ("offsets", "label_ids", "scores", "kind"):
        np.testing.assert_array_equal(getattr(again, name), getattr(lists, name))
    first = json.loads((tmp_path / "ours.jsonl").read_text().splitlines()[2])
    assert first == {
        "line": 3,
        "labels": [
            {"label": "olive oil", "probability": pytest.approx(0.5826, abs=1e-4), "logit": 1 / 3}
        ],
    }
    probabilities = from_lists(ids, np.array([[0.5, 0.25], [1, 0], [1, 0]]), 5, "probability")
    write_predictions(tmp_path / "ours.jsonl", probabilities, NAMES)
    assert "logit" not in (tmp_path / "ours.jsonl").read_text()
    assert read(tmp_path / "ours.jsonl").kind == "probability"
