"""Makes or opens the run folder of a plan.  Knows nothing of what is trained in it."""

from __future__ import annotations

import contextlib
import pathlib

from axml_jax import runs
from axml_jax.errors import ConfigError
from axml_jax.train.names import names_that_differ
from axml_jax.train.plan import Plan


def open_folder(folder: pathlib.Path, plan: Plan, stack: contextlib.ExitStack) -> None:
    """Makes or opens the run folder, which stays locked until the stack is closed.

    Raises:
      ConfigError: a run of another configuration or data, or in use.
      InputError: a folder that is not empty and not a run.
    """
    config, data = plan.config.to_dict(), plan.data()
    try:
        runs.open_run(folder, config, data)
    except ConfigError as error:
        # The data's fingerprint does not say what of them is another.
        names = names_that_differ(folder, plan.store)
        raise ConfigError("; ".join([str(error), *names])) from error
    stack.enter_context(runs.locked(folder))
    # Once more, now alone: meanwhile another process may have begun a run here.
    _, continued = runs.open_run(folder, config, data)
    if continued:
        runs.update_description(folder, config)
    else:
        data["word_width"] = plan.model.width
        data["padding"] = plan.padding._asdict()
        runs.describe_run(folder, config, data, plan.devices)
