"""The script that prepares data, as a user runs it."""

import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from axml_jax.data.store import is_store, open_store


def prepare(
    root: Path, environment: dict[str, str], *flags: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "launch" / "prepare.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture
def own_files(tmp_path: Path) -> list[str]:
    (tmp_path / "t.txt").write_text("the cat sat on the mat\na dog ran\nthe dog sat\n")
    (tmp_path / "l.txt").write_text("cat animal;pets\npets\n\n")
    (tmp_path / "i.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "vt.txt").write_text("a cat\n")
    (tmp_path / "vl.txt").write_text("new;pets\n")
    names = {
        "train_texts": "t.txt",
        "train_labels": "l.txt",
        "train_ids": "i.txt",
        "test_texts": "vt.txt",
        "test_labels": "vl.txt",
    }
    return [f"--{flag}={tmp_path / name}" for flag, name in names.items()]


def test_own_files(
    root: Path, user_environment: dict[str, str], own_files: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "made" / "store"
    flags = [*own_files, f"--out={out}", "--separator=;", "--vector_width=5", "--max_tokens=4"]
    done = prepare(root, user_environment, *flags)
    assert done.returncode == 0, done.stderr
    store = open_store(out)
    assert store.label_names == ["cat animal", "pets", "new"]
    assert sorted(store.splits) == ["test", "train"]
    assert store.splits["train"].ids == ["one", "two", "three"]
    assert store.splits["train"].lengths.tolist() == [4, 3, 3]
    assert store.vectors is not None
    assert store.vectors.shape[1] == 5
    assert "documents" in done.stdout
    assert store.fingerprint[:16] in done.stdout

    again = prepare(root, user_environment, *flags)
    assert again.returncode == 1
    assert "--overwrite" in again.stderr
    assert again.stderr.startswith("error: ")
    assert "Traceback" not in again.stderr
    replaced = prepare(root, user_environment, *flags, "--overwrite", "--vectors=none")
    assert replaced.returncode == 0, replaced.stderr
    assert open_store(out).vectors is None


def test_a_folder_as_published(
    root: Path, user_environment: dict[str, str], tmp_path: Path
) -> None:
    data = tmp_path / "LF-Tiny"
    data.mkdir()
    files: dict[str, list[dict[str, object]]] = {
        "trn.json.gz": [
            {"uid": "A", "title": "a cat", "content": "sat", "target_ind": [1, 0, 1]},
            {"uid": "B", "title": "a dog", "content": "ran", "target_ind": [2]},
        ],
        "tst.json.gz": [{"uid": "C", "title": "a cat", "content": "", "target_ind": [2]}],
        "lbl.json.gz": [{"title": "big cats"}, {"title": "mats"}, {"title": "dogs"}],
    }
    for name, rows in files.items():
        content = "".join(json.dumps(row) + "\n" for row in rows)
        (data / name).write_bytes(gzip.compress(content.encode()))
    flags = [f"--data={data}", f"--out={tmp_path / 'store'}", "--vectors=none"]
    done = prepare(root, user_environment, *flags)
    assert done.returncode == 0, done.stderr
    assert "lbl.json.gz names 3 labels" in done.stdout
    assert "train: trn.json.gz is taken for JSON lines with 'title'" in done.stdout
    assert "test: tst.json.gz is taken for" in done.stdout
    assert "documents with a label twice" in done.stdout
    store = open_store(tmp_path / "store")
    assert store.label_names == ["big cats", "dogs", "mats"]
    assert store.splits["train"].ids == ["A", "B"]
    assert store.splits["train"].lengths.tolist() == [3, 3]
    assert store.splits["train"].labels(0).tolist() == [0, 2]
    assert store.description["source"].endswith("Repository): trn.json.gz, tst.json.gz")

    flags = [*flags, "--overwrite", "--text_column=title"]
    assert prepare(root, user_environment, *flags).returncode == 0
    assert open_store(tmp_path / "store").splits["train"].lengths.tolist() == [2, 2]
    again = prepare(root, user_environment, *flags, f"--label_file={data / 'tst.json.gz'}")
    assert again.returncode == 1
    assert "trn.json.gz:1: label 1 is none of tst.json.gz" in again.stderr
    assert open_store(tmp_path / "store").splits["train"].lengths.tolist() == [2, 2]


def test_a_file_with_named_columns(
    root: Path, user_environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text('key,body,tags\nd1,"the cat\nsat",big cat;mat\n')
    flags = [f"--train={tmp_path / 'a.csv'}", f"--out={tmp_path / 'store'}", "--vectors=none"]
    done = prepare(root, user_environment, *flags)
    assert done.returncode == 1
    assert "no column 'text', but 'key', 'body' and 'tags'" in done.stderr
    flags += ["--text_column=body", "--labels_column=tags", "--id_column=key", "--separator=;"]
    done = prepare(root, user_environment, *flags)
    assert done.returncode == 0, done.stderr
    store = open_store(tmp_path / "store")
    assert store.label_names == ["big cat", "mat"]
    assert store.splits["train"].ids == ["d1"]
    overruled = prepare(root, user_environment, *flags[:3], "--format=tsv", "--overwrite")
    assert "a.csv:1: expected labels<TAB>text, found 1 column" in overruled.stderr


def test_titles_of_labels(
    root: Path, user_environment: dict[str, str], own_files: list[str], tmp_path: Path
) -> None:
    titles = tmp_path / "titles.tsv"
    titles.write_text("pets\tAnimals at home\nnew\tNews\n")
    flags = [*own_files, f"--out={tmp_path / 'store'}", "--separator=;", "--vectors=none"]
    done = prepare(root, user_environment, *flags, f"--label_titles={titles}")
    assert done.returncode == 0, done.stderr
    assert open_store(tmp_path / "store").label_titles == [None, "Animals at home", "News"]
    assert "titles from titles.tsv for 2 of 3 labels" in done.stdout

    titles.write_text("pets\tAnimals at home\nnew News\n")
    done = prepare(root, user_environment, *flags, f"--label_titles={titles}", "--overwrite")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {titles}:2: expected a label, a tab and its title")
    assert open_store(tmp_path / "store").label_titles[1] == "Animals at home"


def test_by_the_ids_of_an_earlier_store(
    root: Path, user_environment: dict[str, str], own_files: list[str], tmp_path: Path
) -> None:
    first = tmp_path / "first"
    flags = [*own_files, "--separator=;"]
    done = prepare(root, user_environment, *flags, f"--out={first}", "--vector_width=5")
    assert done.returncode == 0, done.stderr
    (tmp_path / "l.txt").write_text("pets\nzoo\n\n")
    base = [*flags, f"--base={first}", f"--out={tmp_path / 'second'}"]
    done = prepare(root, user_environment, *base)
    assert done.returncode == 0, done.stderr
    store = open_store(tmp_path / "second")
    assert store.label_names == ["cat animal", "pets", "zoo", "new"]
    assert store.num_train_labels == 3
    assert store.vocabulary.words == open_store(first).vocabulary.words
    assert "1 labels are new, 2 known, 1 of these without" in " ".join(done.stdout.split())

    # Before any file is looked at; also where it is what would be taken anyway.
    (tmp_path / "t.txt").unlink()
    chosen = ("--vectors=ppmi", "--vocabulary_size=9")
    done = prepare(root, user_environment, *base, "--overwrite", *chosen)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: --vocabulary_size, --vectors cannot be had with --base")


def test_bad_input_is_one_line(
    root: Path, user_environment: dict[str, str], own_files: list[str], tmp_path: Path
) -> None:
    (tmp_path / "l.txt").write_text("a\n")
    done = prepare(root, user_environment, *own_files, f"--out={tmp_path / 'store'}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'l.txt'}:2: l.txt has 1 lines but t.txt has 3")
    assert not (tmp_path / "store").exists()


@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_store_is_no_store_and_the_same_command_makes_it(
    root: Path, user_environment: dict[str, str], tmp_path: Path, number: int
) -> None:
    words = [f"word{i}" for i in range(997)]
    texts = "".join(f"{' '.join(words[i % 400 : i % 400 + 200])}\n" for i in range(2_000))
    (tmp_path / "t.txt").write_text(texts)
    (tmp_path / "l.txt").write_text("".join(f"label{i % 7}\n" for i in range(2_000)))
    out = tmp_path / "made" / "store"
    flags = [f"--train_texts={tmp_path / 't.txt'}", f"--train_labels={tmp_path / 'l.txt'}",
             f"--out={out}"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, str(root / "launch" / "prepare.py"), *flags],
        env=user_environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("made/.store.*.partial/train")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(number)
    told, _ = process.communicate()
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), told
    assert "Traceback" not in told
    left = [path.name for path in out.parent.iterdir()]
    assert len(left) == (1 if number == signal.SIGKILL else 0)
    assert not is_store(out)
    done = prepare(root, user_environment, *flags, "--vectors=none")
    assert done.returncode == 0, done.stderr
    assert len(open_store(out).splits["train"]) == 2_000


def test_bad_rows_are_passed_over_in_all_files_where_that_is_asked_for(
    root: Path, user_environment: dict[str, str], own_files: list[str], tmp_path: Path
) -> None:
    (tmp_path / "l.txt").write_bytes(b"cat animal;pets\npe\xffts\n\n")
    flags = [*own_files, f"--out={tmp_path / 'store'}", "--separator=;", "--vectors=none"]
    done = prepare(root, user_environment, *flags)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'l.txt'}:2: not UTF-8: byte 0xff at byte 3")
    assert line.endswith("; --on_bad_row=skip passes such documents over and counts them")
    assert not (tmp_path / "store").exists()
    done = prepare(root, user_environment, *flags, "--on_bad_row=skip")
    assert done.returncode == 0, done.stderr
    assert "train: passed over 1 for not UTF-8: l.txt:2" in done.stdout
    store = open_store(tmp_path / "store")
    assert store.splits["train"].ids == ["one", "three"]
    assert store.description["splits"]["train"]["skipped"] == {
        "not UTF-8": {"rows": 1, "first": ["l.txt:2"]}
    }
    assert store.description["splits"]["test"]["skipped"] == {}

    (tmp_path / "i.txt").write_text("one\none\none\n")
    flags = [*flags, "--overwrite", "--on_bad_row=skip"]
    done = prepare(root, user_environment, *flags, "--keep_repeated_ids")
    assert done.returncode == 0, done.stderr
    assert open_store(tmp_path / "store").splits["train"].ids == ["one", "one"]


@pytest.mark.parametrize("fault", ["an unclosed quote", "an empty file", "a label file"])
def test_what_cannot_be_passed_over_is_told_without_such_advice(
    root: Path, user_environment: dict[str, str], tmp_path: Path, fault: str
) -> None:
    rows = 'text,labels\none,0\n"two,0\n' if "quote" in fault else "text,labels\none,0\n"
    (tmp_path / "a.csv").write_text("" if "empty" in fault else rows)
    (tmp_path / "names.txt").write_bytes(b"\xff\n")
    more = [f"--label_file={tmp_path / 'names.txt'}"] if "label" in fault else []
    done = prepare(root, user_environment, f"--train={tmp_path / 'a.csv'}", "--out=x", *more)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "on_bad_row" not in line


def test_unknown_flags_are_refused_with_the_nearest(
    root: Path, user_environment: dict[str, str]
) -> None:
    done = prepare(root, user_environment, "--out=x", "--train_text=y")
    assert done.returncode != 0
    assert "train_texts" in done.stderr


def test_a_line_longer_than_any_machine_holds_is_refused(
    root: Path, user_environment: dict[str, str], own_files: list[str]
) -> None:
    done = prepare(root, user_environment, "--out=x", *own_files, f"--max_line_mib={10**14}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --max_line_mib=100000000000000: ")
    assert "Traceback" not in done.stderr


def test_help_explains_the_files(root: Path, user_environment: dict[str, str]) -> None:
    done = prepare(root, user_environment, "--help")
    for text in ("--train_texts", "one text a line", "--dataset pydocs", "ppmi", "--label_file"):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Name the training data: either --dataset NAME, or your own"),
        (["--dataset=pydocs", "--train_texts=a", "--train_labels=b"], "Name the training data"),
        (["--train_texts=a"], "--train_texts and --train_labels go together"),
        (["--dataset=pydocs", "--test_labels=b"], "--test_texts and --test_labels go together"),
        (["--train_texts=a", "--train_labels=b"], "a: cannot be read: there is no such file"),
        (["--train=a"], "a: cannot be read: there is no such file"),
        (["--train=a", "--dataset=pydocs"], "Name the training data"),
        (["--test=a"], "Name the training data"),
        (["--data=a"], "a: cannot be read: there is no such folder"),
        (["--data=a", "--train=b"], "Name either the folder --data or single files"),
        (["--train=a", "--train_texts=b"], "--train and --train_texts are the same thing"),
        (["--train_ids=a"], "--train_texts and --train_labels go together"),
        (["--train=a", "--separator="], "--separator is empty"),
        (["--dataset=pydocs", "--on_bad_row=skip"], "--on_bad_row=skip concerns your own files"),
        (["--train=a", "--label_file=b"], "b: cannot be read: there is no such file"),
    ],
)
def test_flags_that_do_not_go_together(
    root: Path,
    user_environment: dict[str, str],
    tmp_path: Path,
    flags: list[str],
    message: str,
) -> None:
    done = prepare(root, user_environment, f"--out={tmp_path / 'store'}", *flags)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


PYDOCS_OF_ABSL = """
import runpy, sys
from axml_jax.data.builders import pydocs
build = pydocs.build
pydocs.build = lambda: build(files=pydocs.installed_files(("absl",)))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_pydocs(root: Path, user_environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", PYDOCS_OF_ABSL, str(root / "launch" / "prepare.py")]
    command += ["--dataset=pydocs", f"--out={tmp_path / 'store'}", "--vector_width=8"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=user_environment, check=False
    )
    assert done.returncode == 0, done.stderr
    store = open_store(tmp_path / "store")
    assert sorted(store.splits) == ["test", "train", "valid"]
    assert store.description["source"].startswith("pydocs: docstrings of")
    assert "fingerprint" in store.description["source"]


RCV1 = {
    "lyrl2004_tokens_train.dat": ".I 1\n.W\nrecov excit\n\n.I 2\n.W\nyear\n\n",
    **{f"lyrl2004_tokens_test_pt{i}.dat": f".I {i + 3}\n.W\nyear\n\n" for i in range(4)},
    "rcv1-v2.topics.qrels": "".join(f"E{i % 2} {i} 1\n" for i in range(1, 7)),
}


def test_a_data_set_in_its_publishers_files(
    root: Path, user_environment: dict[str, str], tmp_path: Path
) -> None:
    manual = tmp_path / "rcv1"
    manual.mkdir()
    flags = ["--dataset=rcv1", f"--manual_dir={manual}", f"--out={tmp_path / 'store'}"]
    flags += ["--vector_width=2", "--other_counts"]
    done = prepare(root, user_environment, *flags)
    assert done.returncode == 1
    assert "rcv1-v2.topics.qrels: this file is missing" in done.stderr
    assert "http://www.ai.mit.edu/projects/jmlr" in done.stderr
    for name, content in RCV1.items():
        (manual / name).write_text(content)
    done = prepare(root, user_environment, *flags)
    assert done.returncode == 0, done.stderr
    assert "N_train is 2, 23,149 published" in done.stderr
    assert "Table 1, of what the store holds" in done.stdout
    assert "RCV1 in the paper" in done.stdout
    store = open_store(tmp_path / "store")
    assert store.label_names == ["E0", "E1"]
    assert store.description["source"].startswith("rcv1, http://www.ai.mit.edu")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset=rvc1"], "no data set 'rvc1'.  Did you mean rcv1?"),
        (["--dataset=eurlex4k"], "--dataset eurlex4k needs --manual_dir"),
        (["--dataset=pydocs", "--text_column=x"], "concern files and tfds:NAME"),
        (["--dataset=tfds:tfd/nope/1.0.0"], "TFDS cannot open 'tfd/nope/1.0.0': expected NAME"),
        (["--dataset=tfds:mnist"], "name the feature that is the text"),
        (["--dataset=tfds:nobodys_news"], "TFDS has no data set 'nobodys_news'"),
    ],
)
def test_data_sets_that_cannot_be_named_so(
    root: Path, user_environment: dict[str, str], tmp_path: Path, flags: list[str], message: str
) -> None:
    flags = [*flags, f"--out={tmp_path / 'store'}", f"--tfds_data_dir={tmp_path}"]
    done = prepare(root, user_environment, *flags)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
