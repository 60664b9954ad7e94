"""Settings that cannot be are refused before any data is read: here none of it exists."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Scripts start in children of one process, which has imported what takes long.
DRIVER = """
import json, os, runpy, sys
import axml_jax.flags, axml_jax.data.store
for script, arguments in json.load(sys.stdin):
    sys.stdout.flush()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(write, 1), os.dup2(write, 2)
        os.close(read), os.close(write)
        sys.argv = [script, *arguments]
        runpy.run_path(script, run_name="__main__")
        sys.exit()
    os.close(write)
    told = open(read, encoding="utf-8").read()
    _, status = os.waitpid(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), told]))
"""

MANY = "9" * 20
FROM_TRAIN = [
    ("--config.train.epochs=0", "config.train.epochs is 0; it must be from 1 to"),
    ("--config.train.learning_rate=-1", "config.train.learning_rate is -1.0; it must be a number"),
    ("--config.train.learning_rate=inf", "config.train.learning_rate is inf; it must be a number"),
    ("--config.train.learning_rate=nan", "--config.train.learning_rate is nan; it must be a"),
    ("--config.train.clip_norm=-1", "config.train.clip_norm is -1.0; it must be a number of at"),
    ("--config.data.max_tokens=0", "config.data.max_tokens is 0; it must be from 1 to"),
    ("--config.data.batch_size=-8", "config.data.batch_size is -8; it must be from 1 to"),
    (f"--config.data.batch_size={MANY}", f"config.data.batch_size is {MANY}; it must be from"),
    ("--config.data.valid_fraction=1", "config.data.valid_fraction is 1.0; it must be at least 0"),
    ("--config.model.dropout=1", "config.model.dropout is 1.0; it must be at least 0 and below 1"),
    ("--config.model.hidden=wide", "--config.model.hidden=wide: "),
    ("--config.model.fully_connected=8,x", "config.model.fully_connected takes whole numbers"),
    (f"--config.model.filter_widths={MANY}", f"config.model.filter_widths is ({MANY},); it must"),
    ("--config.model.name=xml-cnn", "--config.model.name=xml-cnn: value should be one of"),
    ("--config.train.epoch=3", "--config.train.epoch: there is no such configuration field; did "
                               "you mean --config.train.epochs?"),
    ("--max_minutes=-1", "--max_minutes=-1: "),
    ("--max_minutes=nan", "--max_minutes is nan; it must be a number."),
    ("--devices=0", "--devices=0: "),
    ("--config.data.batch_size=41", "config.data.batch_size is 41, which 2 devices cannot share "
                                    "evenly; the next that they can is 42."),
    ("--config.parallel.labels=3", "config.parallel.labels is 3, but there are 2 devices; their "),
    ("--devices=3", "--devices is 3, but only 2 are there."),
]  # fmt: skip
OTHERS = [
    ("prepare", "--max_tokens=-1", "--max_tokens=-1: "),
    ("prepare", "--vocabulary_size=2", "--vocabulary_size=2: "),
    ("prepare", "--vector_width=0", "--vector_width=0: "),
    ("prepare", "--seed=-1", "--seed=-1: "),
    ("prepare", "--store=x", "--store: there is no such flag; "),
    ("evaluate", "--k=1,0", "--k takes whole numbers of at least 1, such as 1,3,5; 1,0 came."),
    ("evaluate", "--k=one", "--k takes whole numbers of at least 1, such as 1,3,5; one came."),
    ("evaluate", "--top_k=0", "--top_k=0: "),
    ("evaluate", "--examples=-1", "--examples=-1: "),
    ("predict", "--top_k=99", "--top_k is 99, but the model has 8 labels."),
    ("predict", "--min_probability=1.5", "--min_probability=1.5: "),
    ("predict", "--min_probability=nan", "--min_probability is nan; it must be a number."),
    ("explain", "--documents=0", "--documents=0: "),
    ("explain", "--top_k=99", "--top_k is 99, but the model has 8 labels."),
    ("inspect_data", "--max_tokens=128,0", "--max_tokens takes whole numbers from 1 to 2147483647"),
    ("inspect_data", f"--max_tokens={MANY}", "--max_tokens takes whole numbers from 1 to"),
    ("calibration", "--top_k=99", "--top_k is 99, but the model has 8 labels."),
    ("thresholds", "--shrinkage=inf", "--shrinkage=inf: "),
    ("inspect_data", "--similarity=nan", "--similarity is nan; it must be a number."),
    ("consensus", "--top_k=0", "--top_k=0: "),
    ("consensus", "--combine=mean", "--combine=mean: value should be one of"),
]
NEEDED = {
    "train": ["--store=gone", "--run=new"],
    "prepare": ["--train=gone.jsonl", "--out=new"],
    "evaluate": ["--run=gone"],
    "predict": ["--input=gone", "--output=new"],
    "explain": ["--input=gone", "--output=new"],
    "inspect_data": ["--store=gone", "--out=new"],
    "consensus": ["--sources=gone,gone2", "--store=gone", "--output=new"],
    "calibration": ["--store=gone"],
    "thresholds": ["--store=gone", "--output=new"],
}
MISTAKES = [("train", *mistake) for mistake in FROM_TRAIN] + OTHERS


@pytest.fixture(scope="module")
def told(
    root: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], tuple[int, str]]:
    """What each script says to a mistake, and its exit status; nothing was written."""
    folder = tmp_path_factory.mktemp("mistakes")
    asked = []
    for script, flag, _ in MISTAKES:
        reads_run = script in ("predict", "explain", "calibration", "thresholds")
        run = [f"--run={tiny_run}"] if reads_run else []
        asked.append((str(root / "launch" / f"{script}.py"), [*NEEDED[script], *run, flag]))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(root), str(root / "kernels"))),
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        },
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    answers = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    mistakes = [(script, flag) for script, flag, _ in MISTAKES]
    return dict(zip(mistakes, answers, strict=True))


@pytest.mark.parametrize(
    ("script", "flag", "message"), MISTAKES, ids=[f"{s} {flag}" for s, flag, _ in MISTAKES]
)
def test_a_setting_that_cannot_be_is_refused_before_any_data_is_read(
    told: dict[tuple[str, str], tuple[int, str]], script: str, flag: str, message: str
) -> None:
    status, line = told[script, flag]
    assert (status, line.count("\n")) == (1, 1)
    assert line.startswith(f"error: {message}")
