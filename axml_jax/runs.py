"""The run folder: its description, its lock, its metric files.

    RUN/run.json          configuration, data fingerprint, versions, commit, sums of the next two
    RUN/words.json        vocabulary          RUN/labels.json  names, titles, training counts
    RUN/metrics.jsonl     what repeats bit for bit        RUN/timings.jsonl  what does not
    RUN/events/           TensorBoard         RUN/result.json  how training ended
    RUN/checkpoints/      orbax: constants, latest, best
    RUN/parabel/          instead of checkpoints: omikuji's trees, inverse document frequencies

The folder alone suffices to predict; nothing in it is ever executed.  Knows nothing
about models.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from axml_jax import __version__
from axml_jax.config import from_dict
from axml_jax.errors import ConfigError, InputError
from axml_jax.events import Events
from axml_jax.jsonio import read_json, write_json
from axml_jax.progress import say

FORMAT = "axml_jax.run"
FORMAT_VERSION = 1
_LOCK = ".lock"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")
_PARABEL_PACKAGES = ("omikuji", "scikit-learn")


def environment(devices: Sequence[Any] | None = None) -> dict[str, Any]:
    """Versions, commit and devices: what a result has to name beside its configuration.

    Args:
      devices: The devices in use; all local ones by default.
    """
    import jax

    devices = devices or jax.local_devices()
    return {
        "versions": versions(),
        "commit": commit(),
        "device": f"{len(devices)} x {devices[0].device_kind}",
        "cores": os.cpu_count(),
    }


def versions(packages: Sequence[str] = _PACKAGES + _PARABEL_PACKAGES) -> dict[str, str]:
    """Versions of axml_jax, of Python, and of those `packages` that are installed."""
    found = {"axml_jax": __version__, "python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def commit() -> str | None:
    """The source's git commit, "+changes" appended where files differ; None outside git."""
    file = pathlib.Path(__file__).resolve()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(file.parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip()

    try:
        # Installed into an environment inside somebody's repository, it is no part of that.
        git("ls-files", "--error-unmatch", file.name)
        return git("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes")
    except (OSError, subprocess.SubprocessError):
        return None


def read_description(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The run.json of a run folder; raises InputError where it is not one of ours."""
    folder = pathlib.Path(folder)
    if not (folder / "run.json").is_file():
        raise InputError(
            "this is not a run folder (it has no run.json); launch/train.py --run makes one.",
            file=folder,
        )
    description = read_json(folder / "run.json")
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise InputError("this run.json was not written by axml_jax.", file=folder / "run.json")
    if description.get("version") != FORMAT_VERSION:
        raise InputError(
            f"the run has format version {description.get('version')}; this axml_jax "
            f"{__version__} reads version {FORMAT_VERSION}.",
            file=folder / "run.json",
        )
    if not all(isinstance(description.get(part), dict) for part in ("config", "data")):
        raise InputError(
            "this run.json is damaged: 'config' or 'data' is missing.", file=folder / "run.json"
        )
    return description


def open_run(
    folder: str | os.PathLike[str], config: dict[str, Any], data: dict[str, Any]
) -> tuple[pathlib.Path, bool]:
    """Makes a run folder, or opens one that the same configuration and data began.

    Args:
      folder: The run folder.
      config: The resolved configuration.
      data: What identifies the data: its "fingerprint", that of its word "vectors" (or None), and
        what the weights were initialised from ("init_from", or None) must match to continue.

    Returns:
      The folder's path, and whether the run is continued.

    Raises:
      InputError: a file, a folder that is not empty and not a run, or one that cannot be made.
      ConfigError: a run of another configuration or data; the differing fields are named.
    """
    folder = pathlib.Path(folder)
    if (folder / "run.json").is_file():
        old = read_description(folder)
        differing = _differences(experiment(old["config"]), experiment(config), "config")
        for part in ("fingerprint", "vectors", "init_from"):
            was, is_now = (_nameless(data.get(part)) for data in (old["data"], data))
            differing += _differences(was, is_now, f"data.{part}")
        if differing:
            raise ConfigError(
                f"{folder} holds a run of another configuration; name another --run, or give "
                "the same configuration to continue it. Differing: " + "; ".join(differing)
            )
        return folder, True
    if folder.exists() and not folder.is_dir():
        raise InputError("it is a file, not a folder; name another --run.", file=folder)
    # A lock and half a description are all that a refused or killed beginning leaves.
    if folder.exists() and any(
        path.name != _LOCK and not path.name.startswith(".run.json.") for path in folder.iterdir()
    ):
        raise InputError(
            "it exists, is not empty and is not a run folder; name another.", file=folder
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the run's folder cannot be made ({error.strerror}); name another --run."
        raise InputError(message, file=folder) from error
    return folder, False


def _nameless(part: Any) -> Any:
    """What identifies a run, which may have been renamed; anything else as it is."""
    if isinstance(part, dict):
        return {name: value for name, value in part.items() if name != "run"}
    return part


def experiment(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what may change from start to start.

    A field that a run does not name is younger than the run, which had what is its default.
    """
    whole = from_dict(config).to_dict()
    del whole["parallel"], whole["train"]["skip_nonfinite"]
    return whole


def describe_run(
    folder: pathlib.Path,
    config: dict[str, Any],
    data: dict[str, Any],
    devices: Sequence[Any] | None = None,
) -> None:
    """Writes run.json, which makes the folder a run; see `open_run` and `environment`."""
    write_json(
        folder / "run.json",
        {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "config": config,
            "data": data,
            **environment(devices),
        },
    )


def update_description(folder: pathlib.Path, config: dict[str, Any]) -> None:
    """Notes what may change when a run is continued; prediction is dealt to devices as training.

    Args:
      folder: The run folder.
      config: The resolved configuration, of the same `experiment`.
    """
    description = read_description(folder)
    if description["config"] != json.loads(json.dumps(config)):
        description["config"] = config
        write_json(folder / "run.json", description)


def _differences(old: Any, new: Any, prefix: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for key in sorted(old.keys() | new.keys())
            for line in _differences(old.get(key), new.get(key), f"{prefix}.{key}")
        ]
    # A tuple becomes a list in JSON.
    old, new = (list(x) if isinstance(x, tuple) else x for x in (old, new))
    return [] if old == new else [f"{prefix}: {old!r} there, {new!r} here"]


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Holds the folder for this process; the lock dies with the process.

    Raises:
      ConfigError: another process trains in the folder.
    """
    try:
        import fcntl
    except ImportError:  # not a Unix: no lock to be had
        yield
        return
    with open(folder / _LOCK, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another process is training in {folder}; wait for its end, or name another --run."
            ) from None
        except OSError:  # a file system without locks
            pass
        yield


def _event_writer(folder: pathlib.Path, purge_step: int | None) -> Events | None:
    """TensorBoard's writer, which drops earlier events from a step on; None if not installed."""
    try:
        return Events(folder, purge_step)
    except ImportError:
        return None


@contextlib.contextmanager
def _telling(folder: pathlib.Path) -> Iterator[None]:
    """Says what to do where the disk takes no more."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{folder}: the metrics could not be written ({error.strerror or error}). The "
            "checkpoints are whole: once there is room, the same command continues."
        ) from error


def _whole_size(file: pathlib.Path, size: int, step: int) -> int:
    """How many bytes of the metrics to keep; says so where they are fewer than there should be.

    Args:
      file: metrics.jsonl, from which somebody, or a loss of power, may have taken its end.
      size: Bytes that there should be.
      step: The step up to which there should be records.
    """
    content = file.read_bytes()[:size]
    whole = content.rfind(b"\n") + 1
    if whole == size:
        return size
    last = 0
    with contextlib.suppress(ValueError, LookupError, TypeError):
        last = int(json.loads(content[:whole].splitlines()[-1])["step"])
    say(
        f"{file} has lost its end, {len(content):,} of {size:,} bytes are there: records of steps "
        f"after {last:,} up to {step:,} are missing, and it goes on after its last whole line"
    )
    return whole


class MetricWriter:
    """Appends records to metrics.jsonl and timings.jsonl and, where possible, to events.

    metrics.jsonl holds only what the seed decides.  A continued run first cuts it back
    to the length that its checkpoint recorded, so no step stands there twice.

    Args:
      folder: The run folder.
      size: Bytes of metrics.jsonl to keep.
      step: The step at which the run continues; later TensorBoard events are dropped.

    Raises:
      OSError: From each method that writes: the disk is full, or takes nothing for another reason.
    """

    def __init__(self, folder: pathlib.Path, size: int = 0, step: int = 0) -> None:
        self._folder = folder
        self._metrics = open(folder / "metrics.jsonl", "ab")  # noqa: SIM115 - closed in close()
        self._metrics.truncate(_whole_size(folder / "metrics.jsonl", size, step))
        self._timings = open(folder / "timings.jsonl", "a", encoding="utf-8")  # noqa: SIM115
        # Also for step 0: a run killed before its first checkpoint left events.
        again = step > 0 or (folder / "events").exists()
        self._open_events: Callable[[], Any] | None = functools.partial(
            _event_writer, folder / "events", step if again else None
        )
        self._events: Events | None = None

    def write(self, step: int, values: dict[str, Any], timings: dict[str, float]) -> None:
        """Writes a record of numbers and groups of numbers; `timings` go to their own file."""
        with _telling(self._folder):
            self._metrics.write(json.dumps({"step": step, **values}).encode() + b"\n")
            # Whoever watches the files sees each record at once.
            self._metrics.flush()
            self._write_events(step, {**values, **timings})
        self.write_timings(step, timings)

    def _write_events(self, step: int, values: dict[str, Any]) -> None:
        if self._open_events is not None:
            # Only now: where PyTorch is installed tensorboardX imports it, which takes longer than
            # all of a second start.
            self._events, self._open_events = self._open_events(), None
        if self._events is not None:
            for name, value in values.items():
                group = value if isinstance(value, dict) else {"": value}
                for inner, number in group.items():
                    tag = f"{name}/{inner}".rstrip("/").replace("@", "_at_")
                    self._events.add_scalar(tag, number, step)

    def write_timings(self, step: int, timings: dict[str, float]) -> None:
        """Writes a record of what does not repeat."""
        with _telling(self._folder):
            self._timings.write(json.dumps({"step": step, **timings}) + "\n")
            self._timings.flush()

    def flush(self) -> int:
        """Brings everything to the disk; returns the size of metrics.jsonl in bytes."""
        with _telling(self._folder):
            for file in (self._metrics, self._timings):
                file.flush()
                os.fsync(file.fileno())
            if self._events is not None:
                self._events.flush()
        return os.fstat(self._metrics.fileno()).st_size

    def close(self) -> None:
        """Closes all files; what the disk did not take has been told before."""
        for file in (self._metrics, self._timings, self._events):
            with contextlib.suppress(OSError):
                if file is not None:
                    file.close()


class NoWriter:
    """What a process has that leaves the writing to another one; see `MetricWriter`."""

    def write(self, step: int, values: dict[str, Any], timings: dict[str, float]) -> None:
        """Writes nothing."""

    def write_timings(self, step: int, timings: dict[str, float]) -> None:
        """Writes nothing."""

    def flush(self) -> int:
        """There is nothing to flush, and no size to tell."""
        return 0

    def close(self) -> None:
        """There is nothing to close."""
