"""Command lines: fields as flags, and how a script ends when something is wrong."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver

from axml_jax import flags as axml_flags
from axml_jax.errors import ConfigError

Parse = Callable[..., object]

# Nothing here imports jax: a mistake on the command line is told at once.
SCRIPT = """
import sys
from axml_jax import flags
from axml_jax.errors import ConfigError, InputError
flags.define_config()
def main(argv):
    assert "jax" not in sys.modules
    {body}
flags.run(main)
"""


@pytest.fixture
def parse() -> Iterator[Parse]:
    if "config" not in flags.FLAGS:
        axml_flags.define_config()
    with flagsaver.flagsaver():
        yield lambda *arguments: flags.FLAGS(["program", *arguments])


def run(
    body: str, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_flags_are_the_papers_setting(parse: Parse) -> None:
    parse()
    config = axml_flags.read_config()
    assert (config.model.hidden, config.data.batch_size) == (256, 40)


def test_flags_override_the_file_field_by_field(parse: Parse, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from axml_jax.config import Config\n"
        "def get_config():\n"
        "    config = Config(seed=5)\n"
        "    config.model.hidden = 8\n"
        "    config.model.dropout = 0.1\n"
        "    return config\n"
    )
    parse(
        f"--config={path}",
        "--config.model.hidden=9",
        "--config.model.fully_connected=7,6",
        "--noconfig.model.train_words",
        "--config.train.learning_rate=0.5",
        "--config.train.decay=cosine",
    )
    config = axml_flags.read_config()
    assert (config.seed, config.model.dropout) == (5, 0.1)
    assert (config.model.hidden, config.model.fully_connected) == (9, (7, 6))
    assert (config.model.train_words, config.train.decay) == (False, "cosine")
    assert config.train.learning_rate == 0.5


def test_an_impossible_value_is_refused(parse: Parse) -> None:
    parse("--config.model.dropout=1.5")
    with pytest.raises(ConfigError, match=r"config\.model\.dropout is 1\.5"):
        axml_flags.read_config()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "--config.model.hiden=3",
            "error: --config.model.hiden: there is no such configuration field; did you mean "
            "--config.model.hidden?",
        ),
        ("--config.epoch=3", "did you mean --config.train.epochs?"),
        ("--config.model.lerning_rate=3", "did you mean --config.train.learning_rate?"),
        ("--compilation_cash=off", "there is no such flag; did you mean --compilation_cache?"),
        ("--zzz", "error: --zzz: there is no such flag; --help lists all."),
        ("--config.model.dropout=nan", "--config.model.dropout is nan; it must be a number."),
        ("--config.train.learning_rate=fast", "--config.train.learning_rate=fast: "),
        ("--config.model.hidden=wide", "config.model.hidden"),
        ("--config.train.decay=cosin", "value should be one of"),
        ("stray", "Unexpected argument: 'stray'. Options begin with --"),
    ],
)
def test_a_mistaken_argument_ends_the_script(
    argument: str, message: str, user_environment: dict[str, str]
) -> None:
    done = run("print('ran')", user_environment, argument)
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert "ran" not in done.stdout.split()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("raise InputError('three came.', file='x.txt', line=2)", "error: x.txt:2: three came."),
        ("raise ConfigError('a\\nb')", "error: a b"),
        ("open('no/such/file')", "error: [Errno 2] No such file or directory: 'no/such/file'"),
        ("raise NotImplementedError('no kernel')", "error: no kernel"),
    ],
)
def test_an_error_of_the_user_is_one_line(
    body: str, line: str, user_environment: dict[str, str]
) -> None:
    done = run(body, user_environment)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{line}\n")


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("import numpy; numpy.ones(2**55)", "Unable to allocate 256. PiB"),
        (
            "import jax; raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')",
            "RESOURCE_EXHAUSTED: Out of memory",
        ),
    ],
)
def test_too_little_memory_is_one_line(
    body: str, cause: str, user_environment: dict[str, str]
) -> None:
    done = run(body, user_environment)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"error: there is not enough memory: {cause}")


@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize(
    ("name", "status", "told"),
    [("SIGTERM", 143, "SIGTERM"), ("SIGINT", 130, "Ctrl-C"), ("SIGHUP", 129, "SIGHUP")],
)
def test_a_script_that_is_ended_tidies_up(
    name: str, status: int, told: str, user_environment: dict[str, str]
) -> None:
    body = f"""
    import os, signal, time
    try:
        os.kill(os.getpid(), signal.{name}); time.sleep(9)
    finally:
        print("tidy")
"""
    done = run(body.strip(), user_environment)
    assert (done.returncode, done.stdout) == (status, "tidy\n")
    assert done.stderr == f"stopped by {told}\n"


def test_the_end_of_a_script_collects_nothing(user_environment: dict[str, str]) -> None:
    done = run("import atexit, gc; atexit.register(lambda: print(gc.get_count()[0] + 999 < "
               "gc.get_freeze_count()))", user_environment)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "True\n")


def test_an_error_of_ours_keeps_its_traceback(user_environment: dict[str, str]) -> None:
    for error in ("ValueError", "RuntimeError"):
        done = run(f"raise {error}('a bug')", user_environment)
        assert done.returncode == 1
        assert "Traceback" in done.stderr


def test_success_is_quiet(user_environment: dict[str, str]) -> None:
    done = run("print('ran')", user_environment, "--config.model.hidden=3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


@pytest.mark.parametrize("lines", [1, 100_000], ids=["at exit", "while writing"])
def test_a_reader_that_leaves_is_no_error(lines: int, user_environment: dict[str, str]) -> None:
    code = SCRIPT.format(body=f"print('line\\n' * {lines})")
    read, write = os.pipe()
    os.close(read)  # gone before anything is written
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=user_environment,
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_lists_every_field_with_its_default(user_environment: dict[str, str]) -> None:
    shown = " ".join(run("", user_environment, "--helpfull").stdout.split())
    assert "--config.model.hidden: LSTM units per direction" in shown
    assert "(paper's setting: 256)" in shown
    assert "--config.train.decay: <none|linear|cosine>" in shown


SHOWN = (
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_ENABLE_COMPILATION_CACHE",
    "XLA_FLAGS",
)
SHOW = f"import os; print(*(os.environ.get(name, '-') for name in {SHOWN!r}), sep='|')"


def shown(environment: dict[str, str], *arguments: str) -> list[str]:
    clean = {name: value for name, value in environment.items() if name not in SHOWN}
    done = run(SHOW, {**clean, "XDG_CACHE_HOME": "/caches"}, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split("|")


def test_compiled_programs_are_kept(user_environment: dict[str, str], tmp_path: Path) -> None:
    assert shown(user_environment) == ["/caches/axml_jax/compiled", "-", "-"]
    chosen = shown(user_environment, f"--compilation_cache={tmp_path}")
    assert chosen == [str(tmp_path), "-", "-"]
    assert shown(user_environment, "--compilation_cache=off") == ["-", "false", "-"]
    # Who has told JAX need not tell the script.
    done = run(SHOW, {**user_environment, "JAX_COMPILATION_CACHE_DIR": "/mine"})
    assert done.stdout.startswith("/mine|")


def test_deterministic_is_a_flag_of_xla(user_environment: dict[str, str]) -> None:
    flag = shown(user_environment, "--deterministic")[2]
    assert flag == "--xla_gpu_deterministic_ops=true"  # the one that also leaves out autotuning
    # XLA ends a program that is given a flag it does not know.
    starts = run("import jax; jax.devices()", {**user_environment, "XLA_FLAGS": flag})
    assert starts.returncode == 0, starts.stderr
    unknown = run("import jax; jax.devices()", {**user_environment, "XLA_FLAGS": flag + "x"})
    assert unknown.returncode != 0


def test_a_disk_or_a_socket_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as ours:
        ours.bind("socket")
        with pytest.raises(ConfigError, match="--output is socket, which is a socket; name a fi"):
            axml_flags.check_output("output", "socket")
    disk = os.stat_result((stat.S_IFBLK | 0o600, *range(9)))
    real = os.stat
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", lambda path: disk if path == "new" else real(path))
        with pytest.raises(ConfigError, match="--output is new, which is a disk; name a file"):
            axml_flags.check_output("output", "new")
