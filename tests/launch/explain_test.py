"""launch/explain.py as a user runs it: texts in, a page or a picture out, mistakes told."""

import html
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import axml_jax

Launch = Callable[..., subprocess.CompletedProcess[bytes]]

TEXTS = ["parses flags <b>from</b> the command line", "logs it and raises", "a third text"]


def told(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """What is no progress: a slow machine may show some."""
    lines = done.stderr.decode().splitlines()
    return [line for line in lines if not line.startswith("explaining")]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS))
    return path


def test_a_page_of_texts_and_their_true_labels(
    tiny_run: Path, tmp_path: Path, texts: Path, launch: Launch
) -> None:
    model = axml_jax.load(tiny_run)
    best, missed = (model.predict([TEXTS[0]], top_k=8)[0][place].label for place in (0, 7))
    (tmp_path / "labels.txt").write_text(f"{best};{missed};never seen\n\n{best}\n")
    done = launch(
        "explain",
        f"--run={tiny_run}",
        f"--input={texts}",
        "--labels=labels.txt",
        "--separator=;",
        "--documents=2",
        "--top_k=2",
        "--output=page.html",
    )
    said = ["2 documents in page.html; there are more, see --documents"]
    assert (done.returncode, done.stdout, told(done)) == (0, b"", said)
    page = (tmp_path / "page.html").read_text()
    assert page.count("<article ") == 2
    bare = html.unescape(re.sub(r"<[^>]*>", "", page))
    assert TEXTS[0] in bare
    assert TEXTS[2] not in bare
    found = re.findall(r'class="(hit|wrong|missed)".*?<bdi>(.*?)</bdi>', page)
    second = model.predict([TEXTS[0]], top_k=2)[0][1].label
    assert found[:3] == [("hit", best), ("wrong", second), ("missed", missed)]
    assert [kind for kind, _ in found[3:]] == ["wrong", "wrong"]
    assert "<bdi>never seen</bdi>" in page
    assert {path.name for path in tmp_path.iterdir()} == {"texts.txt", "labels.txt", "page.html"}


def test_texts_in_json_lines_are_read_as_for_predictions(
    tiny_run: Path, tmp_path: Path, launch: Launch
) -> None:
    records = [{"body": TEXTS[0], "id": "a"}, {"body": TEXTS[1], "id": "b"}]
    (tmp_path / "new.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in records))
    (tmp_path / "labels.txt").write_text(f"{axml_jax.load(tiny_run).label_names[0]}\n\n")
    ask = ("explain", f"--run={tiny_run}", "--input=new.jsonl", "--output=page.html")
    done = launch(*ask, "--text_column=body", "--labels=labels.txt")
    assert done.returncode == 0, done.stderr.decode()
    page = (tmp_path / "page.html").read_text()
    bare = html.unescape(re.sub(r"<[^>]*>", "", page))
    assert all(text in bare for text in TEXTS[:2])
    assert '"body"' not in bare
    done = launch(*ask)
    assert "JSON object without 'text'" in done.stderr.decode()


def test_a_picture_of_one_text(tiny_run: Path, tmp_path: Path, launch: Launch) -> None:
    pytest.importorskip("matplotlib")
    done = launch("explain", f"--run={tiny_run}", f"--text={TEXTS[0]}", "--output=picture.PNG")
    assert (done.returncode, told(done)) == (0, ["1 document in picture.PNG"])
    assert (tmp_path / "picture.PNG").read_bytes().startswith(b"\x89PNG")


def test_mistakes_are_one_line_and_write_nothing(
    tiny_run: Path, tmp_path: Path, texts: Path, launch: Launch
) -> None:
    (tmp_path / "labels.txt").write_text("strange\nother\n\n")
    (tmp_path / "gap.txt").write_text("one\n\n")
    (tmp_path / "none.txt").write_text("")

    def complaint(*arguments: str) -> str:
        done = launch("explain", f"--run={tiny_run}", "--output=out.html", *arguments)
        assert (done.returncode, done.stdout) == (1, b"")
        (line,) = done.stderr.decode().splitlines()
        return line

    before = {path.name for path in tmp_path.iterdir()}
    assert complaint() == "error: Name either --text or --input; --help explains them."
    assert "text 1 has no word, '?!'" in complaint("--text=?!")
    assert "gap.txt:2" in complaint("--input=gap.txt")
    assert "none.txt: the file is empty" in complaint("--input=none.txt")
    assert "--labels and --text_column go with --input" in complaint(
        "--text=a", "--labels=labels.txt"
    )
    assert "labels.txt: none of its 2 labels, such as 'strange', is known" in complaint(
        "--input=texts.txt", "--labels=labels.txt"
    )
    assert "the model has 8 labels" in complaint("--text=a", "--top_k=9")
    assert "--documents 1 draws the first" in complaint("--input=texts.txt", "--format=png")
    (tmp_path / "two.txt").write_text("a\nb\n")
    assert "two.txt: expected as many texts in texts.txt as lines in two.txt; this one ends" in (
        complaint("--input=texts.txt", "--labels=two.txt")
    )
    (tmp_path / "two.txt").unlink()
    for name in ("page.pdf", "page.svg", "page"):
        assert "expected NAME.html, NAME.png or --format" in complaint(
            "--text=a", f"--output={name}"
        )
    assert "which is read and would be overwritten" in complaint(
        "--input=texts.txt", "--output=./texts.txt", "--format=html"
    )
    assert {path.name for path in tmp_path.iterdir()} == before
