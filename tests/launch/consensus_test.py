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


@pytest.mark.parametrize("sources", ["a", "a,a"])
def test_one_source_is_none(sources: str, launch: Launch) -> None:
    done = launch("consensus", f"--sources={sources}", "--output=c")
    assert done.returncode == 1
    told = f"error: --sources takes two or more different ones; {sources} came.\n"
    assert done.stderr.decode() == told


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
