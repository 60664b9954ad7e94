"""How processes find each other before training, and how one that fails leaves the others.

Needs nothing from the rest but the kind of error; must run before JAX's first computation.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator

import jax

from axml_jax.errors import ConfigError

# JAX's own patience ends in an abort with a stack trace; it must be the longer one.
_LONGER_SECONDS = 60
# Without a sign of life for so long, a process counts as dead, and JAX ends all others.
_DEAD_AFTER_SECONDS = 30
# The one whose end ends all others leaves last, so that each can say what it has to say.
_FIRST_LEAVES_AFTER_SECONDS = 3.0


@contextlib.contextmanager
def joined(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    detect: bool = False,
    seconds: int = 300,
) -> Iterator[None]:
    """Makes this process one of several while its block runs; without arguments, does nothing.

    Args:
      coordinator: HOST:PORT of process 0, as all processes reach it.
      num_processes: How many there are.
      process_id: Which of them this is, from 0.
      detect: Lets JAX find what is not given from Slurm, Open MPI before 5 or Kubernetes.
      seconds: How long to wait for the others.

    Raises:
      ConfigError: settings that are incomplete or impossible, an address that is none, no
        cluster to be found, or a port in use.
      SystemExit: as the block raised it: an end that all have agreed on.
    """
    given = {
        "--coordinator": coordinator,
        "--num_processes": num_processes,
        "--process_id": process_id,
    }
    if not detect and all(value is None for value in given.values()):
        yield
        return
    missing = [name for name, value in given.items() if value is None]
    if missing and not detect:
        verb = "is" if len(missing) == 1 else "are"
        raise ConfigError(
            f"{' and '.join(missing)} {verb} missing: --coordinator, --num_processes and "
            "--process_id go together; --distributed asks Slurm, Open MPI or Kubernetes for what "
            "is not given."
        )
    if None not in (num_processes, process_id) and process_id >= num_processes:  # type: ignore[operator]
        raise ConfigError(
            f"--process_id is {process_id}, but with --num_processes={num_processes} the "
            f"processes are 0 to {num_processes - 1}."  # type: ignore[operator]
        )
    if coordinator is not None:
        _check_address(coordinator)
    # JAX's would catch SIGTERM in place of StopRequest, also where nobody asks it.
    jax.config.update("jax_enable_preemption_service", False)
    with _patience(seconds, coordinator or "the coordinator"), warnings.catch_warnings():
        # `_why` says it, where it matters.
        warnings.filterwarnings("ignore", "Kubernetes environment detected")
        try:
            jax.distributed.initialize(
                coordinator,
                num_processes,
                process_id,
                # Without this, JAX looks for a cluster even where all is given, and under Slurm
                # takes one GPU only.
                cluster_detection_method="deactivate" if not missing else None,
                initialization_timeout=seconds + _LONGER_SECONDS,
                heartbeat_timeout_seconds=_DEAD_AFTER_SECONDS,
            )
        except (ValueError, RuntimeError) as error:
            raise ConfigError(_why(error, coordinator)) from error
    try:
        yield
    except SystemExit:
        raise
    except BaseException as error:
        if isinstance(error, jax.errors.JaxRuntimeError):
            error.add_note(
                "With several processes this may only say that another one has ended: see its "
                "messages. The same commands continue the run."
            )
        # JAX at its exit would wait minutes for the others, which wait for this process.
        atexit.register(_leave, 130 if isinstance(error, KeyboardInterrupt) else 1)
        raise


def _check_address(coordinator: str) -> None:
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
        raise ConfigError(
            f"--coordinator is {coordinator!r}; expected HOST:PORT, such as 10.0.0.1:6723."
        )
    try:
        socket.getaddrinfo(host.strip("[]"), int(port))
    except OSError as error:
        raise ConfigError(
            f"--coordinator is {coordinator}, but {host} is no address that this machine "
            f"knows: {error}."
        ) from error


@contextlib.contextmanager
def _patience(seconds: float, coordinator: str) -> Iterator[None]:
    """Ends the program with a clear line when its block takes longer."""

    def give_up() -> None:
        print(
            f"error: after {seconds:.0f} s not all processes have met at {coordinator}. See that "
            "each was started, with the same --num_processes and a --process_id of its own; that "
            "the address is that of the host of process 0 and can be reached from all; or wait "
            "longer with --join_seconds.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _why(error: Exception, coordinator: str | None) -> str:
    if coordinator is None and "coordinator_address" in str(error):
        return f"--distributed: {_nothing_found()}"
    return (
        f"the processes cannot meet at {coordinator or 'the coordinator'}: {error}. If it is the "
        "port that is in use, name another in all commands."
    )


def _nothing_found() -> str:
    """What to do where JAX knows no cluster by what it has left in the environment."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return (
            "this is Kubernetes, which JAX asks by a package that is missing here: "
            "pip install 'axml_jax[cluster]', or give --coordinator, --num_processes and "
            "--process_id."
        )
    if "OMPI_COMM_WORLD_SIZE" in os.environ:
        return (
            "this is Open MPI, which since its version 5 no longer says where process 0 is; give "
            "--coordinator, --num_processes=$OMPI_COMM_WORLD_SIZE and "
            "--process_id=$OMPI_COMM_WORLD_RANK."
        )
    return (
        "JAX finds neither a step of Slurm (srun) nor Open MPI nor Kubernetes here; give "
        "--coordinator, --num_processes and --process_id."
    )


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    if jax.process_index() == 0:
        time.sleep(_FIRST_LEAVES_AFTER_SECONDS)
    os._exit(code)
