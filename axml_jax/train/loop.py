"""The training loop: from a store and a configuration to the best weights in a run folder.

A ladder of small steps: choose the parts, build the model, open the run, continue where
it stopped, train, validate, keep the best.  The same command continues an interrupted
run; on the CPU the outcome is the same bit for bit.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from axml_jax import metrics, runs
from axml_jax.config import Config
from axml_jax.data.batches import TrainBatches, bucket_lengths
from axml_jax.data.store import Store
from axml_jax.errors import ConfigError, InputError
from axml_jax.predict import Predictor
from axml_jax.progress import bar, say
from axml_jax.train import initial
from axml_jax.train import state as state_lib
from axml_jax.train.checkpoint import Checkpoints
from axml_jax.train.optimizer import make_optimizer
from axml_jax.train.step import AXIS, make_train_step, split_rows

EVALUATION_KS = (1, 3, 5)
SELECTION = "nDCG@5"


@dataclasses.dataclass
class Parts:
    """Which documents train and which validate."""

    train: np.ndarray  # int64, documents of the split "train"
    valid_split: str
    valid: np.ndarray  # int64, documents of `valid_split`; empty without validation


@dataclasses.dataclass
class Counters:
    """What the loop itself has to remember; saved with every checkpoint."""

    best: float = -1.0
    best_step: int = 0
    since_best: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    metrics_bytes: int = 0
    finished: str = ""


def choose_parts(config: Config, store: Store) -> Parts:
    """Splits off the validation part by seed where the store has no split "valid"."""
    if "train" not in store.splits:
        raise InputError(
            f"the store has no split 'train'; it has {', '.join(sorted(store.splits))}.",
            file=store.path,
        )
    # 0x7661 and 0x7472 keep these draws apart from the epochs' orders, drawn from (seed, epoch).
    documents = np.arange(len(store.splits["train"]))
    valid_split, valid = "train", documents[:0]
    if "valid" in store.splits:
        valid_split, valid = "valid", np.arange(len(store.splits["valid"]))
    elif config.data.valid_fraction > 0:
        order = np.random.default_rng((config.seed, 0x7661, 0)).permutation(documents)
        count = max(1, round(config.data.valid_fraction * len(documents)))
        valid, documents = np.sort(order[:count]), np.sort(order[count:])
    wanted = config.data.train_documents
    if wanted > len(documents):
        raise ConfigError(
            f"config.data.train_documents is {wanted}, but only {len(documents)} documents "
            "are there to train on."
        )
    if wanted:
        draw = np.random.default_rng((config.seed, 0x7472, 0)).permutation(documents)
        documents = np.sort(draw[:wanted])
    if len(documents) == 0:
        raise InputError("no document is left to train on.", file=store.path)
    return Parts(train=documents, valid_split=valid_split, valid=valid)


def train(
    config: Config,
    store: Store,
    run_folder: str | pathlib.Path,
    *,
    max_minutes: float | None = None,
    devices: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """Trains a model, or continues the run that is in the folder.

    Args:
      config: The experiment.
      store: Encoded documents.
      run_folder: Where everything goes; made if missing.
      max_minutes: End training, with the best weights and their validation done, by then.
      devices: The devices to train on; all local ones by default.

    Returns:
      How it ended: {"step", "epoch", "ended", "best_step", "validation": metrics}.

    Raises:
      ConfigError: settings that cannot be with this data or these devices, or a run folder
        of another configuration.
      InputError: a store or folder that cannot be used.
    """
    begin = time.monotonic()
    config.validate()
    devices = list(devices or jax.local_devices())
    if config.data.batch_size % len(devices):
        raise ConfigError(
            f"config.data.batch_size is {config.data.batch_size}, which {len(devices)} devices "
            f"cannot share evenly; the next that they can is "
            f"{-(-config.data.batch_size // len(devices)) * len(devices)}."
        )
    description = {
        "path": str(store.path),
        "fingerprint": store.fingerprint,
        "source": store.description.get("source"),
    }
    folder, continued = runs.open_run(run_folder, config.to_dict(), description)
    with runs.locked(folder):
        deadline = None if max_minutes is None else begin + 60 * max_minutes
        session = _Session(config, store, folder, devices, deadline)
        try:
            if not continued:
                session.begin_run(description)
            return session.run()
        finally:
            session.close()


class _Session:
    """One process's share of a run."""

    def __init__(
        self,
        config: Config,
        store: Store,
        folder: pathlib.Path,
        devices: list[Any],
        deadline: float | None,
    ) -> None:
        self.config, self.store, self.folder = config, store, folder
        self.devices, self.deadline = devices, deadline
        self.parts = choose_parts(config, store)
        split = store.splits["train"]
        data = config.data
        self.buckets = bucket_lengths(
            split.lengths[self.parts.train], data.max_tokens, data.length_buckets
        )
        self.batches = TrainBatches(
            split,
            self.parts.train,
            num_labels=store.num_train_labels,
            batch_size=data.batch_size,
            pool_batches=data.pool_batches,
            buckets=self.buckets,
            seed=config.seed,
        )
        self.steps_per_epoch = self.batches.steps_per_epoch
        self.total_steps = config.train.epochs * self.steps_per_epoch
        self.model = initial.make_model(
            config,
            len(store.vocabulary),
            store.num_train_labels,
            initial.word_width(config, store),
        )
        self.checkpoints = Checkpoints(folder)
        self.writer: runs.MetricWriter | None = None
        self.evaluation_seconds = 0.0
        self.predictor: Predictor | None = None
        init_key, self.dropout_key = jax.random.split(jax.random.key(config.seed))
        self.init_key = init_key

    def close(self) -> None:
        self.checkpoints.close()
        if self.writer is not None:
            self.writer.close()

    def begin_run(self, description: dict[str, Any]) -> None:
        """Writes what prediction needs beside the weights; run.json last makes it a run."""
        self.store.vocabulary.save(self.folder / "words.json")
        split = self.store.splits["train"]
        known = self.store.num_train_labels
        runs.write_json(
            self.folder / "labels.json",
            {
                "names": self.store.label_names[:known],
                "train_counts": [int(count) for count in self.store.label_counts[:known]],
                "train_documents": len(split),
            },
        )
        runs.describe_run(
            self.folder,
            self.config.to_dict(),
            {**description, "word_width": self.model.width},
        )

    def initial_state(self) -> tuple[Any, state_lib.TrainState, Any]:
        """The optimizer, the state before the first step, and the frozen tables."""
        store, parts = self.store, self.parts
        truth = store.splits["train"].label_matrix(store.num_train_labels)[parts.train]
        bias = initial.mean_log_odds(truth.nnz, *truth.shape)
        variables = initial.initial_variables(self.model, self.init_key, store, self.config, bias)
        optimizer = make_optimizer(self.config.train, self.total_steps)
        if self.config.model.query_init == "label_state" and not self.checkpoints.has_latest():
            split = store.splits["train"]
            variables["params"]["labels"]["queries"] = initial.label_state_queries(
                self.model,
                variables,
                [split.document(int(i)) for i in parts.train],
                truth,
                buckets=self.buckets,
                batch_size=self.config.data.batch_size,
            )
        params = variables.pop("params")
        averaged = self.config.train.average_steps > 0
        return optimizer, state_lib.create(params, optimizer, averaged), variables

    def run(self) -> dict[str, Any]:
        """Trains from wherever the run stands to its end; returns how it ended."""
        optimizer, state, constants = self.initial_state()
        self.checkpoints.save_constants(constants)
        counters = Counters()
        restored = self.checkpoints.restore_latest(state)
        if restored is not None:
            state, saved = restored
            counters = Counters(**saved)
            say(f"continuing {self.folder} at step {int(state.step):,} of {self.total_steps:,}")
        if counters.finished:
            say(f"this run is complete: {counters.finished}. Name another --run for a new one.")
            return self._result(state, counters)
        start = int(state.step)
        self.writer = runs.MetricWriter(self.folder, counters.metrics_bytes, start)
        self.predictor = Predictor(
            self.model,
            None,
            max_tokens=self.config.data.max_tokens,
            batch_size=max(64, self.config.data.batch_size),
            devices=self.devices,
        )
        # in_axes and out_axes None: the state is one replicated value, not a stack of copies.
        step_fn = jax.pmap(
            make_train_step(
                self.model,
                optimizer,
                steps_per_epoch=self.steps_per_epoch,
                average_steps=self.config.train.average_steps,
            ),
            axis_name=AXIS,
            in_axes=(None, None, 0, None),
            out_axes=(None, None),
            devices=self.devices,
            donate_argnums=(0,),
        )
        with runs.StopRequest() as stop:
            state = self._steps(step_fn, state, constants, counters, start, stop)
        return self._result(state, counters)

    def _steps(
        self,
        step_fn: Any,
        state: state_lib.TrainState,
        constants: Any,
        counters: Counters,
        start: int,
        stop: runs.StopRequest,
    ) -> state_lib.TrainState:
        settings = self.config.train
        documents = len(self.parts.train)
        losses: list[jax.Array] = []
        last = time.monotonic()

        def settle() -> None:
            """Brings the losses of finished steps to the host, in order."""
            for loss in losses:
                counters.loss_sum += float(loss)
            counters.loss_steps += len(losses)
            losses.clear()

        with bar(
            "training", settings.epochs * documents, "documents", self._documents_at(start)
        ) as advance:
            for batch in self.batches.from_step(start, self.total_steps):
                state, loss = step_fn(
                    state, constants, split_rows(batch, len(self.devices)), self.dropout_key
                )
                losses.append(loss)
                step = start = start + 1
                if len(losses) >= 8:
                    # Without a limit the host would run ahead of a slow device without end.
                    losses[-8].block_until_ready()
                advance(int(batch.weights.sum()))
                out_of_time = self.deadline is not None and (
                    time.monotonic() + self.evaluation_seconds > self.deadline
                )
                if step % settings.log_steps == 0 or step == self.total_steps:
                    settle()
                    mean_loss = counters.loss_sum / counters.loss_steps
                    now = time.monotonic()
                    rate = counters.loss_steps * self.config.data.batch_size / (now - last)
                    assert self.writer is not None
                    self.writer.write(
                        step,
                        {"epoch": step / self.steps_per_epoch, "loss": mean_loss},
                        {"documents_per_second": rate},
                    )
                    advance(0, f"loss {mean_loss:.6f} nDCG@5 {max(counters.best, 0):.2f}")
                    counters.loss_sum, counters.loss_steps, last = 0.0, 0, now
                if self._evaluates_after(step) or out_of_time:
                    settle()
                    ended = self._evaluate(state, constants, counters, step)
                    if not ended and out_of_time:
                        ended = "the time given by --max_minutes is used up"
                    if not ended and step == self.total_steps:
                        ended = "all epochs are done"
                    # Time alone does not finish a run: the same command may continue it.
                    counters.finished = "" if out_of_time and step < self.total_steps else ended
                    self._save(state, counters)
                    last = time.monotonic()
                    if ended:
                        say(f"training ends at step {step:,}: {ended}")
                        return state
                elif stop.name or step % settings.checkpoint_steps == 0:
                    settle()
                    self._save(state, counters)
                if stop.name:
                    say(
                        f"stopped by {stop.name} at step {step:,}, saved in {self.folder}; "
                        "the same command continues."
                    )
                    raise SystemExit(130 if stop.name == "SIGINT" else 143)
        return state

    def _evaluates_after(self, step: int) -> bool:
        per_epoch = self.config.train.evaluations_per_epoch
        within = (step - 1) % self.steps_per_epoch + 1
        # Evenly spaced, the last exactly at the epoch's end.
        return within in {
            round(i * self.steps_per_epoch / per_epoch) for i in range(1, per_epoch + 1)
        }

    def _evaluate(
        self, state: state_lib.TrainState, constants: Any, counters: Counters, step: int
    ) -> str:
        """Validates, keeps the weights if they are the best; returns why to end, or ""."""
        assert self.writer is not None and self.predictor is not None
        if len(self.parts.valid) == 0:
            # Nothing to select by: the newest weights are the ones to keep.
            counters.best_step = step
            self.checkpoints.save_best(step, state.weights, {"step": step, "metrics": {}})
            return ""
        begin = time.monotonic()
        self.predictor.variables = {"params": state.weights, **constants}
        split = self.store.splits[self.parts.valid_split]
        k = min(max(EVALUATION_KS), self.store.num_train_labels)
        _, label_ids = self.predictor.top_k_arrays(
            (split.document(int(i)) for i in self.parts.valid), k
        )
        truth = split.label_matrix(len(self.store.label_names))[self.parts.valid]
        values = metrics.evaluate(label_ids, truth, EVALUATION_KS)
        self.evaluation_seconds = time.monotonic() - begin
        self.writer.write(
            step,
            {"epoch": step / self.steps_per_epoch, "validation": values},
            {"validation_seconds": self.evaluation_seconds},
        )
        epoch = step / self.steps_per_epoch
        shown = "  ".join(f"{name} {values[name]:.2f}" for name in ("P@1", "P@3", "P@5", SELECTION))
        better = values[SELECTION] > counters.best
        say(f"epoch {epoch:.2f}  validation  {shown}{'  (best)' if better else ''}")
        if better:
            counters.best, counters.best_step, counters.since_best = values[SELECTION], step, 0
            self.checkpoints.save_best(step, state.weights, {"step": step, "metrics": values})
            return ""
        counters.since_best += 1
        if self.config.train.patience and counters.since_best >= self.config.train.patience:
            return f"{SELECTION} on validation has not risen for {counters.since_best} evaluations"
        return ""

    def _save(self, state: state_lib.TrainState, counters: Counters) -> None:
        assert self.writer is not None
        counters.metrics_bytes = self.writer.flush()
        self.checkpoints.save_latest(state, dataclasses.asdict(counters))

    def _documents_at(self, step: int) -> int:
        epoch, index = divmod(step, self.steps_per_epoch)
        documents = len(self.parts.train)
        return epoch * documents + min(index * self.config.data.batch_size, documents)

    def _result(self, state: state_lib.TrainState, counters: Counters) -> dict[str, Any]:
        _, kept = self.checkpoints.restore_best(state.weights)
        result = {
            "step": int(state.step),
            "epoch": int(state.step) / self.steps_per_epoch,
            "ended": counters.finished or "interrupted",
            "best_step": kept["step"],
            "train_documents": len(self.parts.train),
            "valid_documents": len(self.parts.valid),
            "validation": kept["metrics"],
        }
        runs.write_json(self.folder / "result.json", result)
        return result
