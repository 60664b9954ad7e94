"""absl flags shared by the scripts in launch/: --config FILE and --config.FIELD=VALUE.

Each field of the schema is a flag of its own, so that `--help` lists it with its
default, and absl refuses an unknown one and names the nearest.  What concerns JAX as a whole
goes into its environment variables, before anybody imports it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import stat
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from axml_jax import compiled, orbax_log, runs, stopping, streams
from axml_jax import config as config_lib
from axml_jax.baselines import choices as reading_choices
from axml_jax.command_line import complain, parse
from axml_jax.errors import ConfigError, InputError
from axml_jax.jsonio import read_json

_BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ended


def define_config(default: str | None = None) -> None:
    """Defines --config and one --config.FIELD flag per field of `Config`."""
    # Key flags of the script: its --help lists them, not only --helpfull.
    script = sys.argv[0]
    flags.DEFINE_string(
        "config",
        default,
        "A configuration file, such as launch/configs/tiny.py.  Without one, the paper's "
        "setting for medium-scale data sets.",
    )
    for name, (kind, value, text, choices) in config_lib.fields().items():
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
        help_text = f"{text} (paper's setting: {shown})"
        flag = f"config.{name}"
        if choices:
            flags.DEFINE_enum(flag, None, list(choices), help_text)
        elif kind is bool:
            flags.DEFINE_boolean(flag, None, help_text)
        elif kind is int:
            flags.DEFINE_integer(flag, None, help_text)
        elif kind is float:
            flags.DEFINE_float(flag, None, help_text)
        else:
            flags.DEFINE_string(flag, None, help_text)
        flags.FLAGS.register_key_flag_for_module(script, flags.FLAGS[flag])
    flags.FLAGS.register_key_flag_for_module(script, flags.FLAGS["config"])


def require(*names: str) -> None:
    """Refuses a command line without these flags; says so more plainly than absl does."""
    for name in names:
        flags.register_validator(name, bool, f"--{name} is required; --help explains it.")


def check_output(flag: str, path: str, inputs: Sequence[str] = ()) -> None:
    """Tells now, not after minutes of work, that a file cannot be written.

    Args:
      flag: The flag that names it, for the message.
      path: The file.
      inputs: What is read, which it must not overwrite.

    Raises:
      ConfigError: Its folder is missing, it is a folder, a disk or a socket, one of the inputs, or
        the file that standard output or standard error goes to.
    """
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise ConfigError(f"--{flag} is {path}, whose folder does not exist.")
    if os.path.isdir(path):
        raise ConfigError(f"--{flag} is {path}, which is a folder.")
    _check_kind(flag, path)
    if any(os.path.realpath(path) == os.path.realpath(other) for other in inputs):
        raise ConfigError(f"--{flag} is {path}, which is read and would be overwritten.")


def _check_kind(flag: str, path: str) -> None:
    try:
        found = os.stat(path)
    except OSError:
        return
    if stat.S_ISBLK(found.st_mode) or stat.S_ISSOCK(found.st_mode):
        kind = "a disk" if stat.S_ISBLK(found.st_mode) else "a socket"
        raise ConfigError(f"--{flag} is {path}, which is {kind}; name a file, or a pipe.")
    if not stat.S_ISREG(found.st_mode):
        return
    # /dev/stdout, where that is a file: replaced, it would lose what stands in it (`>> log`).
    for number, stream in ((1, "standard output"), (2, "standard error")):
        with contextlib.suppress(OSError):
            if os.path.samestat(found, os.fstat(number)):
                raise ConfigError(f"--{flag} is {path}, where {stream} goes; name another file.")


def check_top_k(top_k: int, run: str) -> None:
    """Tells now, not after JAX and the weights are loaded, that a model has fewer labels.

    Raises:
      ConfigError: --top_k is above the labels of the model.
      InputError: This is no run, or its labels cannot be read.
    """
    runs.read_description(run)
    labels = read_json(pathlib.Path(run) / "labels.json")
    names = labels.get("names") if isinstance(labels, dict) else None
    # Whoever loads the model tells what else is wrong with the file.
    if isinstance(names, list) and top_k > len(names):
        raise ConfigError(f"--top_k is {top_k}, but the model has {len(names)} labels.")


def define_reading() -> None:
    """Defines flags that say how prediction files are to be read; see `read_readings`."""
    script = sys.argv[0]
    flags.DEFINE_enum(
        "format",
        reading_choices.AUTO,
        [reading_choices.AUTO, *reading_choices.FORMATS],
        "The format of prediction files; each file tells by itself otherwise.  For one file alone: "
        "FILE::format=pairs, and so with labels, own_names and scores, one after another.",
    )
    flags.DEFINE_enum(
        "labels",
        reading_choices.AUTO,
        [reading_choices.AUTO, *reading_choices.LABELS],
        "What stands for a label there: its name, or its place in the store's labels.json; auto "
        "takes names where all that occur are names, and refuses numbers that could be either.",
    )
    flags.DEFINE_string(
        "own_names",
        None,
        "The names of the labels by a system's own numbers, one a line: where its numbers are not "
        "the store's.",
    )
    flags.DEFINE_enum(
        "scores",
        reading_choices.AUTO,
        [reading_choices.AUTO, *reading_choices.KINDS],
        "What the scores there are: log-odds, probabilities, or scores of which only the order "
        "means something; auto takes probabilities where all lie in 0..1.",
    )
    for name in ("format", "labels", "own_names", "scores"):
        flags.FLAGS.register_key_flag_for_module(script, flags.FLAGS[name])


def read_readings(flag: str) -> dict[str, reading_choices.Reading]:
    """How to read each file of a flag: as FILE::OPTION=VALUE says, else as the flags for all do.

    Raises:
      ConfigError: An option that is none, or a file that stands there twice.
    """
    values = flags.FLAGS
    general = reading_choices.Reading(
        values.format,
        values.labels,
        values.own_names,
        values.scores,
        assumed=frozenset({"own_names", "scores"}),
    )
    return reading_choices.readings_of(flag, list(values[flag].value or ()), general)


def read_config() -> config_lib.Config:
    """The configuration that the command line asks for, validated."""
    values = flags.FLAGS
    config = config_lib.load_file(values.config) if values.config else config_lib.Config()
    for name in config_lib.fields():
        value = values[f"config.{name}"].value
        if value is not None:
            config_lib.set_field(config, name, value)
    return config.validate()


def _define_flags_of_jax() -> None:
    flags.DEFINE_string(
        "compilation_cache",
        None,
        "Folder in which compiled programs are kept, so that the next start need not compile them "
        "again; 'off' keeps none.  By default $JAX_COMPILATION_CACHE_DIR, or axml_jax/compiled in "
        "the user's cache folder; it may be deleted at any time.",
    )
    flags.DEFINE_bool(
        "deterministic",
        False,
        "On GPUs have XLA use only operations that give the same bits each time on the same cards, "
        "chosen without timing them; slower, and not for cuDNN's LSTM.  On a CPU all do.",
    )
    for name in ("compilation_cache", "deterministic"):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])


def _set_up_jax() -> None:
    """Sets JAX's environment variables from the flags; what the user has set stays."""
    folder = flags.FLAGS.compilation_cache
    if folder == "off":
        os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    elif folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.abspath(folder)
    else:
        caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(caches / "axml_jax" / "compiled"))
    # Many small programs take as long as a large one.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    if flags.FLAGS.deterministic:
        chosen = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{chosen} --xla_gpu_deterministic_ops=true".strip()


def _lacks_memory(error: Exception) -> bool:
    # XLA's errors have one type for all and begin with a code.
    return isinstance(error, MemoryError) or str(error).startswith("RESOURCE_EXHAUSTED")


def run(main: Callable[[Sequence[str]], None], *, handles_signals: bool = False) -> None:
    """Runs a script's main; bad input ends it with one clear line instead of a traceback.

    Args:
      main: Gets the arguments that are no flags.
      handles_signals: Whether it sees to them itself, once something is begun.
    """
    stopping.hear()
    streams.stand_in()
    # Who has imported JAX already has it set up.
    sets_up_jax = "jax" not in sys.modules
    if sets_up_jax:
        _define_flags_of_jax()

    def guarded(argv: Sequence[str]) -> None:
        if len(argv) > 1:
            complain(f"Unexpected argument: {argv[1]!r}. Options begin with --.")
            sys.exit(1)
        if not flags.FLAGS["verbosity"].present:
            # At "info", the default, orbax tells of each step of each checkpoint.
            logging.set_verbosity(logging.WARNING)
            orbax_log.silence()
        if sets_up_jax:
            _set_up_jax()
        try:
            programs = os.environ.get("JAX_COMPILATION_CACHE_DIR", "")
            with (
                contextlib.nullcontext() if handles_signals else stopping.ended_tidily(),
                compiled.mended(programs),
            ):
                main(argv)
                sys.stdout.flush()
        except BrokenPipeError:
            # The reader of our output has gone (`| head`); nothing is left to say, and Python's
            # last flush at exit must not say it either.
            streams.turn_away(sys.stdout)
            streams.turn_away(sys.stderr)
            sys.exit(_BROKEN_PIPE)
        except (InputError, ConfigError, NotImplementedError, OSError) as error:
            complain(str(error))
            sys.exit(1)
        except (MemoryError, RuntimeError) as error:
            if not _lacks_memory(error):
                raise
            complain(f"there is not enough memory: {error}; smaller batches and widths need less.")
            sys.exit(1)

    try:
        app.run(guarded, flags_parser=parse)
    except SystemExit as end:
        stopping.over(end.code if isinstance(end.code, int) else int(end.code is not None))
        gc.freeze()  # Python's last collections would take seconds, among all that JAX has made
        raise
