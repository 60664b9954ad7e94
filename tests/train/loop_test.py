"""Whole trainings of a tiny model on real text: what repeats, what stops, what continues."""

import json
import signal
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import axml_jax
from axml_jax import runs
from axml_jax.config import Config
from axml_jax.data.batches import Batch, TrainBatches
from axml_jax.data.builders import pydocs
from axml_jax.data.store import Store, write_store
from axml_jax.errors import ConfigError, InputError
from axml_jax.train import loop
from axml_jax.train.checkpoint import Checkpoints
from axml_jax.train.initial import initial_variables
from axml_jax.train.loop import train
from axml_jax.train.optimizer import make_optimizer
from axml_jax.train.plan import make_plan
from axml_jax.train.state import TrainState, create
from axml_jax.train.step import AXIS, make_train_step, split_rows
from axml_jax.train.validation import Validator

pytestmark = pytest.mark.usefixtures("compilation_cache")


@pytest.fixture
def config(tiny_config: Config) -> Config:
    """Everything that a state can hold: moments, an average, a rate that changes."""
    return busy(tiny_config)


def busy(config: Config) -> Config:
    config.train.warmup_steps = 3
    config.train.decay = "linear"
    config.train.clip_norm = 1.0
    config.train.average_steps = 4
    config.train.evaluations_per_epoch = 2
    config.train.checkpoint_steps = 5
    return config


def on_one_device(config: Config, store: Store, folder: Path, **others: Any) -> dict[str, Any]:
    return train(config, store, folder, devices=jax.local_devices()[:1], **others)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    return [record["loss"] for record in metrics(folder) if "loss" in record]


def validated(folder: Path) -> list[int]:
    return [record["step"] for record in metrics(folder) if "validation" in record]


def contents(folder: Path, config: Config, store: Store) -> dict[str, Any]:
    """All that a run has brought forth, bit for bit, but for timings."""
    plan = make_plan(config, store, jax.local_devices()[:1])
    optimizer = make_optimizer(config.train, plan.total_steps)
    tokens, lengths = jnp.ones((1, 1), jnp.int32), jnp.ones((1,), jnp.int32)

    def initial_state() -> TrainState:
        params = plan.model.init(jax.random.key(0), tokens, lengths)["params"]
        return create(params, optimizer, config.train.average_steps > 0)

    template = jax.eval_shape(initial_state)
    checkpoints = Checkpoints(folder, read_only=True)
    latest = checkpoints.restore_latest(template)
    best = checkpoints.restore_best(template.weights)
    checkpoints.close()
    assert latest is not None
    counters = {name: value for name, value in latest[1].items() if "seconds" not in name}
    return {
        "latest": [leaf.tobytes() for leaf in map(np.asarray, jax.tree.leaves(latest[0]))],
        "counters": counters,
        "best": [leaf.tobytes() for leaf in map(np.asarray, jax.tree.leaves(best[0]))],
        "best counters": best[1],
        "metrics": (folder / "metrics.jsonl").read_bytes(),
        "result": runs.read_json(folder / "result.json"),
    }


@pytest.fixture
def before_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Has a function called with each step's number, from 1, before that step is taken."""
    original = TrainBatches.from_step

    def install(act: Callable[[int], None]) -> None:
        def from_step(self: TrainBatches, step: int, end: int) -> Iterator[Batch]:
            for number, batch in enumerate(original(self, step, end), step + 1):
                act(number)
                yield batch

        monkeypatch.setattr(TrainBatches, "from_step", from_step)

    return install


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_store: Store,
    new_tiny_config: Callable[[], Config],
    compilation_cache: Path,
) -> Path:
    """The uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    on_one_device(busy(new_tiny_config()), tiny_store, folder)
    return folder


def test_a_run_ends_with_all_it_promises(whole: Path) -> None:
    result = runs.read_json(whole / "result.json")
    assert (result["step"], result["epoch"]) == (18, 3.0)
    assert result["ended"] == "all epochs are done"
    assert (result["train_documents"], result["valid_documents"]) == (44, 18)
    by_step = {
        record["step"]: record["validation"] for record in metrics(whole) if "validation" in record
    }
    assert list(by_step) == [3, 6, 9, 12, 15, 18]
    best = max(by_step, key=lambda step: by_step[step]["nDCG@5"])
    assert (result["best_step"], result["validation"]) == (best, by_step[best])
    assert [r["step"] for r in metrics(whole) if "loss" in r] == list(range(2, 19, 2))
    assert losses(whole)[-1] < losses(whole)[0]
    times = [json.loads(line) for line in (whole / "timings.jsonl").read_text().splitlines()]
    assert {"documents_per_second", "validation_seconds", "step"} == {k for t in times for k in t}
    description = runs.read_description(whole)
    assert description["device"] == "1 x cpu"
    assert Path(description["data"]["path"]).is_absolute()


def test_the_same_command_twice_is_the_same_bit_for_bit(
    whole: Path, config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    on_one_device(config, tiny_store, tmp_path)
    assert contents(tmp_path, config, tiny_store) == contents(whole, config, tiny_store)


def test_another_seed_is_another_training(
    whole: Path, config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    config.seed = 1
    config.train.epochs = 3
    on_one_device(config, tiny_store, tmp_path)
    assert all(a != b for a, b in zip(losses(whole), losses(tmp_path), strict=True))


def test_four_devices_train_as_one_does(
    tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    # The last batch of an epoch holds 4 documents: the third and fourth device have none.
    tiny_config.train.epochs = 2
    tiny_config.train.log_steps = 1
    assert tiny_config.model.dropout == 0.5
    one = on_one_device(tiny_config, tiny_store, tmp_path / "one")
    four = train(tiny_config, tiny_store, tmp_path / "four", devices=jax.local_devices())
    assert len(losses(tmp_path / "one")) == 12
    np.testing.assert_allclose(losses(tmp_path / "one"), losses(tmp_path / "four"), rtol=1e-5)
    assert one["validation"] == pytest.approx(four["validation"])


@pytest.mark.parametrize(
    "stops",
    [
        pytest.param([2], id="before any checkpoint"),
        pytest.param([6], id="with an evaluation"),
        pytest.param([7, 8, 17], id="in mid-epoch, again and again"),
        pytest.param([-9], id="killed after an evaluation"),
        pytest.param([-12, 14], id="killed between checkpoints, then stopped"),
    ],
)
def test_interrupted_and_continued_is_uninterrupted_bit_for_bit(
    stops: list[int],
    whole: Path,
    config: Config,
    tiny_store: Store,
    tmp_path: Path,
    before_step: Callable[[Callable[[int], None]], None],
) -> None:
    assert threading.current_thread() is threading.main_thread()
    folder = tmp_path / "run"
    remaining = list(stops)

    def interrupt(step: int) -> None:
        if remaining and step == abs(remaining[0]):
            if remaining.pop(0) < 0:
                raise RuntimeError("killed")
            signal.raise_signal(signal.SIGTERM)

    before_step(interrupt)
    for stop in stops:
        with pytest.raises(RuntimeError if stop < 0 else SystemExit) as caught:
            on_one_device(config, tiny_store, folder)
        assert stop < 0 or caught.value.code == 143  # type: ignore[attr-defined]
        assert not (folder / "result.json").exists()
    on_one_device(config, tiny_store, folder)
    assert remaining == []
    assert contents(folder, config, tiny_store) == contents(whole, config, tiny_store)


def test_a_run_killed_at_its_very_beginning_begins_again(
    tiny_config: Config, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_config.train.epochs = 1

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(tiny_store.vocabulary, "save", die)
        with pytest.raises(RuntimeError, match="killed"):
            on_one_device(tiny_config, tiny_store, tmp_path)
    on_one_device(tiny_config, tiny_store, tmp_path)
    assert axml_jax.load(tmp_path).label_names == tiny_store.label_names[:8]


def test_a_complete_run_is_left_as_it_is(
    whole: Path, config: Config, tiny_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(whole, config, tiny_store)
    result = on_one_device(config, tiny_store, whole)
    assert result == before["result"]
    assert contents(whole, config, tiny_store) == before
    assert "this run is complete: all epochs are done" in capsys.readouterr().err


def test_another_configuration_or_folder_in_use_is_refused(
    whole: Path, config: Config, tiny_store: Store
) -> None:
    with runs.locked(whole), pytest.raises(ConfigError, match="another process is training"):
        on_one_device(config, tiny_store, whole)
    config.model.hidden = 5
    config.train.decay = "cosine"
    with pytest.raises(ConfigError, match=r"hidden: 4 there, 5 here.*decay: 'linear' there"):
        on_one_device(config, tiny_store, whole)


def test_a_mistake_leaves_no_trace(config: Config, tiny_store: Store, tmp_path: Path) -> None:
    config.data.train_documents = 1000
    with pytest.raises(ConfigError, match="only 44 documents"):
        on_one_device(config, tiny_store, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_is_refused(config: Config, tiny_store: Store, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="not a run folder"):
        on_one_device(config, tiny_store, tmp_path)


def test_time_that_is_up_ends_a_run_which_then_continues(
    whole: Path, config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    result = on_one_device(config, tiny_store, tmp_path, max_minutes=0)
    assert "--max_minutes is used up" in result["ended"]
    assert result["step"] == result["best_step"] == 1
    assert result["validation"]["P@1"] >= 0
    assert validated(tmp_path) == [1]
    # The weights are there to be used.
    assert len(axml_jax.load(tmp_path).predict(["flags"])[0]) == 5

    assert on_one_device(config, tiny_store, tmp_path, max_minutes=0)["step"] == 2
    result = on_one_device(config, tiny_store, tmp_path)
    assert (result["step"], result["ended"]) == (18, "all epochs are done")
    assert validated(tmp_path) == [1, 2, 3, 6, 9, 12, 15, 18]
    # What was trained is the same; two validations more were looked at.
    assert losses(tmp_path) == losses(whole)


class Script:
    """Stands in for validation: scores from a list, a clock, the weights it was shown."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
        self.scores, self.seconds, self.now = scores, 0.0, 1000.0
        self.weights: list[Any] = []
        monkeypatch.setattr(Validator, "score", lambda _, variables: self.score(variables))
        clock = types.SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(loop, "time", clock)

    def score(self, variables: Any) -> dict[str, float]:
        self.now += self.seconds
        self.weights.append(jax.tree.map(np.array, variables["params"]))
        score = self.scores[len(self.weights) - 1]
        return dict.fromkeys(("P@1", "P@3", "P@5", "nDCG@5"), score)


def test_early_stopping_keeps_the_best_weights(
    config: Config, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.train.patience = 2
    script = Script(monkeypatch, [10, 5, 30, 30, 20, 99])
    result = on_one_device(config, tiny_store, tmp_path)
    # An equal score is no better one.
    assert (result["step"], result["best_step"]) == (15, 9)
    assert "nDCG@5 on validation has not risen for 2 evaluations" in result["ended"]
    assert result["validation"]["nDCG@5"] == 30
    kept = axml_jax.load(tmp_path).variables["params"]
    jax.tree.map(np.testing.assert_array_equal, kept, script.weights[2])
    with pytest.raises(AssertionError):
        jax.tree.map(np.testing.assert_array_equal, kept, script.weights[4])
    # Complete: the same command does nothing more.
    assert on_one_device(config, tiny_store, tmp_path) == result
    assert len(script.weights) == 5


def test_patience_of_zero_never_stops(
    config: Config, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.train.patience = 0
    Script(monkeypatch, [10, 9, 8, 7, 6, 5])
    result = on_one_device(config, tiny_store, tmp_path)
    assert (result["step"], result["best_step"]) == (18, 3)


def test_time_is_kept_for_the_last_validation(
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
    result = on_one_device(config, tiny_store, tmp_path, max_minutes=2)
    # Steps 1 to 3 and a validation: 55 s.  After step 5, at 75 s, there is time for the next;
    # after step 6, at 85 s, comes the second validation, to 110 s; no time for a third.
    assert result["step"] == 6
    assert script.now == 1110.0


def test_a_validation_that_time_brought_about_does_not_use_up_patience(
    config: Config, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.train.patience = 2
    script = Script(monkeypatch, [10, 5, 4, 3, 2])
    for step in (1, 2):
        assert on_one_device(config, tiny_store, tmp_path, max_minutes=-1)["step"] == step
    # Steps 3 and 6 are the evaluations that count.
    result = on_one_device(config, tiny_store, tmp_path)
    assert (result["step"], len(script.weights)) == (6, 4)


def test_without_validation_the_newest_weights_are_kept(
    tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    tiny_config.data.valid_fraction = 0.0
    tiny_config.train.epochs = 1
    result = on_one_device(tiny_config, only(tiny_store, "train"), tmp_path)
    assert (result["best_step"], result["valid_documents"]) == (6, 0)
    assert result["validation"] == {}
    assert validated(tmp_path) == []
    state = contents(tmp_path, tiny_config, tiny_store)
    assert state["counters"]["finished"] == "all epochs are done"
    assert set(state["best"]) <= set(state["latest"])


def only(store: Store, split: str, vectors: np.ndarray | None = None) -> Store:
    return Store(
        store.path,
        store.description,
        store.vocabulary,
        store.label_names,
        {split: store.splits[split]},
        store.vectors if vectors is None else vectors,
    )


def test_a_drawn_validation_part_is_validated_on(
    tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    tiny_config.data.valid_fraction = 0.2
    tiny_config.train.epochs = 1
    result = on_one_device(tiny_config, only(tiny_store, "train"), tmp_path)
    assert (result["train_documents"], result["valid_documents"]) == (35, 9)
    assert result["step"] == 5


def test_a_loss_that_is_no_number_ends_the_run(
    tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    broken = only(tiny_store, "train", np.full(tiny_store.vectors.shape, np.nan, np.float32))  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="loss is nan by step 2: training has diverged"):
        on_one_device(tiny_config, broken, tmp_path)
    # Neither a state nor a record of it is kept.
    assert not Checkpoints(tmp_path, read_only=True).has_latest()
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_frozen_word_vectors_stay_and_have_no_moments(
    tiny_config: Config, tiny_store: Store, tmp_path: Path
) -> None:
    tiny_config.model.train_words = False
    tiny_config.train.epochs = 1
    on_one_device(tiny_config, tiny_store, tmp_path)
    table = (len(tiny_store.vocabulary), 8)
    latest = next((tmp_path / "checkpoints" / "latest").iterdir())
    assert "vectors" not in (latest / "arrays" / "_METADATA").read_text()
    # The run folder alone has them.
    model = axml_jax.load(tmp_path)
    vectors = model.variables["constants"]["words"]["vectors"]
    assert vectors.shape == table
    np.testing.assert_array_equal(vectors, tiny_store.vectors)
    assert all(leaf.shape != table for leaf in jax.tree.leaves(model.variables["params"]))


def test_one_batch_of_40_real_documents_is_learned_by_heart(tmp_path: Path) -> None:
    splits, _ = pydocs.build(files=pydocs.installed_files(("optax",)))
    documents = splits["train"][:40]
    store = write_store(
        tmp_path / "store", {"train": documents, "valid": documents}, source="", vectors="none"
    )
    config = Config()
    config.data.max_tokens = 64
    config.model.word_vectors = "random"
    config.model.word_width = 16
    config.model.hidden = 16
    config.model.fully_connected = (16,)
    config.model.dropout = 0.0
    config.train.learning_rate = 0.02
    plan = make_plan(config, store, jax.local_devices()[:1])
    assert plan.batches.steps_per_epoch == 1
    params = initial_variables(plan.model, jax.random.key(0), store, config, -3.0)["params"]
    optimizer = make_optimizer(config.train, 1)
    step = jax.pmap(
        make_train_step(plan.model, optimizer, steps_per_epoch=1, average_steps=0),
        axis_name=AXIS,
        in_axes=(None, None, 0, None),
        out_axes=None,
        devices=plan.devices,
    )
    state = create(params, optimizer, averaged=False)
    (batch,) = plan.batches.from_step(0, 1)
    validator = Validator(config, store, plan.parts, plan.model, plan.devices)
    sizes = np.diff(store.splits["train"].label_offsets)
    most = 100 * np.minimum(sizes, 5).mean() / 5
    before = validator.score({"params": state.params})["P@5"]
    for _ in range(150):
        state, _loss = step(state, {}, split_rows(batch, 1), jax.random.key(0))
    after = validator.score({"params": state.params})
    assert before < 0.5 * most
    assert after["P@5"] == pytest.approx(most)
    assert after["nDCG@5"] == pytest.approx(100)
