"""The benchmark of starting up starts twice and reports, on a size that takes seconds."""

import json
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks.startup_process import random_documents, seconds_per_step, settings_of

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_small_run_reports(root: Path, run_benchmark: Run, tmp_path: Path) -> None:
    flags = [f"--config={root / 'launch/configs/tiny.py'}"]
    flags += ["--config.model.hidden=4", "--config.model.fully_connected", "4"]
    flags += ["--config.model.query_init=xavier", "--config.data.batch_size=2"]
    flags += ["--documents=8", "--words=9", "--labels=3", "--length=5", "--repeats=1"]
    done = run_benchmark("startup", *flags, "--name=trial", f"--out={tmp_path}")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "trial.json").read_text(encoding="utf-8"))
    assert results["config"]["model"]["hidden"] == 4
    assert results["data"]["labels"] == 3
    times = results["seconds_to_first_step_done"]
    (first,), (second,) = times["first"], times["second"]
    # What the first start compiled is there: nothing else makes the second one faster.
    assert second < first
    assert results["second_of_first"]["to_first_step_done"] == second / first
    step = results["seconds_of_a_later_step"]
    without = results["second_of_first"]["without_the_step_itself"]
    assert without == (second - step) / (first - step)


def test_every_label_has_a_document() -> None:
    for count, labels in ((3, 7), (7, 3)):
        documents = list(random_documents(count, 10, labels, 4))
        assert {name for document in documents for name in document.labels} == {
            str(label) for label in range(labels)
        }
        assert all(document.labels for document in documents)
        assert [len(document.text.split()) for document in documents] == [4] * count


def test_a_step_is_timed_after_the_first_interval(tmp_path: Path) -> None:
    speeds = [1.0, 40.0, 20.0, 10.0]
    records = [{"step": 1, "seconds_to_first_step": 9.0}]
    records += [{"step": i, "documents_per_second": speed} for i, speed in enumerate(speeds, 2)]
    file = tmp_path / "timings.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    assert seconds_per_step(file, 40) == 40 / statistics.median(speeds[1:])


def test_settings_of_a_command_line() -> None:
    arguments = ["--config", "a.py", "--name=x", "--config.seed=3", "-config.model.hidden", "4"]
    assert settings_of(arguments) == [
        "--config", "a.py", "--config.seed=3", "-config.model.hidden", "4",
    ]  # fmt: skip
