"""The age of a process: all that passed since it was started, before the interpreter was up too."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from axml_jax import process_age

SCRIPT = """
import ctypes, time
ctypes.CDLL(None).prctl(15, b") 1 (x", 0, 0, 0)  # a name that looks like other fields
time.sleep(0.3)
from axml_jax import process_age
print(process_age.seconds())
"""


def test_it_counts_from_the_start_of_the_process(user_environment: dict[str, str]) -> None:
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=user_environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert 0.3 <= float(done.stdout) < time.monotonic() - begin + 0.02


@pytest.mark.parametrize("text", [None, f"1 (x) {'0 ' * 50}"])
def test_without_a_known_beginning_it_counts_from_imports(
    text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere than on Linux, and in containers whose /proc has a zero there."""

    def read_text(*_: object, **__: object) -> str:
        if text is None:
            raise FileNotFoundError
        return text

    before = process_age.seconds()
    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(process_age, "_IMPORTED", time.monotonic() - 5)
    assert 5 <= process_age.seconds() < 6
    assert before > 0
