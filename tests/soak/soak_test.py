"""`make soak` fails where any of its parts found something wrong, and says what."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.soak import kills, soak
from tests.soak.kills import Tally, kill_and_compare
from tests.soak.stops import Stopped
from tests.soak.trainings import Training

TOLD = "stopped by SIGTERM at step 3, saved in run; the same command continues.\n"
STOPPED = Stopped(code=143, told=TOLD, seconds=1.5, step=3, due=False)
GOOD = {
    "soak_kills": Tally(kills=4, inside=2, survived=4, runs=2),
    "soak_signals": ([STOPPED], []),
    "soak_inputs": (1234, 0, []),
}
BAD = {
    "a run differs": ("soak_kills", Tally(4, 2, 3, 2, ["killed_1: differs"]), "3 of 4"),
    "no kill hit a checkpoint": ("soak_kills", Tally(4, 0, 4, 2), "inside a checkpoint 0"),
    "a signal took too long": ("soak_signals", ([STOPPED], ["too long"]), "WRONG: too long"),
    "an input crashed": ("soak_inputs", (1234, 1, []), "crashes            1"),
    "no fuzzer": ("soak_inputs", (0, 0, ["inputs: no fuzzer"]), "WRONG: inputs: no fuzzer"),
}


def outcome(monkeypatch: pytest.MonkeyPatch, parts: dict[str, object]) -> int:
    for name, part in parts.items():
        monkeypatch.setattr(soak, name, lambda *_, part=part: part)
    return soak.main(["--kills", "4"])


def test_all_good_is_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(monkeypatch, GOOD) == 0
    told = capsys.readouterr().out
    assert "kills survived     4 of 4, in 2 runs" in told
    assert "inputs tried       1,234" in told
    assert "WRONG" not in told


@pytest.mark.parametrize("fault", BAD)
def test_a_fault_in_any_part_is_failure(
    fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    part, value, line = BAD[fault]
    assert outcome(monkeypatch, {**GOOD, part: value}) == 1
    told = capsys.readouterr().out
    assert line in told
    assert told.endswith("NOT as it should be\n")


@pytest.mark.parametrize(
    ("said", "code", "found"),
    [
        ("inputs tried: 1,234  crashes: 0  peak memory: 9 MiB", 0, (1234, 0, [])),
        ("inputs tried: 7  crashes: 2  peak memory: 9 MiB", 1, (7, 2, [])),
        ("no atheris", 2, (0, 0, ["inputs: the fuzzer ended with 2: no atheris"])),
        ("inputs tried: 7  crashes: 0  pea", -9, None),
    ],
)
def test_the_fuzzer_is_believed_only_when_it_ended_well(
    said: str,
    code: int,
    found: tuple[int, int, list[str]] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = f"os.kill(os.getpid(), {-code})" if code < 0 else f"sys.exit({code})"
    script = tmp_path / "fuzzer.py"
    script.write_text(f"import os, sys\nprint({said!r}, flush=True)\n{ends}\n")
    monkeypatch.setattr(soak, "FUZZER", script)
    inputs, crashes, unusable = soak.soak_inputs(tmp_path, 1.0)
    if found is None:
        assert (inputs, crashes, len(unusable)) == (0, 0, 1)
    else:
        assert (inputs, crashes, unusable) == found


def test_what_is_wrong_with_a_stop_is_found() -> None:
    def wrong(within: str = "step", most: float = 10, **changes: Any) -> str:
        return " ".join(STOPPED._replace(**changes).wrong(signal.SIGTERM, within, most))

    assert wrong() == ""
    assert wrong("validation", due=True) == ""
    assert wrong("validation") == "the validation was not cut short"
    assert wrong(code=0) == "exit status 0, not 143"
    assert wrong(step=2).startswith("saved is step 2, but it said")
    assert wrong(most=1) == "1.5 s to the end"
    assert "how to continue" in wrong(told="stopped by SIGTERM at step 3, saved in run.\n")
    assert "not say once that it was stopped" in wrong(told=f"{TOLD}Killed\n")
    assert "not say once that it was stopped" in wrong("twice", told=TOLD + TOLD)
    assert wrong("twice", code=-15, step=2) == ""
    assert wrong(code=-15) == "exit status -15, not 143"
    begins = "stopped by SIGTERM before anything was begun; the same command begins again.\n"
    assert wrong("imports", told=begins) == ""
    assert "how to continue" in wrong("twice", told=begins)
    assert "how to continue" in wrong(told=f"Traceback\n{TOLD}")


def test_a_run_that_fails_to_go_on_counts_as_not_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(training: Training) -> str:
        if training.run.name == "killed_1":
            raise RuntimeError("ended with 1: error: damaged")
        return ""

    monkeypatch.setattr(kills, "kill", lambda *_: "inside")
    monkeypatch.setattr(kills, "contents", lambda run: {"metrics.jsonl": run.name == "killed_2"})
    monkeypatch.setattr(Training, "finish", fails)
    tally = kill_and_compare(
        lambda name: Training(tmp_path, tmp_path / name, 1, tmp_path),
        {"metrics.jsonl": False},
        kills=12, usual=1.0, seed=0, say=lambda _: None,
    )  # fmt: skip
    assert (tally.kills, tally.inside) == (12, 12)
    assert tally.survived < 12
    damaged, differs = (fault.split(": ", 1) for fault in tally.faults)
    assert (damaged[0].split()[0], damaged[1]) == ("killed_1", "ended with 1: error: damaged")
    assert (differs[0].split()[0], differs[1]) == ("killed_2", "metrics.jsonl")
