"""launch/train.py as a user runs it: trains, is stopped, continues, tells what is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import axml_jax
from axml_jax import runs
from axml_jax.data.store import Store

Launch = Callable[..., subprocess.CompletedProcess[bytes]]

# What is optional may be missing; Flax itself needs the rest of rich, but not its progress bar.
WITHOUT_OPTIONAL_PACKAGES = """
import sys
REFUSED = ("rich.progress", "tensorboardX", "tensorflow_datasets", "matplotlib", "omikuji")
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if any(name == refused or name.startswith(refused + ".") for refused in REFUSED):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
"""

SMALL = (
    "--config.data.max_tokens=16",
    "--config.data.batch_size=8",
    "--config.model.hidden=4",
    "--config.model.fully_connected=4",
    "--config.train.log_steps=1",
)


def test_a_run_without_optional_packages_then_another_command(
    root: Path,
    tmp_path: Path,
    tiny_store: Store,
    launch: Launch,
    launch_environment: dict[str, str],
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WITHOUT_OPTIONAL_PACKAGES)
    path = os.pathsep.join((str(site), launch_environment["PYTHONPATH"]))
    probe = [sys.executable, "-c", "import rich.progress"]
    assert subprocess.run(probe, env={**launch_environment, "PYTHONPATH": path}, check=False,
                          stderr=subprocess.DEVNULL).returncode == 1  # fmt: skip

    configuration = f"--config={root / 'launch' / 'configs' / 'tiny.py'}"
    command = ("train", configuration, f"--store={tiny_store.path}", "--run=run", *SMALL)
    done = launch(*command, "--config.train.epochs=1", PYTHONPATH=path)
    told = done.stderr.decode()
    assert (done.returncode, done.stdout) == (0, b""), told
    assert "epoch 1.00  validation  P@1 " in told
    assert "training ends at step 6: all epochs are done" in told
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} == {
        ".lock", "run.json", "words.json", "labels.json", "metrics.jsonl", "timings.jsonl",
        "result.json", "checkpoints",
    }  # fmt: skip
    written = runs.read_description(run)["config"]
    # The file's, but for what the flags say.
    assert (written["model"]["query_init"], written["model"]["hidden"]) == ("label_state", 4)
    assert len(axml_jax.load(run).predict(["parse flags"], top_k=3)[0]) == 3

    # A rival whose package is missing is told with what to do, before anything is written.
    rival = ("train", f"--store={tiny_store.path}", "--run=rival", "--config.model.name=parabel")
    done = launch(*rival, PYTHONPATH=path)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: config.model.name=parabel needs omikuji")
    assert "pip install 'axml_jax[baselines]'" in line
    assert not (tmp_path / "rival").exists()

    # Another configuration in the same folder is refused by the field's name.
    done = launch(*command, "--config.train.epochs=2")
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: run holds a run of another configuration")
    assert line.endswith("Differing: config.train.epochs: 1 there, 2 here")


def test_a_run_that_begins_with_another_one(
    tmp_path: Path, tiny_run: Path, tiny_store: Store, launch: Launch
) -> None:
    (tmp_path / "t.txt").write_text("parse the flags\n" * 9 + "the command line\n" * 9)
    (tmp_path / "l.txt").write_text("fresh\n" * 9 + "absl\n" * 9)
    files = ("--train_texts=t.txt", "--train_labels=l.txt")
    done = launch("prepare", *files, f"--base={tiny_run}", "--out=store")
    assert done.returncode == 0, done.stderr
    command = ("train", "--store=store", "--run=run", *SMALL, "--config.train.epochs=1")
    done = launch(*command, f"--init_from={tiny_run}")
    assert done.returncode == 0, done.stderr
    names = axml_jax.load(tiny_run).label_names
    step = runs.read_json(tiny_run / "result.json")["best_step"]
    told = (
        f"begins with {tiny_run} (step {step}): {len(names)} labels keep their queries, 1 are new"
    )
    assert told in done.stderr.decode().splitlines()
    assert axml_jax.load(tmp_path / "run").label_names == [*names, "fresh"]
    assert runs.read_description(tmp_path / "run")["data"]["init_from"]["run"] == tiny_run.name

    done = launch(*command)
    assert done.returncode == 1
    assert b"has no word vectors" in done.stderr
    assert b"--init_from RUN" in done.stderr


def test_a_terminated_run_is_saved_and_continues(
    root: Path, tmp_path: Path, tiny_store: Store, launch_environment: dict[str, str]
) -> None:
    script = str(root / "launch" / "train.py")
    arguments = (f"--store={tiny_store.path}", "--run=run", *SMALL, "--config.train.epochs=100000")
    process = subprocess.Popen(
        [sys.executable, script, *arguments],
        cwd=tmp_path,
        env=launch_environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        metrics = tmp_path / "run" / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.read_bytes()):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate()
    assert process.returncode == 143, told
    assert "\nSIGTERM: saving once this step is done\n" in told
    line = told.splitlines()[-1]
    assert line.startswith("stopped by SIGTERM at step ")
    assert line.endswith("saved in run; the same command continues.")
    step = int(line.split()[5].rstrip(",").replace(",", ""))
    last = json.loads(metrics.read_text().splitlines()[-1])
    assert last["step"] == step
    # Where the signal cut the epoch's validation short, the next start owes it before any step.
    owed = step % 6 == 0 and "validation" not in last

    done = subprocess.run(
        [sys.executable, script, *arguments, "--max_minutes=0"],
        cwd=tmp_path,
        env=launch_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"continuing run at step {step:,} of 600,000" in done.stderr
    assert runs.read_json(tmp_path / "run" / "result.json")["step"] == step + (not owed)


def test_mistakes_are_one_line(tmp_path: Path, tiny_store: Store, launch: Launch) -> None:
    done = launch("train", "--store=nowhere", "--run=run")
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: nowhere: no such folder; make one with launch/prepare.py")

    done = launch("train", f"--store={tiny_store.path}", "--run=run", "--config.model.dropout=1")
    assert done.returncode == 1
    assert done.stderr.decode() == (
        "error: config.model.dropout is 1.0; it must be at least 0 and below 1.\n"
    )

    done = launch("train", f"--store={tiny_store.path}", "--run=run", "--devices=2")
    assert (done.returncode, done.stderr) == (1, b"error: --devices is 2, but only 1 is there.\n")
    assert list(tmp_path.iterdir()) == []
