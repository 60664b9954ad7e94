"""With which settings a study trains: those of its scale, and what the command line has instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from axml_jax import config as config_lib
from axml_jax.config import Config, set_field
from axml_jax.data.builders.catalogue import DATASETS
from axml_jax.data.opened import Store
from axml_jax.errors import ConfigError
from axml_jax.train.plan import choose_parts
from benchmarks.paper_plan import DataSet
from benchmarks.paper_systems import System

CONFIGS = Path(__file__).resolve().parent.parent / "launch" / "configs"
SMALL, WHOLE = "small", "paper"
PREPARING: dict[str, dict[str, Any]] = {
    SMALL: {"vector_width": 50, "min_documents": 2},
    WHOLE: {"vector_width": 300},
}
"""Arguments of `write_store` by scale."""

_SMALL_DOCUMENTS, _SMALL_EPOCHS = 10_000, 10


class Settings(NamedTuple):
    """What trainings differ in from their scale's configuration.

    A scope is DATA, DATA/METHOD or, for all trainings, "".

    Attributes:
      files: Configuration files by scope, in the place of the scale's; the narrowest counts.
      fields: Scope, field and value, such as ("reuters", "train.epochs", "14"); later ones win.
    """

    files: Mapping[str, str] = {}
    fields: Sequence[tuple[str, str, str]] = ()


NONE = Settings()


def read_settings(
    files: Sequence[str],
    fields: Sequence[str],
    data: Sequence[DataSet],
    systems: Sequence[System],
) -> Settings:
    """Settings as the command line has them.

    Args:
      files: SCOPE=FILE.
      fields: FIELD=VALUE or SCOPE:FIELD=VALUE.
      data, systems: The study's, which scopes name.

    Raises:
      ConfigError: Another form, or a scope that names no data set or no method that is trained.
    """
    # A method of several seeds has settings for all of them, or for one.
    trained = dict.fromkeys(
        name for system in systems if system.is_trained for name in (system.method, system.key)
    )
    scopes = [d.name for d in data] + [f"{d.name}/{key}" for d in data for key in trained]
    forms = {"--config": "SCOPE=FILE", "--set": "FIELD=VALUE or SCOPE:FIELD=VALUE"}

    def checked(flag: str, value: str, scope: str, is_whole: bool) -> str:
        if not is_whole or scope not in ["", *scopes]:
            raise ConfigError(
                f"{flag} has {value!r}; expected {forms[flag]}, SCOPE being DATA or DATA/METHOD, "
                f"one of {', '.join(scopes)}."
            )
        return scope

    of_scope, told = {}, []
    for value in files:
        scope, equals, file = value.partition("=")
        of_scope[checked("--config", value, scope, bool(equals and scope and file))] = file
    for value in fields:
        left, equals, right = value.partition("=")
        scope, _, field = left.rpartition(":")
        told.append((checked("--set", value, scope, bool(equals and field)), field, right))
    return Settings(of_scope, told)


def config_of(data: DataSet, system: System, scale: str, settings: Settings) -> Config:
    """The configuration of a training; nothing in it was chosen on a test split.

    Args:
      data: The data set.
      system: What is trained.
      scale: SMALL, or WHOLE for the paper's own settings.
      settings: What differs.

    Raises:
      ConfigError: A setting that is none.
    """
    scopes = _scopes(data, system)
    file = _file_of(scopes, settings)
    if file:
        config = config_lib.load_file(file)
    elif scale == SMALL:
        config = config_lib.load_file(CONFIGS / "tiny.py")
        config.train.epochs = _SMALL_EPOCHS
        if system.method == "xml_cnn":
            # In proportion to the rest: convolutions as the paper has them took four times as long.
            config.model.filters, config.model.bottleneck = 32, 128
    else:
        names = [n for n, known in DATASETS.items() if known.row and known.row.name == data.paper]
        config = config_lib.load_file(CONFIGS / f"paper_{names[0]}.py") if names else Config()
    config.model.name = system.method
    for scope, field, value in settings.fields:
        if scope in scopes:
            set_field(config, field, value)
    if system.seed is not None:
        config.seed = system.seed
    return config.validate()


def fitted(data: DataSet, system: System, scale: str, settings: Settings, store: Store) -> Config:
    """The configuration for this store: at the small scale, no more documents than are quick.

    Who gives a configuration, or says how many documents, gets those.
    """
    config, scopes = config_of(data, system, scale, settings), _scopes(data, system)
    told = any(
        scope in scopes and field == "data.train_documents" for scope, field, _ in settings.fields
    )
    may_cut = scale == SMALL and not told and not _file_of(scopes, settings)
    if may_cut and len(choose_parts(config, store).train) > _SMALL_DOCUMENTS:
        config.data.train_documents = _SMALL_DOCUMENTS
    return config


def _scopes(data: DataSet, system: System) -> tuple[str, ...]:
    """The scopes that a training lies in, the narrowest last."""
    return ("", data.name, f"{data.name}/{system.method}", f"{data.name}/{system.key}")


def _file_of(scopes: Sequence[str], settings: Settings) -> str | None:
    named = [settings.files[scope] for scope in scopes if scope in settings.files]
    return named[-1] if named else None
