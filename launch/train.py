"""Trains a model on a prepared store.

    python launch/train.py --config launch/configs/reuters.py --store STORE --run RUN

Single fields of the configuration are set by flags such as --config.model.hidden=128;
--config.model.name=xml_rnn, xml_cnn or parabel trains a rival in the same way.
The same command again continues a run that was interrupted.  On several hosts, the same
command on each with --coordinator, --num_processes and --process_id, or with --distributed.
"""

from axml_jax import stopping

if __name__ == "__main__":
    stopping.hear()  # before imports that take long

from collections.abc import Sequence

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.data.store import open_store

_STORE = flags.DEFINE_string("store", "", "The encoded data, made by launch/prepare.py.")
_RUN = flags.DEFINE_string("run", "", "The run folder: weights, metrics, all.")
_INIT_FROM = flags.DEFINE_string(
    "init_from",
    None,
    "Begin with the best weights of this run; the store is prepared with --base, and may have "
    "labels in addition.",
)
_MAX_MINUTES = flags.DEFINE_float(
    "max_minutes",
    None,
    "End training by then, with validation done and the best weights kept.",
    lower_bound=0.0,
)
_DEVICES = flags.DEFINE_integer(
    "devices",
    None,
    "Train on this many of the local devices, of each process; all by default.",
    lower_bound=1,
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT of process 0, for training with several processes."
)
_NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "How many processes train together.", lower_bound=1
)
_PROCESS_ID = flags.DEFINE_integer(
    "process_id", None, "Which of the processes this is, from 0; 0 writes.", lower_bound=0
)
_DISTRIBUTED = flags.DEFINE_boolean(
    "distributed", False, "Have JAX find the processes by Slurm, Open MPI 4 or Kubernetes."
)
_JOIN_SECONDS = flags.DEFINE_integer(
    "join_seconds", 300, "How long a process waits for the others to begin.", lower_bound=1
)
axml_flags.require("store", "run")
axml_flags.define_config()


def main(argv: Sequence[str]) -> None:
    del argv
    config = axml_flags.read_config()
    alone = not (_COORDINATOR.value or _NUM_PROCESSES.value or _DISTRIBUTED.value)
    if alone and config.model.name != "parabel":
        # Settings before data; several processes know their devices once they have met.
        from axml_jax.layout_choice import check_devices
        from axml_jax.train.processes import all_devices

        check_devices(config, all_devices(_DEVICES.value))
    store = open_store(_STORE.value)
    # jax takes seconds to import; mistakes on the command line are told before that.
    from axml_jax.progress import say
    from axml_jax.train import processes
    from axml_jax.train.door import train
    from axml_jax.train.joining import joined

    with joined(
        _COORDINATOR.value,
        _NUM_PROCESSES.value,
        _PROCESS_ID.value,
        detect=_DISTRIBUTED.value,
        seconds=_JOIN_SECONDS.value,
    ):
        train(
            config,
            store,
            _RUN.value,
            max_minutes=_MAX_MINUTES.value,
            init_from=_INIT_FROM.value,
            devices=processes.all_devices(_DEVICES.value),
        )
        if processes.is_first():
            say(f"next: python launch/evaluate.py --run {_RUN.value}")


if __name__ == "__main__":
    axml_flags.run(main, handles_signals=True)
