"""The training loop: from a store and a configuration to the best weights in a run folder.

A ladder of small steps: plan, open the run, continue where it stopped, train, validate, keep the
best.  The same command continues an interrupted run; on the CPU with the same bits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from axml_jax import process_age, run_names, runs
from axml_jax.config import Config
from axml_jax.data.batches import Batch
from axml_jax.data.prefetch import prefetch
from axml_jax.data.store import Store
from axml_jax.progress import bar, say, silenced
from axml_jax.stopping import StopRequest, in_script, over
from axml_jax.train import initial, processes, room
from axml_jax.train.checkpoint import SharedCheckpoints
from axml_jax.train.extending import extended_values, read_origin
from axml_jax.train.opening import open_folder
from axml_jax.train.optimizer import make_optimizer
from axml_jax.train.pace import Pace
from axml_jax.train.plan import Plan, make_plan
from axml_jax.train.state import Counters, Params, TrainState
from axml_jax.train.step import Measures, make_train_step
from axml_jax.train.validation import SELECTION, CutShortError, Validator
from axml_jax.train.watch import AHEAD, Watch

_OUT_OF_TIME = "the time given by --max_minutes is used up; the same command continues"


def train(
    config: Config,
    store: Store,
    run_folder: str | pathlib.Path,
    *,
    max_minutes: float | None = None,
    devices: Sequence[Any] | None = None,
    init_from: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Trains a model, or continues the run that is in the folder.

    Args:
      config: The experiment.
      store: Encoded documents.
      run_folder: Where everything goes; made if missing.
      max_minutes: End training, with the best weights and their validation done, by then.
      devices: The devices to train on, the same list in every process, ordered by process; all
        of all processes by default.
      init_from: A run whose best weights to begin with; see `extending`.

    Returns:
      How it ended: {"step", "epoch", "ended", "best_step", "validation": metrics}.

    Raises:
      ConfigError: settings that cannot be with this data or these devices, a run folder
        of another configuration or in use, or a loss or gradient that is not finite.
      InputError: a store or folder that cannot be used, or checkpoints all of which are damaged.
      OSError: the disk is full, or takes nothing for another reason.
      SystemExit: SIGTERM, Ctrl-C or SIGHUP came; the state is saved.
    """
    begin = time.monotonic()
    vectors = store.description.get("vectors")
    chosen = list(devices or processes.all_devices())
    processes.check_same(
        configuration=config.to_dict(),
        store=[store.fingerprint, vectors and vectors["sha256"]],
        devices=[device.id for device in chosen],
        init_from=init_from is not None,
    )
    plan = make_plan(config, store, chosen, read_origin(init_from, config, store))
    folder = pathlib.Path(run_folder)
    with contextlib.ExitStack() as stack:
        if not processes.is_first():
            stack.enter_context(silenced())
        processes.on_first(lambda: open_folder(folder, plan, stack))
        session = _Session(plan, folder, begin, max_minutes)
        stack.callback(session.close)
        return session.run()


class _Session:
    """One process's share of a run; what stands in the folder is process 0's."""

    def __init__(
        self, plan: Plan, folder: pathlib.Path, begin: float, max_minutes: float | None
    ) -> None:
        self.plan, self.folder = plan, folder
        self.pace = Pace(begin, max_minutes)
        self.settings = plan.config.train
        self.steps_per_epoch = plan.batches.steps_per_epoch
        self.devices = processes.local(plan.devices)
        self.checkpoints = SharedCheckpoints(folder)
        self.counters = Counters()
        self.writer: runs.MetricWriter | runs.NoWriter | None = None
        self.validator: Validator | None = None
        self.stop = StopRequest()
        self.optimizer = make_optimizer(plan.config, plan.total_steps, plan.layout.global_norm)
        self.init_key, self.dropout_key = jax.random.split(jax.random.key(plan.config.seed))
        self.logged = ""  # what the last record says
        self.lag = 0  # steps between the wish to stop and its fulfilment

    def close(self) -> None:
        self.checkpoints.close()
        if self.writer is not None:
            self.writer.close()

    def run(self) -> dict[str, Any]:
        """Trains from wherever the run stands to its end; returns how it ended."""
        plan = self.plan
        begun = self.checkpoints.has_latest()
        if processes.is_first():
            (run_names.mend_names if begun else run_names.write_names)(self.folder, plan.store)
        # One reads documents for label states; the others get its values below.
        with plan.layout.workspace():
            reads = not begun and processes.is_first()
            values = extended_values if plan.origin else initial.initial_values
            params, constants = values(plan, self.init_key, reads)
            state = self.optimizer.start(params)
            del params  # the state holds them; a second copy would stay for the whole run
            self.checkpoints.save_constants(constants)
            restored = self.checkpoints.restore_latest(state)
        if restored is not None:
            state, saved = restored
            self.counters = Counters(**saved)
        del restored  # as above
        state, constants = processes.share((state, constants))
        if begun:
            say(f"continuing {self.folder} at step {int(state.step):,} of {plan.total_steps:,}")
        else:
            for note in plan.notes():
                say(note)
        start = int(state.step)
        if processes.is_first():
            self.writer = runs.MetricWriter(self.folder, self.counters.metrics_bytes, start)
            room.tell(self.folder, state)
        else:
            self.writer = runs.NoWriter()
        kept = self.counters.best_step
        lost = begun and self.checkpoints.mend_best(kept)
        if self.counters.finished:
            say(f"this run is complete: {self.counters.finished}. Name another for a new one.")
            if not lost:
                return self._result(start, self.counters.finished)
        if lost:
            whose = (
                f"those of step {start:,}" if self.counters.finished else "the next validation's"
            )
            say(f"the best weights, of step {kept:,}, are lost; {whose} are kept in their place")
            self.counters.best, self.counters.since_best = -1.0, 0
        self.watch = Watch(plan, self.counters, self._where(start))
        if len(plan.parts.valid):
            self.validator = Validator(
                *(plan.config, plan.store, plan.parts, plan.model, self.devices, plan.layout),
                between=self._give_way,
            )
        layout = plan.layout
        state, constants, self.dropout_key = layout.placed(
            (state, constants, self.dropout_key), self.devices
        )
        if self.counters.finished:
            self._keep_anew(state, constants, start)
            return self._result(start, self.counters.finished)
        step = layout.compiled(
            make_train_step(
                plan.model, self.optimizer, steps_per_epoch=self.steps_per_epoch, layout=layout
            ),
            plan.devices,
        )
        padding = plan.padding
        say(
            f"{100 * padding.share:.0f} of 100 tokens computed are padding "
            f"({100 * padding.share_without_buckets:.0f} without buckets)"
        )
        total = self.settings.epochs * len(plan.parts.train)
        with (
            self.stop as stop,
            bar("training", total, "documents", self._documents_at(start), "compiling") as advance,
            prefetch(plan.batches.from_step(start, plan.total_steps), self._put) as batches,
        ):
            agreed = processes.Agreement(stop, plan.devices, AHEAD)
            self.lag = agreed.lag
            done, ended = self._steps(step, state, constants, start, agreed, advance, batches)
        return self._result(done, ended)

    def _steps(
        self,
        step_fn: Callable[..., tuple[TrainState, Measures]],
        state: TrainState,
        constants: Any,
        step: int,
        agreed: processes.Agreement,
        advance: Callable[..., None],
        batches: Iterator[Batch],
    ) -> tuple[int, str]:
        """Takes the steps that are left; returns how many were done in all, and why it ended."""
        total = self.plan.total_steps
        first = step + 1
        self.pace.start_interval()
        ended = self._keep(state, constants, step, agreed) if self.counters.due else ""
        while not ended:  # `_keep` says so after the last batch at the latest
            state, measures = step_fn(state, constants, next(batches), self.dropout_key)
            step += 1
            self.watch.add(step, measures)
            documents = self._documents_at(step) - self._documents_at(step - 1)
            self.pace.count(documents)
            logs = step % self.settings.log_steps == 0 or step == total
            if logs:
                self._log(step)
            advance(documents, self._note())
            if step == first:
                self._tell_of_first_step(step, measures.loss)
            agreed.exchange(self._out_of_time())
            ended = self._keep(state, constants, step, agreed)
        advance(0, self._note())
        return step, ended

    def _keep(
        self, state: TrainState, constants: Any, step: int, agreed: processes.Agreement
    ) -> str:
        """Validates and saves where it is time to; returns why training ends here, or ""."""
        scheduled, ended, counters = self._evaluates_after(step), "", self.counters
        validates = scheduled or agreed.late
        if validates:
            self._settle(state, step)
            ended = self._evaluate(state, constants, step, scheduled)
            if not ended and step == self.plan.total_steps and not counters.due:
                ended = "all epochs are done"
            counters.finished = ended
        stop = agreed.stop  # once: a signal that comes later finds nothing saved yet
        if validates or stop or step % self.settings.checkpoint_steps == 0:
            self._settle(state, step)
            self._save(state)
        if validates:
            if not (ended or stop) and processes.on_first(self._out_of_time):
                ended = _OUT_OF_TIME
            if ended:
                say(f"training ends at step {step:,}: {ended}")
                return ended
            agreed.forget_late()
            self.pace.start_interval()
        if stop:
            say(
                f"stopped by {stop} at step {step:,}, saved in {self.folder}; "
                "the same command continues."
            )
            status = 128 + signal.Signals[stop]
            over(status)
            raise SystemExit(status)
        return ""

    def _give_way(self) -> None:
        """Cuts a validation short for a signal; with several processes, all would have to know."""
        if self.stop.name and jax.process_count() == 1:
            raise CutShortError

    def _tell_of_first_step(self, step: int, loss: jax.Array) -> None:
        """Says how long the start took: in a script, with its imports."""
        loss.block_until_ready()
        seconds = process_age.seconds() if in_script() else self.pace.seconds()
        self.pace.start_interval()  # it holds no compilation of the step's
        say(f"first step done {seconds:.1f} s after the start")
        assert self.writer is not None
        self.writer.write_timings(step, {"seconds_to_first_step": seconds})

    def _put(self, batch: Batch) -> Batch:
        """Puts this process's rows of a batch on its devices."""
        return self.plan.layout.dealt(batch, self.devices)

    def _settle(self, state: TrainState, step: int) -> None:
        """Waits for the steps done; what is kept of them from now on is finite."""
        self.watch.settle()
        self.watch.require_finite(state, step)

    def _where(self, step: int) -> str:
        """Says where the state of `step` is kept."""
        if step == 0:
            return "There is no checkpoint before it."
        return f"The last good checkpoint is {self.folder / 'checkpoints' / 'latest' / str(step)}."

    def _log(self, step: int) -> None:
        """Writes the mean loss since the last record."""
        self.watch.settle()
        counters = self.counters
        record, self.logged = {"epoch": step / self.steps_per_epoch}, "no step of a finite loss"
        if counters.loss_steps:
            record["loss"] = counters.loss_sum / counters.loss_steps
            self.logged = f"loss {record['loss']:.6f}"
        if counters.skipped_steps:
            record["skipped_steps"] = counters.skipped_steps
        counters.loss_sum, counters.loss_steps = 0.0, 0
        assert self.writer is not None
        self.writer.write(step, record, {"documents_per_second": 1 / self.pace.end_interval()})

    def _note(self) -> str:
        """What stands at the end of the progress bar."""
        best = f"best {SELECTION} {self.counters.best:.2f}" if self.counters.best >= 0 else ""
        return "  ".join(filter(None, (self.logged, best)))

    def _out_of_time(self) -> bool:
        # Steps that are taken until the other processes know.
        documents = self.lag * self.plan.batch_size
        seconds = self.counters.evaluation_seconds
        return self.pace.is_up(seconds, len(self.plan.parts.valid), documents)

    def _evaluates_after(self, step: int) -> bool:
        per_epoch = self.settings.evaluations_per_epoch
        within = (step - 1) % self.steps_per_epoch + 1
        # Evenly spaced, the last exactly at the epoch's end.
        return within in {
            round(i * self.steps_per_epoch / per_epoch) for i in range(1, per_epoch + 1)
        }

    def _evaluate(self, state: TrainState, constants: Any, step: int, scheduled: bool) -> str:
        """Validates, keeps the weights if they are the best; returns why to end, or ""."""
        counters = self.counters
        weights = self.optimizer.weights(state)
        if self.validator is None:
            # Nothing to select by: the newest weights are the ones to keep.
            counters.best_step = step
            self._save_best(step, weights, {})
            return ""
        begin = time.monotonic()
        counters.due = False
        try:
            values = self.validator.score({"params": weights, **constants})
        except CutShortError:
            counters.due = scheduled
            return ""
        counters.evaluation_seconds = time.monotonic() - begin
        epoch = step / self.steps_per_epoch
        assert self.writer is not None
        self.writer.write(
            step,
            {"epoch": epoch, "validation": values},
            {"validation_seconds": counters.evaluation_seconds},
        )
        better = values[SELECTION] > counters.best
        shown = "  ".join(f"{name} {values[name]:.2f}" for name in ("P@1", "P@3", "P@5", SELECTION))
        say(f"epoch {epoch:.2f}  validation  {shown}{'  (best)' if better else ''}")
        if better:
            counters.best, counters.best_step, counters.since_best = values[SELECTION], step, 0
            self._save_best(step, weights, values)
            return ""
        # A validation that only time brought about must not use up the patience.
        counters.since_best += scheduled
        if scheduled and 0 < self.settings.patience <= counters.since_best:
            return f"{SELECTION} on validation has not risen for {counters.since_best} evaluations"
        return ""

    def _keep_anew(self, state: TrainState, constants: Any, step: int) -> None:
        """Keeps the last weights of a complete run that has lost its best ones."""
        weights = self.optimizer.weights(state)
        variables = {"params": weights, **constants}
        self._save_best(step, weights, self.validator.score(variables) if self.validator else {})

    def _save_best(self, step: int, weights: Params, values: dict[str, float]) -> None:
        whole = self.plan.layout.gathered(weights)
        self.checkpoints.save_best(step, whole, {"step": step, "metrics": values})

    def _save(self, state: TrainState) -> None:
        assert self.writer is not None
        self.counters.metrics_bytes = self.writer.flush()
        self.checkpoints.save_latest(
            self.plan.layout.gathered(state), dataclasses.asdict(self.counters)
        )
        self.watch.saved = self._where(int(state.step))

    def _documents_at(self, step: int) -> int:
        epoch, index = divmod(step, self.steps_per_epoch)
        documents = len(self.plan.parts.train)
        return epoch * documents + min(index * self.plan.batch_size, documents)

    def _result(self, step: int, ended: str) -> dict[str, Any]:
        kept = self.checkpoints.best_counters()
        result = {
            "step": step,
            "epoch": step / self.steps_per_epoch,
            "ended": ended,
            "best_step": kept["step"],
            "train_documents": len(self.plan.parts.train),
            "valid_documents": len(self.plan.parts.valid),
            "validation": kept["metrics"],
        }
        if processes.is_first():
            runs.write_json(self.folder / "result.json", result)
        return result
