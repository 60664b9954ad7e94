"""The report of a benchmark: what is in the file, and that rivals take turns."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import report

ABOUT = {
    "device", "cpu", "cores", "load", "versions", "commit", "dirty", "date", "command",
}  # fmt: skip


@pytest.fixture
def no_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


def test_file_holds_results_and_their_circumstances(tmp_path: Path) -> None:
    results = {"b": np.float32(0.5), "a": np.arange(3), "c": {"path": tmp_path / "name"}}
    path = report.write("trial", results, tmp_path / "new")
    assert path == tmp_path / "new" / "trial.json"
    assert [file.name for file in path.parent.iterdir()] == ["trial.json"]
    text = path.read_text(encoding="utf-8")
    written = json.loads(text)
    assert list(written) == sorted(written)
    assert written.keys() == ABOUT | {"a", "b", "c"}
    assert (written["a"], written["b"], written["c"]) == ([0, 1, 2], 0.5, {"path": "name"})
    assert text.startswith('{\n "a"')
    assert str(report.ROOT) not in text


def test_results_go_to_the_folder_of_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    assert report.write("trial", {}) == tmp_path / "results" / "trial.json"


def test_environment_describes_this_machine() -> None:
    about = report.environment()
    assert about.keys() == ABOUT
    assert about["device"]["backend"] == "cpu"
    assert about["cpu"]
    assert 1 <= about["cores"]["usable"] <= about["cores"]["machine"]
    assert about["versions"]["numpy"] == np.__version__
    assert about["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.usefixtures("no_git")
def test_git_may_be_absent() -> None:
    assert report.code() == {"commit": None, "dirty": None}


def test_jax_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    assert report.environment()["device"] is None


def test_a_package_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_PACKAGES", ("numpy", "no-such-package"))
    versions = report.environment()["versions"]
    assert versions["no-such-package"] is None
    assert versions["numpy"] == np.__version__


def test_dirty_follows_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"rev-parse": "abc", "status": ""}
    monkeypatch.setattr(report, "_git", lambda *arguments: answers[arguments[0]])
    assert report.code() == {"commit": "abc", "dirty": False}
    answers["status"] = " M file.py"
    assert report.code() == {"commit": "abc", "dirty": True}


def test_results_name_the_code_as_it_was_at_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {key: report.environment()[key] for key in ("commit", "dirty")}
    monkeypatch.setattr(report, "_git", lambda *arguments: "later")
    assert {key: report.environment()[key] for key in ("commit", "dirty")} == before


def test_command_holds_no_absolute_path(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [
        "/home/me/benchmarks/trial.py", "--store=/data/my/store", "--pair=/a/b,/c/d", "/x/y/",
        "~/mine/z", "--ratio=1/2", "--here=sub/folder", "--repeats=3",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", arguments)
    assert report.environment()["command"] == (
        "trial.py --store=store --pair=b,d  z --ratio=1/2 --here=sub/folder --repeats=3"
    )


@pytest.mark.parametrize("results", [{"a": float("nan")}, {"commit": "mine"}])
def test_refused_results_leave_the_old_file(tmp_path: Path, results: dict[str, Any]) -> None:
    path = report.write("trial", {"a": 1}, tmp_path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"set by the report: commit|not JSON compliant"):
        report.write("trial", results, tmp_path)
    assert path.read_bytes() == before


def test_an_object_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="A result is object, which JSON does not know"):
        report.write("trial", {"a": object()}, tmp_path)


def test_rivals_take_turns_in_both_orders() -> None:
    calls: list[str] = []
    times = report.alternate(
        {name: lambda name=name: calls.append(name) for name in "ab"},  # type: ignore[misc]
        repeats=3,
        warm_up=1,
    )
    assert "".join(calls) == "ba" + "ab" + "ba" + "ab"
    assert list(times) == ["a", "b"]
    assert [len(times[name]["seconds"]) for name in "ab"] == [3, 3]


def test_times_are_summed_up_and_compared_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def sleeper(durations: list[float]) -> Any:
        def run() -> None:
            nonlocal clock
            clock += durations.pop(0)

        return run

    monkeypatch.setattr("time.perf_counter", lambda: clock)
    rivals = {"first": sleeper([9, 4, 1, 2]), "other": sleeper([9, 6, 8, 3])}
    times = report.alternate(rivals, repeats=3)
    assert times["first"] == {
        "seconds": [4, 1, 2], "min_s": 1, "median_s": 2, "min_ratio": 1, "median_ratio": 1,
    }  # fmt: skip
    assert times["other"] == {
        "seconds": [6, 8, 3], "min_s": 3, "median_s": 6, "min_ratio": 3, "median_ratio": 3,
    }  # fmt: skip


@pytest.mark.parametrize(("rivals", "repeats"), [({}, 1), ({"a": int}, 0)])
def test_nothing_to_time_is_an_error(rivals: dict[str, Any], repeats: int) -> None:
    with pytest.raises(ValueError, match="There should be rivals and rounds"):
        report.alternate(rivals, repeats)
