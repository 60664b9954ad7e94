"""Steps are done once, anew if they were interrupted, and never mixed with another study's."""

from pathlib import Path
from typing import Any

import pytest

from axml_jax.errors import ConfigError
from benchmarks.paper_steps import Step, is_done, result_of, run_steps, show_plan, shown_time


class Work:
    """Counts its calls; ends early in those that it is told to."""

    def __init__(self, interrupted: int = 0) -> None:
        self.interrupted, self.calls = interrupted, 0
        self.seen: list[list[str]] = []

    def __call__(self, folder: Path) -> dict[str, Any]:
        self.calls += 1
        self.seen.append(sorted(path.name for path in folder.iterdir()))
        (folder / "half").touch()
        if self.calls <= self.interrupted:
            raise KeyboardInterrupt
        return {"calls": self.calls}


def steps(first: Work, second: Work, continues: bool = False, setting: Any = (1,)) -> list[Step]:
    return [
        Step("a/one", first, lambda: {"x": {"y": setting}}, seconds=150.0),
        Step("a/two", second, lambda: {"z": 0}, continues=continues),
    ]


@pytest.mark.parametrize(("continues", "left"), [(False, []), (True, ["half"])])
def test_what_is_done_is_never_done_again(tmp_path: Path, continues: bool, left: Any) -> None:
    first, second = Work(), Work(interrupted=1)
    with pytest.raises(KeyboardInterrupt):
        run_steps(tmp_path, steps(first, second, continues))
    assert [is_done(tmp_path, step) for step in steps(first, second)] == [True, False]
    for _ in range(2):
        run_steps(tmp_path, steps(first, second, continues))
    assert (first.calls, second.calls) == (1, 2)
    assert second.seen == [[], left]
    assert result_of(tmp_path, "a/two") == {"calls": 2}


def test_a_finished_step_of_other_settings_is_refused(tmp_path: Path) -> None:
    first, second = Work(), Work()
    run_steps(tmp_path, steps(first, second))
    with pytest.raises(ConfigError, match=r"Differing: x\.y: \[1\] there, \[2\] here"):
        run_steps(tmp_path, steps(first, second, setting=(2,)))
    assert first.calls == 1


def test_the_plan_tells_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = Work(), Work(interrupted=1)
    assert show_plan(tmp_path, steps(first, second)) == 150.0
    shown = capsys.readouterr().out
    assert "2 min" in shown
    assert "left: about 2 min, and 1 of unknown length" in " ".join(shown.split())
    with pytest.raises(KeyboardInterrupt):
        run_steps(tmp_path, steps(first, second))
    assert show_plan(tmp_path, steps(first, second)) == 0.0
    assert "done" in capsys.readouterr().out
    assert [shown_time(s) for s in (3, 90, 7200)] == ["under a minute", "2 min", "2.0 h"]
