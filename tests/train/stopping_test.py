"""How a training ends before its last epoch: by time, by patience, with the best weights."""

import json
import signal
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import axml_jax
from axml_jax import runs
from axml_jax.config import Config
from axml_jax.data.store import Store
from axml_jax.train import loop, pace, processes
from axml_jax.train.validation import Validator

Train = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("compilation_cache")


def of_each(name: str, folder: Path) -> dict[int, Any]:
    """What the metrics file says of `name`, by step."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return {record["step"]: record[name] for record in records if name in record}


def test_time_that_is_up_ends_a_run_which_then_continues(
    train_on_one: Train, whole: Path, config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    result = train_on_one(config, tiny_store, tmp_path, max_minutes=0)
    assert "--max_minutes is used up" in result["ended"]
    assert result["step"] == result["best_step"] == 1
    assert result["validation"]["P@1"] >= 0
    assert list(of_each("validation", tmp_path)) == [1]
    # The weights are there to be used.
    assert len(axml_jax.load(tmp_path).predict(["flags"])[0]) == 5

    assert train_on_one(config, tiny_store, tmp_path, max_minutes=0)["step"] == 2
    result = train_on_one(config, tiny_store, tmp_path)
    assert (result["step"], result["ended"]) == (18, "all epochs are done")
    assert list(of_each("validation", tmp_path)) == [1, 2, 3, 6, 9, 12, 15, 18]
    # What was trained is the same; two validations more were looked at.
    assert of_each("loss", tmp_path) == of_each("loss", whole)


class Script:
    """Stands in for validation: scores from a list, a clock, the weights it was shown."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
        self.scores, self.seconds, self.now = scores, 0.0, 1000.0
        self.weights: list[Any] = []
        monkeypatch.setattr(Validator, "score", lambda _, variables: self.score(variables))
        clock = types.SimpleNamespace(monotonic=lambda: self.now)
        for module in (loop, pace):
            monkeypatch.setattr(module, "time", clock)

    def score(self, variables: Any) -> dict[str, float]:
        self.now += self.seconds
        self.weights.append(jax.tree.map(np.array, variables["params"]))
        score = self.scores[len(self.weights) - 1]
        return dict.fromkeys(("P@1", "P@3", "P@5", "nDCG@5"), score)


def test_early_stopping_keeps_the_best_weights(
    train_on_one: Train,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config.train.patience = 2
    script = Script(monkeypatch, [10, 5, 30, 30, 20, 99])
    result = train_on_one(config, tiny_store, tmp_path)
    # An equal score is no better one.
    assert (result["step"], result["best_step"]) == (15, 9)
    assert "nDCG@5 on validation has not risen for 2 evaluations" in result["ended"]
    assert result["validation"]["nDCG@5"] == 30
    kept = axml_jax.load(tmp_path).variables["params"]
    jax.tree.map(np.testing.assert_array_equal, kept, script.weights[2])
    with pytest.raises(AssertionError):
        jax.tree.map(np.testing.assert_array_equal, kept, script.weights[4])
    # Complete: the same command does nothing more.
    assert train_on_one(config, tiny_store, tmp_path) == result
    assert len(script.weights) == 5


def test_patience_of_zero_never_stops(
    train_on_one: Train,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config.train.patience = 0
    Script(monkeypatch, [10, 9, 8, 7, 6, 5])
    result = train_on_one(config, tiny_store, tmp_path)
    assert (result["step"], result["best_step"]) == (18, 3)


def test_time_is_kept_for_the_last_validation(
    train_on_one: Train,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before_step: Callable[[Callable[[int], None]], None],
) -> None:
    script = Script(monkeypatch, [10, 5, 4, 3])
    script.seconds = 25.0

    def take_ten_seconds(_: int) -> None:
        script.now += 10

    before_step(take_ten_seconds)
    result = train_on_one(config, tiny_store, tmp_path, max_minutes=2)
    # Steps 1 to 3 and a validation: 55 s.  After step 5, at 75 s, there is time for the next;
    # after step 6, at 85 s, comes the second validation, to 110 s; no time for a third.
    assert result["step"] == 6
    assert script.now == 1110.0


def test_a_validation_that_time_brought_about_does_not_use_up_patience(
    train_on_one: Train,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config.train.patience = 2
    script = Script(monkeypatch, [10, 5, 4, 3, 2])
    for step in (1, 2):
        assert train_on_one(config, tiny_store, tmp_path, max_minutes=-1)["step"] == step
    # Steps 3 and 6 are the evaluations that count.
    result = train_on_one(config, tiny_store, tmp_path)
    assert (result["step"], len(script.weights)) == (6, 4)


@pytest.mark.parametrize(
    "step", [pytest.param(6, id="in mid-run"), pytest.param(18, id="the last")]
)
def test_a_signal_cuts_a_validation_short_and_the_next_start_begins_with_it(
    step: int,
    train_on_one: Train,
    whole: Path,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score, predicted = Validator.score, []

    def interrupted(self: Validator, variables: Any) -> dict[str, float]:
        predicted.append(1)
        if len(predicted) == step // 3:  # every third step is validated
            signal.raise_signal(signal.SIGTERM)
        return score(self, variables)

    monkeypatch.setattr(Validator, "score", interrupted)
    with pytest.raises(SystemExit) as caught:
        train_on_one(config, tiny_store, tmp_path)
    assert caught.value.code == 143
    # Saved, but without what the validation would have brought.
    assert max(of_each("loss", tmp_path)) == step
    assert list(of_each("validation", tmp_path)) == list(range(3, step, 3))
    assert not (tmp_path / "result.json").exists()

    result = train_on_one(config, tiny_store, tmp_path)
    assert result == runs.read_json(whole / "result.json")
    assert (tmp_path / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    best, expected = (axml_jax.load(folder).variables["params"] for folder in (tmp_path, whole))
    jax.tree.map(np.testing.assert_array_equal, best, expected)
    # Complete: the same command validates no more.
    count = len(predicted)
    assert train_on_one(config, tiny_store, tmp_path) == result
    assert len(predicted) == count


@pytest.mark.usefixtures("heard_signals")
def test_a_validation_cut_short_and_the_time_up_is_stopped_by_the_signal(
    train_on_one: Train,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score = Validator.score

    def interrupted(self: Validator, variables: Any) -> dict[str, float]:
        signal.raise_signal(signal.SIGINT)
        return score(self, variables)

    with monkeypatch.context() as patch:
        patch.setattr(Validator, "score", interrupted)
        with pytest.raises(SystemExit) as caught:
            train_on_one(config, tiny_store, tmp_path, max_minutes=0)
    assert caught.value.code == 130
    # Step 1 is saved; the validation was not one that the run has to make up for.
    assert train_on_one(config, tiny_store, tmp_path, max_minutes=0)["step"] == 2
    assert list(of_each("validation", tmp_path)) == [2]


def test_a_signal_after_the_moment_of_saving_is_heeded_a_step_later(
    train_on_one: Train,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Step 1 is neither saved nor validated; the signal comes right after training has asked.
    asks = vars(processes.Agreement)["stop"].fget
    asked: list[str | None] = []

    def stop(self: processes.Agreement) -> str | None:
        asked.append(asks(self))
        if len(asked) == 1:
            signal.raise_signal(signal.SIGTERM)
        return asked[-1]

    monkeypatch.setattr(processes.Agreement, "stop", property(stop))
    with pytest.raises(SystemExit):
        train_on_one(config, tiny_store, tmp_path)
    assert asked == [None, "SIGTERM"]
    latest = tmp_path / "checkpoints" / "latest"
    assert [path.name for path in latest.iterdir()] == ["2"]
