"""Standard streams that are closed, full or ASCII, and whose readers leave: as processes have them.

What the shell does to a stream is written as the shell has it (`>&-`).
"""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from axml_jax import flags, streams
from axml_jax.errors import InputError
from axml_jax.progress import bar, say
def main(argv):
    assert "jax" not in sys.modules
    {body}
flags.run(main)
"""


def run(
    body: str, redirected: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-c",
         SCRIPT.format(body=body)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_closed_output_is_no_error_and_no_other_file_gets_what_is_printed(
    tmp_path: Path, user_environment: dict[str, str]
) -> None:
    path = tmp_path / "file"
    body = f"""
    with open({str(path)!r}, "w") as file:
        assert file.fileno() > 2, file
        print("out", flush=True), say("told"), sys.stdout.fileno(), sys.stderr.fileno()
        file.write("mine")
    import subprocess
    subprocess.run(["sh", "-c", "echo out; echo told >&2"], check=True)
"""
    for redirected, out, told in (
        (">&-", "", 2 * "told\n"),
        ("2>&-", 2 * "out\n", ""),
        ("<&- >&- 2>&-", "", ""),
    ):
        done = run(body.strip(), redirected, user_environment)
        assert (done.returncode, path.read_text()) == (0, "mine"), (redirected, done.stderr)
        assert (done.stdout, done.stderr) == (out, told), redirected


def test_an_error_without_standard_error_is_a_status(user_environment: dict[str, str]) -> None:
    done = run("raise InputError('x')", "2>&-", user_environment)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_reading_closed_input_is_one_line(user_environment: dict[str, str]) -> None:
    done = run("streams.standard_input()", "<&-", user_environment)
    told = "error: standard input: it is closed; name a file with --input FILE.\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_what_ascii_cannot_say_is_printed_as_escapes(user_environment: dict[str, str]) -> None:
    ascii_only = {**user_environment, "PYTHONIOENCODING": "ascii"}
    done = run("print('tr\\xe4in'), say('tr\\xe4in')", "", ascii_only)
    assert (done.returncode, done.stdout, done.stderr) == (0, "tr\\xe4in\n", "tr\\xe4in\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("count", [1, 100_000], ids=["at exit", "while printing"])
def test_full_output_is_one_line(
    count: int, unbuffered: str, full_device: Path, user_environment: dict[str, str]
) -> None:
    environment = {**user_environment, "PYTHONUNBUFFERED": unbuffered}
    done = run(f"print('line\\n' * {count})", f">{full_device}", environment)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: standard output: it could not be written (No space left on dev")
    assert full_device.is_char_device()


def test_full_standard_error_ends_no_work(
    full_device: Path, user_environment: dict[str, str]
) -> None:
    done = run("say('lost'), say('lost'), print('done')", f"2>{full_device}", user_environment)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_reader_of_messages_that_leaves_ends_no_work(user_environment: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)  # gone before anything is written
    body = "say('lost'), say('lost'), sys.stderr.write('lost'), print('done')"
    try:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(body=body)],
            env=user_environment, stdout=subprocess.PIPE, stderr=write, text=True, check=False,
        )  # fmt: skip
    finally:
        os.close(write)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_terminal_that_is_closed_below_a_bar_ends_no_work(
    tmp_path: Path, user_environment: dict[str, str]
) -> None:
    pytest.importorskip("rich")
    here, there = pty.openpty()
    body = """
    import os, time
    assert sys.stderr.isatty()
    with bar("working", 3) as advance:
        os.write(1, b"begun\\n")  # rich would have print go above the bar
        sys.stdin.readline()
        advance()
        say("lost")
        time.sleep(0.6)  # rich draws four times a second
        advance(2)
    print("done")
"""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(body=body.strip())],
        env={**user_environment, "TERM": "xterm"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=there, text=True,
    ) as process:  # fmt: skip
        os.close(there)
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        os.close(here)
        told, _ = process.communicate("go on\n", timeout=60)
    assert (process.returncode, told) == (0, "done\n")
