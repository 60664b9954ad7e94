"""Trains a model on a prepared store.

    python launch/train.py --config launch/configs/reuters.py --store STORE --run RUN

Single fields of the configuration are set by flags such as --config.model.hidden=128.
The same command again continues a run that was interrupted.
"""

from collections.abc import Sequence

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.data.store import open_store
from axml_jax.errors import ConfigError

_STORE = flags.DEFINE_string("store", "", "The encoded data, made by launch/prepare.py.")
_RUN = flags.DEFINE_string("run", "", "The run folder: weights, metrics, all.")
_MAX_MINUTES = flags.DEFINE_float(
    "max_minutes",
    None,
    "End training by then, with validation done and the best weights kept.",
    lower_bound=0.0,
)
_DEVICES = flags.DEFINE_integer(
    "devices", None, "Train on this many of the local devices; all by default.", lower_bound=1
)
axml_flags.require("store", "run")
axml_flags.define_config()


def main(argv: Sequence[str]) -> None:
    del argv
    config = axml_flags.read_config()
    store = open_store(_STORE.value)
    # jax takes seconds to import; mistakes on the command line are told before that.
    import jax

    from axml_jax.progress import say
    from axml_jax.train.loop import train

    devices = jax.local_devices()
    if _DEVICES.value and _DEVICES.value > len(devices):
        raise ConfigError(f"--devices is {_DEVICES.value}, but there are {len(devices)}.")
    train(
        config,
        store,
        _RUN.value,
        max_minutes=_MAX_MINUTES.value,
        devices=devices[: _DEVICES.value],
    )
    say(f"next: python launch/evaluate.py --run {_RUN.value}")


if __name__ == "__main__":
    axml_flags.run(main)
