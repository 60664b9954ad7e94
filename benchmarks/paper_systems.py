"""The systems of a study of the paper's tables: trained, brought as files, or joined of others.

Knows nothing about settings, nor how a step is done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from axml_jax.baselines.choices import Reading, reading_of
from axml_jax.config import MODELS
from axml_jax.errors import ConfigError
from benchmarks import paper_published as published
from benchmarks.paper_plan import DataSet, folder_name, refuse_twice

CONSENSUS, MEAN_LOGITS = "consensus", "mean_logits"

_MINUTES = r"[0-9]+(?:\.[0-9]+)?"


class System(NamedTuple):
    """What predicts.

    Attributes:
      key: As the command line and folders have it.
      shown: As tables have it.
      parts: The keys of the systems that it joins; () for others.
      files: Prediction files by data set; {} for what is trained here.
      readings: How to read these.
      joins: How its parts are joined, a function of `axml_jax.ensemble`.
      minutes: Of training and of prediction by data set, as somebody measured them elsewhere.
    """

    key: str
    shown: str
    parts: tuple[str, ...] = ()
    files: Mapping[str, Path] = {}
    readings: Mapping[str, Reading] = {}
    joins: str = CONSENSUS
    minutes: Mapping[str, tuple[float, float]] = {}

    @property
    def is_trained(self) -> bool:
        """Whether it is a model of this project."""
        return not self.parts and not self.files

    @property
    def is_consensus(self) -> bool:
        """Whether it joins others by eq. (9)."""
        return bool(self.parts) and self.joins == CONSENSUS

    @property
    def method(self) -> str:
        """The value of config.model.name, where it is trained here."""
        return self.key.partition("@")[0]

    @property
    def seed(self) -> int | None:
        """The seed of its training, where METHOD@SEED names one."""
        seed = self.key.partition("@")[2]
        return int(seed) if seed and self.is_trained else None


def read_systems(
    methods: Sequence[str],
    predictions: Sequence[str],
    data: Sequence[DataSet],
    minutes: Sequence[str] = (),
) -> list[System]:
    """Systems as the command line names them.

    Args:
      methods: Values of config.model.name, METHOD@SEED for one of several seeds, and `consensus`,
        `consensus:A+B` or `mean_logits:A+B`.
      predictions: DATA:SYSTEM=FILE, files that other systems brought, and what is said of each of
        them, as in FILE::labels=ids.
      data: The study's data sets.
      minutes: DATA:SYSTEM=TRAIN,TEST, what those systems took.

    Returns:
      What is trained, what was brought, what is joined, each in the order given.

    Raises:
      ConfigError: An unknown method, part or data set, a missing file, or one name twice.
    """
    known = [data_set.name for data_set in data]
    joined = [method for method in methods if method.startswith((CONSENSUS, MEAN_LOGITS))]
    systems = [_trained(method) for method in methods if method not in joined]
    systems += _brought(predictions, minutes, known)
    keys = [system.key for system in systems]
    for method in joined:
        systems.append(_joined(method, {system.key: system for system in systems}))
    refuse_twice("--methods and --predictions", [folder_name(s.key) for s in systems])
    refuse_twice("--methods and --predictions", [s.shown for s in systems])
    if not keys:
        raise ConfigError("name a method to train, or predictions that were brought.")
    return systems


def _trained(method: str) -> System:
    name, at, seed = method.partition("@")
    if name not in MODELS or (at and not re.fullmatch(r"0|[1-9][0-9]{0,8}", seed)):
        raise ConfigError(
            f"--methods has {method!r}; expected {', '.join(MODELS)}, one of them with a seed such "
            f"as {MODELS[0]}@1, {CONSENSUS}, {CONSENSUS}:A+B or {MEAN_LOGITS}:A+B."
        )
    return System(method, published.SHOWN[name] + (f", seed {seed}" if at else ""))


def _brought(
    predictions: Sequence[str], minutes: Sequence[str], known: Sequence[str]
) -> list[System]:
    files: dict[str, dict[str, Path]] = {}
    readings: dict[str, dict[str, Reading]] = {}
    for value in predictions:
        match = re.fullmatch(r"([^:]+):([^=]+)=(.+)", value)
        path, reading = reading_of("predictions", match[3]) if match else ("", Reading())
        if not match or match[1] not in known or not Path(path).is_file():
            raise ConfigError(
                f"--predictions has {value!r}; expected DATA:SYSTEM=FILE with a data set of --data "
                f"({', '.join(known)}) and a file that is there."
            )
        if match[1] in files.setdefault(match[2], {}):
            raise ConfigError(f"--predictions names {match[2]} on {match[1]} twice.")
        files[match[2]][match[1]] = Path(path)
        readings.setdefault(match[2], {})[match[1]] = reading
    times: dict[str, dict[str, tuple[float, float]]] = {}
    for value in minutes:
        match = re.fullmatch(rf"([^:]+):(.+)=({_MINUTES}),({_MINUTES})", value)
        if not match or match[1] not in files.get(match[2], {}):
            raise ConfigError(
                f"--minutes has {value!r}; expected DATA:SYSTEM=TRAIN,TEST, two numbers, with a "
                "data set and a system of --predictions."
            )
        times.setdefault(match[2], {})[match[1]] = (float(match[3]), float(match[4]))
    return [
        System(n, published.method_of(n), (), files[n], readings[n], minutes=times.get(n, {}))
        for n in files
    ]


def _joined(method: str, systems: Mapping[str, System]) -> System:
    joins, colon, named = method.partition(":")
    parts = tuple(named.split("+")) if colon else ()
    if method != CONSENSUS and (len(set(parts)) < 2 or joins not in (CONSENSUS, MEAN_LOGITS)):
        raise ConfigError(
            f"--methods has {method!r}; expected {CONSENSUS} or {CONSENSUS}:A+B, or "
            f"{MEAN_LOGITS}:A+B."
        )
    parts = parts or ("attention_xml", "parabel")
    missing = [part for part in parts if part not in systems or systems[part].parts]
    if missing:
        raise ConfigError(
            f"--methods has {method!r}, but no {missing[0]!r}, which it joins; there are "
            f"{', '.join(systems) or 'none'}."
        )
    if joins == CONSENSUS and set(parts) == {"attention_xml", "parabel"}:
        return System(CONSENSUS, "Consensus", parts)
    key = f"{joins}+{'+'.join(parts)}"
    shown = " and ".join(systems[part].shown for part in parts)
    if joins == CONSENSUS:
        return System(key, f"Consensus of {shown}", parts)
    methods = {systems[part].method for part in parts if systems[part].is_trained}
    if len(methods) == 1 and all(systems[part].is_trained for part in parts):
        shown = f"{published.SHOWN[min(methods)]}, {len(parts)} seeds"
    return System(key, f"Mean logits of {shown}", parts, joins=MEAN_LOGITS)
