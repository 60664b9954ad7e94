"""One door for training: whichever model a configuration names, the same call and run folder."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax

from axml_jax.baselines import parabel
from axml_jax.config import Config
from axml_jax.data.store import Store
from axml_jax.errors import ConfigError, InputError
from axml_jax.progress import say
from axml_jax.stopping import may_end_at_once, stopped_at_once
from axml_jax.train import loop, processes


def train(
    config: Config,
    store: Store,
    run_folder: str | pathlib.Path,
    *,
    max_minutes: float | None = None,
    devices: Sequence[Any] | None = None,
    init_from: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Trains the model that the configuration names, or continues the run that is in the folder.

    Settings of other models are left alone, and named on standard error.

    Args:
      config, store, run_folder, max_minutes, devices, init_from: As in `loop.train`.  Parabel has
        no use for time and devices: it trains to its end, on the processor.

    Returns:
      How it ended; see `loop.train`.

    Raises:
      ConfigError, InputError: As in `loop.train`; several processes for Parabel; a store whose
        content is not what was written.
      SystemExit: SIGTERM, Ctrl-C or SIGHUP came; `loop.train` saves its state where it has begun.
    """
    name, unread = config.validate().model.name, config.unread()
    if unread and processes.is_first():
        say(f"not read by {name}: {', '.join(f'config.{field}' for field in unread)}")
    # A library must not leave where other processes wait for this one.
    alone = jax.process_count() == 1
    heard = alone or may_end_at_once()
    onward = f"the same command continues from what {run_folder} holds."
    if name == "parabel":
        onward = "the same command begins anew."
    with stopped_at_once(onward) if heard else contextlib.nullcontext():
        if name != "parabel":
            _verify(store)
            return loop.train(
                *(config, store, run_folder),
                max_minutes=max_minutes,
                devices=devices,
                init_from=init_from,
            )
        if not alone:
            raise ConfigError("config.model.name=parabel trains in one process; there are several.")
        if init_from is not None:
            raise ConfigError("a run of parabel begins with no other run: leave --init_from out.")
        _verify(store)
        return parabel.train(config, store, run_folder)


def _verify(store: Store) -> None:
    """Refuses a store that is no longer what was written, in all processes if in one of them."""
    error: Exception | None = None
    try:
        store.verify()
    except (InputError, OSError) as caught:
        error = caught
        if jax.process_count() > 1:  # the others are told that something differs, not what
            say(str(error))
    processes.check_same(**{"content of the store": error is None})
    if error:
        raise error
