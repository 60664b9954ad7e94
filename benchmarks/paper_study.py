"""The steps of a study of the paper's tables, and what they leave: stores, runs, predictions.

    OUT/DATA/store       prepared data, where it was not prepared already
    OUT/DATA/SYSTEM/     train (a run folder), predict (ranked lists), score, areas

Each of these folders is a step's (`paper_steps`).  The test split is predicted once by each system,
and all tables are of these predictions.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from axml_jax import ensemble, evaluation, runs, sources
from axml_jax.analysis import (
    LabelAreas,
    LabelGroup,
    Times,
    group_means,
    label_areas,
    label_areas_from_lists,
    label_groups,
    training_seconds,
)
from axml_jax.baselines.choices import LOGIT, PROBABILITY, Reading
from axml_jax.baselines.predictions import Predictions
from axml_jax.config import Config
from axml_jax.data.opened import Store, is_store, open_store
from axml_jax.data.store import write_store
from axml_jax.data.store_files import file_sum
from axml_jax.errors import ConfigError, InputError
from axml_jax.model import load
from axml_jax.train import door
from benchmarks import paper_estimates as estimates
from benchmarks import paper_plan as plan
from benchmarks import paper_settings
from benchmarks.paper_plan import DataSet, folder_name
from benchmarks.paper_steps import Step, result_of
from benchmarks.paper_systems import MEAN_LOGITS, System

KS = (1, 3, 5)
_LISTS = "predictions.npz"


@dataclasses.dataclass(frozen=True)
class Study:
    """What is asked for.

    Attributes:
      out: The folder of everything.
      data: Data sets.
      systems: Systems, those that a consensus joins before it.
      scale: One of `paper_plan`'s.
      test: The split that is scored.
      top_k: Labels of a list; a consensus takes those beyond for impossible.
      settings: What trainings differ in from the scale's configuration.
      vectors: As in `write_store`.
    """

    out: Path
    data: Sequence[DataSet]
    systems: Sequence[System]
    scale: str = paper_settings.SMALL
    test: str = "test"
    top_k: int = 100
    settings: paper_settings.Settings = paper_settings.NONE
    vectors: str = "ppmi"

    def systems_of(self, data: DataSet) -> list[System]:
        """The systems that have, or will have, predictions for a data set."""
        there = [s for s in self.systems if not s.files or data.name in s.files]
        keys = {system.key for system in there}
        return [system for system in there if keys.issuperset(system.parts)]

    def folder(self, data: DataSet, system: System | None = None) -> Path:
        """Where what concerns a data set, or a system on it, lies."""
        name = self.out / folder_name(data.name)
        return name / folder_name(system.key) if system else name

    def store(self, data: DataSet) -> Store:
        """The prepared data."""
        path = data.path if data.is_prepared else self.folder(data) / "store" / "store"
        store = open_store(path or "")
        sources.documents_of(store, self.test)
        return store

    def config(self, data: DataSet, system: System) -> Config:
        """The configuration of a training, whatever the store."""
        return paper_settings.config_of(data, system, self.scale, self.settings)

    def fitted(self, data: DataSet, system: System) -> Config:
        """The configuration of a training on the store that is there."""
        return paper_settings.fitted(data, system, self.scale, self.settings, self.store(data))

    def predictions(self, data: DataSet, system: System) -> Predictions:
        """The lists that the step `predict` left."""
        with np.load(self.folder(data, system) / "predict" / _LISTS, allow_pickle=False) as file:
            arrays = (file["offsets"], file["label_ids"], file["scores"])
            source = str(system.files.get(data.name, system.shown))
            about = (int(file["num_labels"]), str(file["kind"]))
            return Predictions(*arrays, *about, source=source)

    def result(self, data: DataSet, system: System, step: str) -> dict[str, Any]:
        """What a finished step of a system returned."""
        return result_of(self.folder(data, system), step)

    def groups(self, data: DataSet) -> list[LabelGroup]:
        """Table 6's groups of labels, by their occurrences in the split that is scored."""
        return label_groups(_occurrences(self._truth(self.store(data))))

    def steps(self) -> list[Step]:
        """All steps, in order: what was brought is read before hours of training.

        Raises:
          ConfigError, InputError: Settings, data or packages that will not do.
        """
        rate = estimates.matrix_rate()
        stores: list[Step] = []
        brought: list[Step] = []
        others: list[Step] = []
        for data in self.data:
            is_there = data.is_prepared or is_store(self.folder(data) / "store" / "store")
            size = plan.size_of(data, self.store(data) if is_there else None, self.test)
            if not data.is_prepared:
                seconds = size and estimates.preparing_seconds(size)
                stores.append(self._step(data, None, "store", self._prepare, seconds))
            for system in self.systems_of(data):
                seconds = None if size is None else 1.0
                predicting = seconds
                if system.is_trained:
                    config = self.config(data, system)
                    training = size and estimates.training_seconds(config, size, rate)
                    predicting = size and estimates.predicting_seconds(config, size, rate)
                    others.append(self._step(data, system, "train", self._train, training))
                predict = self._step(data, system, "predict", self._predict, predicting)
                (brought if system.files else others).append(predict)
                others.append(self._step(data, system, "score", self._score, seconds))
                others.append(self._step(data, system, "areas", self._areas, predicting))
        return stores + brought + others

    def _step(
        self,
        data: DataSet,
        system: System | None,
        name: str,
        work: Callable[..., dict[str, Any]],
        seconds: float | None,
    ) -> Step:
        given = [data] if system is None else [data, system]
        return Step(
            str((self.folder(data, system) / name).relative_to(self.out)),
            lambda at: work(*given, at),
            lambda: self._store_key(data) if system is None else self._key(data, system, name),
            seconds,
            continues=name == "train",
        )

    def _store_key(self, data: DataSet) -> dict[str, Any]:
        if data.path is None:
            return {"source": data.name, "settings": self._preparing()}
        source = folder_name(data.path.resolve().name)
        sums = plan.source_sum(data.path)
        return {"source": source, "sum": sums, "settings": self._preparing()}

    def _key(self, data: DataSet, system: System, step: str) -> dict[str, Any]:
        store = self.store(data)
        key: dict[str, Any] = {"data": store.fingerprint, "split": self.test}
        if system.files:
            key["file"] = file_sum(system.files[data.name])
            reading = system.readings.get(data.name, Reading())
            if reading != Reading():
                names = reading.own_names
                known = names if names is None else file_sum(Path(names))
                key["reading"] = {**reading._asdict(), "own_names": known, "assumed": []}
        elif system.is_trained:
            key["config"] = self.fitted(data, system).to_dict()
        else:
            by_key = {other.key: other for other in self.systems}
            key["parts"] = [self._key(data, by_key[part], "predict") for part in system.parts]
        if step in ("predict", "areas") and not system.files:
            key["top_k"] = self.top_k
        if step == "areas":
            # Its means are of these groups, as the table is that shows them.
            key["groups"] = [group.lowest for group in self.groups(data)]
        return key

    def _preparing(self) -> dict[str, Any]:
        return {**paper_settings.PREPARING[self.scale], "vectors": self.vectors}

    def _prepare(self, data: DataSet, folder: Path) -> dict[str, Any]:
        opened = plan.open_data(data)
        if self.test not in opened.documents:
            raise ConfigError(
                f"{data.name} has no split {self.test!r} to score; it has "
                f"{', '.join(opened.documents)}: see --split."
            )
        store = write_store(
            folder / "store",
            opened.documents,
            source=opened.source,
            label_titles=opened.titles,
            **self._preparing(),
        )
        return {"fingerprint": store.fingerprint}

    def _train(self, data: DataSet, system: System, folder: Path) -> dict[str, Any]:
        store = self.store(data)
        config = self.fitted(data, system)
        run = folder / "run"
        result = door.train(config, store, run)
        lines = (run / "timings.jsonl").read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        documents = int(result["train_documents"])
        if system.method == "parabel":
            names = ("features_seconds", "training_seconds", "validation_seconds")
            seconds = sum(records[-1].get(name, 0.0) for name in names)
        else:
            seconds = training_seconds(records, documents, config.data.batch_size)
        about = runs.read_description(run)
        return {
            "train_minutes": seconds / 60,
            "train_documents": documents,
            "device": about["device"],
            "commit": about["commit"],  # a study may go on with a later one
            "ended": result["ended"],
            "epochs": result["epoch"],
            "validation": result["validation"],
        }

    def _predict(self, data: DataSet, system: System, folder: Path) -> dict[str, Any]:
        store, minutes = self.store(data), None
        if system.is_trained:
            model = load(self.folder(data, system) / "train" / "run")
            begin = time.perf_counter()
            found = sources.from_model(model, store, self.test, self.top_k)
            minutes = (time.perf_counter() - begin) / 60
        elif system.files:
            reading = system.readings.get(data.name)
            found = sources.from_file(system.files[data.name], store, self.test, reading)
            self._require_joinable(data, system, found)
        else:
            by_key = {other.key: other for other in self.systems}
            parts = [self.predictions(data, by_key[part]) for part in system.parts]
            found = getattr(ensemble, system.joins)(parts, self.top_k)
        np.savez(
            folder / _LISTS,
            offsets=found.offsets,
            label_ids=found.label_ids,
            scores=found.scores,
            num_labels=found.num_labels,
            kind=found.kind,
        )
        return {"test_minutes": minutes, "longest": found.longest}

    def _require_joinable(self, data: DataSet, system: System, found: Predictions) -> None:
        """Refuses scores that what joins them cannot take, before the others are trained."""
        for joint in (s for s in self.systems_of(data) if system.key in s.parts):
            kinds = (LOGIT,) if joint.joins == MEAN_LOGITS else (LOGIT, PROBABILITY)
            if found.kind not in kinds:
                raise InputError(
                    f"expected {' or '.join(f'{k} scores' for k in kinds)}, which {joint.shown} "
                    f"needs, found the kind {found.kind!r} ({found.taken_for}); if they are, say "
                    f"so: --predictions {data.name}:{system.key}={found.source}::scores=logit.",
                    file=found.source,
                )

    def _score(self, data: DataSet, system: System, folder: Path) -> dict[str, Any]:
        del folder
        store = self.store(data)
        lists = {system.key: self.predictions(data, system).top_k(max(KS))}
        inverse = evaluation.inverse_propensities(store, data.name)
        return evaluation.score_lists(lists, store.splits[self.test], KS, inverse)[system.key]

    def _areas(self, data: DataSet, system: System, folder: Path) -> dict[str, Any]:
        """Exact from all scores of what was trained here; from the lists of others."""
        store = self.store(data)
        truth, groups = self._truth(store), self.groups(data)
        if not groups:
            return {"means": [], "exact": system.is_trained}
        labels = np.concatenate([group.labels for group in groups])
        if system.is_trained:
            model = load(self.folder(data, system) / "train" / "run")
            file = folder / "logits.npy"
            scores = sources.write_all_logits(model, store, self.test, file, labels)
            found = label_areas(scores, truth[:, labels])._replace(labels=labels)
            del scores
            file.unlink()
        else:
            matrix = self.predictions(data, system).matrix()
            found = label_areas_from_lists(matrix, truth, labels)
        return {"means": _means(found, groups), "exact": system.is_trained}

    def times(self, data: DataSet, system: System) -> Times | None:
        """Table 7's figures; None where nobody knows them."""
        documents = len(self.store(data).splits[self.test])
        if data.name in system.minutes:
            return Times(*system.minutes[data.name], 0, documents, "as told by --minutes")
        if not system.is_trained:
            return None
        trained = self.result(data, system, "train")
        tested = self.result(data, system, "predict")["test_minutes"]
        about = (trained["train_documents"], documents, trained["device"])
        return Times(trained["train_minutes"], tested, *about)

    def _truth(self, store: Store) -> scipy.sparse.csr_matrix:
        return store.splits[self.test].label_matrix(len(store.label_names))


def _occurrences(truth: scipy.sparse.csr_matrix) -> np.ndarray:
    return np.bincount(truth.indices, minlength=truth.shape[1])


def _means(areas: LabelAreas, groups: Sequence[LabelGroup]) -> list[list[float | None]]:
    means = group_means(areas, groups)
    return [[None if np.isnan(value) else value for value in pair] for pair in means]
