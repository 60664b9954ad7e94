"""launch/predict.py as a user runs it: files and pipes, JSON lines in input order."""

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import axml_jax

Launch = Callable[..., subprocess.CompletedProcess[bytes]]

# A separator of lines to Unicode and a carriage return alone end no line here.
TEXTS = ["parses flags\u2028from the command line", "", "ünknöwn wörds", "logs it\rand raises"]
LINES = "".join(f"{text}\n" for text in TEXTS).encode()


def complaints(stderr: bytes) -> list[str]:
    """What is no progress, which a slow machine may show, nor says that a text is a line."""
    passed_over = ("predicting", "standard input is read as lines: ", "texts is read as lines: ")
    lines = stderr.decode().splitlines()
    return [line for line in lines if not line.startswith(passed_over)]


def read(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.decode().splitlines()]


def test_a_file_and_standard_input_give_the_same_lines(
    tiny_run: Path, tmp_path: Path, launch: Launch
) -> None:
    with gzip.open(tmp_path / "texts.gz", "wb") as file:
        file.write(LINES)
    ask = ("predict", f"--run={tiny_run}", "--top_k=3")
    done = launch(*ask, "--input=texts.gz", "--output=predictions.jsonl")
    why = "its first line is neither a JSON object nor a header with 'text'"
    read_as = f"is read as lines: {why}; --format overrules it"
    told = [f"texts.gz {read_as}", f"{len(TEXTS)} lines in predictions.jsonl"]
    assert (done.returncode, done.stdout, complaints(done.stderr)) == (0, b"", told)
    written = (tmp_path / "predictions.jsonl").read_bytes()

    # Windows' line ends, a byte order mark and a locale that knows only ASCII change nothing.
    piped = b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = launch(*ask, input=piped, **ascii_only)
    assert (done.returncode, complaints(done.stderr)) == (0, [])
    assert f"standard input {read_as}\n" in done.stderr.decode()
    assert done.stdout == written

    records = read(written)
    assert [record["line"] for record in records] == [1, 2, 3, 4]
    expected = axml_jax.load(tiny_run).predict(TEXTS, top_k=3)
    for record, row in zip(records, expected, strict=True):
        assert [found["label"] for found in record["labels"]] == [found.label for found in row]
        for found, wanted in zip(record["labels"], row, strict=True):
            assert found["logit"] == pytest.approx(wanted.logit, rel=1e-4)
            assert found["probability"] == pytest.approx(wanted.probability, rel=1e-4)


def test_a_pipe_with_a_name_is_read_once(tiny_run: Path, tmp_path: Path, launch: Launch) -> None:
    os.mkfifo(tmp_path / "texts")
    pipe = tmp_path / "texts"
    writer = threading.Thread(target=pipe.write_bytes, args=(LINES,), daemon=True)
    writer.start()
    ask = ("predict", f"--run={tiny_run}", "--top_k=3")
    done = launch(*ask, "--input=texts")
    writer.join(9)
    assert done.returncode == 0, done.stderr
    assert done.stdout == launch(*ask, input=LINES).stdout


@pytest.mark.parametrize("place", ["file", "pipe"])
def test_json_lines_are_told_from_texts(
    tiny_run: Path, tmp_path: Path, launch: Launch, place: str
) -> None:
    rows = [{"id": f"d{i}", "text": text, "labels": []} for i, text in enumerate(TEXTS)]
    content = "\n\n".join(map(json.dumps, rows)).encode()
    (tmp_path / "new.json").write_bytes(content)
    ask = ("predict", f"--run={tiny_run}", "--top_k=3")
    # An empty line is no text of JSON lines.
    expected = [
        {"id": f"d{i}", **record, "line": 2 * i + 1}
        for i, record in enumerate(read(launch(*ask, input=LINES).stdout))
    ]
    done = launch(*ask, "--input=new.json") if place == "file" else launch(*ask, input=content)
    (told,) = complaints(done.stderr)
    assert "read as jsonl: its first line is a JSON object with 'text'" in told
    assert "--format lines overrules it" in told
    assert read(done.stdout) == expected
    overruled = launch(*ask, "--format=lines", input=content)
    assert complaints(overruled.stderr) == []
    assert len(read(overruled.stdout)) == 2 * len(TEXTS) - 1
    assert "id" not in read(overruled.stdout)[0]


def test_the_cut_off_leaves_labels_out(tiny_run: Path, launch: Launch) -> None:
    done = launch("predict", f"--run={tiny_run}", "--min_probability=1", input=LINES)
    assert read(done.stdout) == [{"line": line, "labels": []} for line in (1, 2, 3, 4)]


def test_a_reader_that_leaves_is_no_error(
    root: Path, tiny_run: Path, tmp_path: Path, launch_environment: dict[str, str]
) -> None:
    (tmp_path / "texts").write_bytes(LINES)
    unread, output = os.pipe()
    os.close(unread)
    try:
        done = subprocess.run(
            [
                sys.executable,
                str(root / "launch" / "predict.py"),
                f"--run={tiny_run}",
                "--input=texts",
            ],
            cwd=tmp_path,
            env=launch_environment,
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(output)
    assert (done.returncode, complaints(done.stderr)) == (141, [])


def test_mistakes_are_one_line_and_write_nothing(
    tiny_run: Path, tmp_path: Path, launch: Launch
) -> None:
    (tmp_path / "texts").write_bytes(LINES)

    def told(*arguments: str) -> str:
        done = launch("predict", f"--run={tiny_run}", *arguments)
        assert (done.returncode, done.stdout) == (1, b"")
        (line,) = done.stderr.decode().splitlines()
        return line

    assert (
        told("--input=gone", "--output=out") == "error: gone: cannot be read: there is no such file"
    )
    assert "would be overwritten" in told("--input=texts", "--output=./texts")
    assert told("--input=texts", "--output=out", "--top_k=9") == (
        "error: --top_k is 9, but the model has 8 labels."
    )
    assert "nowhere/out" in told("--input=texts", "--output=nowhere/out")
    assert {path.name for path in tmp_path.iterdir()} == {"texts"}
    assert (tmp_path / "texts").read_bytes() == LINES
