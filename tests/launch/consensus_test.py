"""launch/consensus.py as a user runs it."""

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from axml_jax.data.store import Store

Launch = Callable[..., subprocess.CompletedProcess[bytes]]


def test_a_run_and_a_file_become_one(
    tiny_run: Path, tiny_store: Store, tmp_path: Path, launch: Launch
) -> None:
    split = tiny_store.splits["test"]
    rows = [" ".join(f"{label}:0.9" for label in split.labels(i)) for i in range(len(split))]
    (tmp_path / "oracle.txt").write_text("20 15\n" + "".join(f"{row}\n" for row in rows))
    done = launch("consensus", f"--sources=oracle.txt,{tiny_run}", "--output=both.jsonl")
    assert done.returncode == 0, done.stderr.decode()
    shown = done.stdout.decode()
    assert "test: 20 documents, 15 labels" in shown
    assert all(name in shown for name in ("oracle.txt", tiny_run.name, "consensus"))
    assert "20 documents in both.jsonl" in done.stderr.decode()

    alone = launch("consensus", f"--sources={tiny_run},oracle.txt", "--output=turned.jsonl")
    assert alone.returncode == 0
    records = [json.loads(line) for line in (tmp_path / "both.jsonl").read_text().splitlines()]
    turned = [json.loads(line) for line in (tmp_path / "turned.jsonl").read_text().splitlines()]
    assert [record["line"] for record in records] == list(range(1, 21))
    from axml_jax.model import load

    (logits, ids), *_ = load(tiny_run).predict_ids([split.document(3)], 8)
    ours = dict(zip(ids.tolist(), logits.tolist(), strict=True))
    true = set(split.labels(3).tolist())
    for record in (records[3], turned[3]):
        found = {label["label"]: label["probability"] for label in record["labels"]}
        for label in ours.keys() | true:
            theirs = 0.1 if label in true else 1.0
            model = 1 / (1 + math.exp(ours[label])) if label in ours else 1.0
            name = tiny_store.label_names[label]
            assert found[name] == pytest.approx(1 - theirs * model, rel=1e-4)
        assert len(found) == len(ours.keys() | true)


def test_files_alone_and_the_mean_of_logits(
    tiny_store: Store, tmp_path: Path, launch: Launch
) -> None:
    for name, logit in (("a", 3.0), ("b", -1.0)):
        label = {"label": tiny_store.label_names[0], "probability": 0.5, "logit": logit}
        (tmp_path / name).write_text((json.dumps({"labels": [label]}) + "\n") * 18)
    ask = ("consensus", "--sources=a,b", "--split=valid", "--output=c", "--combine=mean_logits")
    done = launch(*ask, f"--store={tiny_store.path}")
    assert done.returncode == 0, done.stderr.decode()
    first = json.loads((tmp_path / "c").read_text().splitlines()[0])
    assert first["labels"][0]["logit"] == 1.0
    done = launch(*ask)
    told = "error: --store is required where no source is a run folder.\n"
    assert (done.returncode, done.stderr.decode()) == (1, told)


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ("a", "--sources takes two or more different ones; a came."),
        ("a,a", "--sources names a twice; different ones are expected."),
        ("a,./a", "--sources names ./a twice; different ones are expected."),
        ("a,b/../a::scores=logit", "--sources names b/../a twice; different ones are expected."),
    ],
)
def test_one_source_is_none(sources: str, told: str, launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    done = launch("consensus", f"--sources={sources}", "--output=c")
    assert (done.returncode, done.stderr.decode()) == (1, f"error: {told}\n")


@pytest.mark.parametrize(
    "source", ["a::", "a::scores", "a::scores=log", "a::kind=logit", "a::own_names=",
               "a::labels=ids::labels=names", "::labels=ids"]
)  # fmt: skip
def test_what_cannot_be_said_of_a_file(source: str, launch: Launch) -> None:
    done = launch("consensus", f"--sources=b,{source}", "--output=c")
    assert done.returncode == 1
    assert done.stderr.decode() == (
        f"error: --sources has {source!r}; expected a file, then what is said of it, each once at "
        "most: ::format=auto|json_lines|score_matrix|pairs|omikuji|annexml|npz, "
        "::labels=auto|names|ids, ::own_names=FILE, ::scores=auto|logit|probability|score.\n"
    )


def test_nothing_is_said_of_a_run(tmp_path: Path, launch: Launch) -> None:
    (tmp_path / "run").mkdir()
    done = launch("consensus", "--sources=b,run::scores=logit", "--output=c")
    told = "error: --sources has 'run::scores=logit', but a run folder needs no such options.\n"
    assert (done.returncode, done.stderr.decode()) == (1, told)


def test_each_file_is_read_as_it_was_said(
    tiny_store: Store, tmp_path: Path, launch: Launch
) -> None:
    names = tiny_store.label_names
    ours = {"label": names[1], "probability": 0.5, "logit": 0.0}
    (tmp_path / "ours.jsonl").write_text((json.dumps({"labels": [ours]}) + "\n") * 18)
    (tmp_path / "logit.txt").write_text(f"{names[0]}:0.87\n" * 18)
    (tmp_path / "prob.txt").write_text("1:0.87\n" * 18)  # by its own numbers
    (tmp_path / "own").write_text(f"{names[2]}\n{names[0]}\n")
    ask = ("consensus", f"--store={tiny_store.path}", "--split=valid", "--output=c")

    def combined(sources: str, *more: str) -> dict[str, float]:
        done = launch(*ask, f"--sources={sources}", *more)
        assert done.returncode == 0, done.stderr.decode()
        record = json.loads((tmp_path / "c").read_text().splitlines()[0])
        return {label["label"]: label["probability"] for label in record["labels"]}

    logit = 1 / (1 + math.exp(-0.87))
    expected = {names[0]: pytest.approx(1 - (1 - logit) * (1 - 0.87)), names[1]: 0.5}
    said = "logit.txt::scores=logit,prob.txt::own_names=own,ours.jsonl"
    assert combined(said) == expected
    # What is said of all leaves alone what a file says of itself, and what is said of one file.
    general = "logit.txt::scores=logit,prob.txt::scores=probability::own_names=own,ours.jsonl"
    assert combined(general, "--scores=logit") == expected
    by_flag = "prob.txt,ours.jsonl"
    assert combined(by_flag, "--own_names=own") == {names[0]: pytest.approx(0.87), names[1]: 0.5}

    done = launch(*ask, "--sources=logit.txt,prob.txt::own_names=own", "--scores=logit")
    assert done.returncode == 1
    assert (
        done.stderr.decode()
        .splitlines()[-1]
        .startswith("error: logit.txt: all its scores lie in 0..1, as probabilities do;")
    )
    done = launch(*ask, "--sources=ours.jsonl::scores=probability,logit.txt")
    told = "error: ours.jsonl: expected probabilities, found logits, as it says itself"
    assert (done.returncode, told in done.stderr.decode()) == (1, True)
    done = launch(*ask, "--sources=ours.jsonl,prob.txt::own_names=own", "--combine=mean_logits")
    told = "error: prob.txt: the mean of logits needs logits; found the kind 'probability'"
    assert (done.returncode, told in done.stderr.decode()) == (1, True)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("gone/c", "--output is gone/c, whose folder does not exist."),
        (".", "--output is ., which is a folder."),
        ("./a", "--output is ./a, which is read and would be overwritten."),
    ],
)
def test_where_nothing_can_be_written(output: str, told: str, launch: Launch) -> None:
    done = launch("consensus", "--sources=a,b", f"--output={output}")
    assert (done.returncode, done.stderr.decode()) == (1, f"error: {told}\n")


def test_scores_that_only_rank_are_told_before_anything_is_predicted(
    tiny_run: Path, tmp_path: Path, launch: Launch
) -> None:
    (tmp_path / "margins.txt").write_text("0:-1.5 1:2\n" * 20)
    done = launch(
        "consensus", f"--sources=margins.txt::labels=ids,{tiny_run}", "--output=joined.jsonl"
    )
    told = done.stderr.decode()
    assert done.returncode == 1
    assert "margins.txt: expected logits or probabilities, found scores from -1.5 to 2" in told
    assert "predicting" not in told
    assert not (tmp_path / "joined.jsonl").exists()
