"""Feeds launch/predict.py a long stream with bad texts in it, and watches answers and memory.

python tests/soak/long_stream.py RUN DOCUMENTS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).resolve().parents[2] / "launch" / "predict.py"
BAD_EVERY = 100
"""Each so many-th line is bad."""

_BAD = (b"\xff\xfe no UTF-8", b"{", b'{"title": "no text"}', b'{"text": 3}')
_SAMPLES = 64


class Soaked(NamedTuple):
    """How it went.

    Attributes:
      lines: Answers, of which `bad` say what is wrong.
      status: The exit status.
      told: Standard error.
      memory: Resident bytes of the process at equal distances.
    """

    lines: int
    bad: int
    status: int
    told: str
    memory: list[int]


def document(line: int) -> bytes:
    """The line of this number, from 1: the first is good, since it tells the format."""
    if line % BAD_EVERY == 0:
        return _BAD[line // BAD_EVERY % len(_BAD)] + b"\n"
    words = " ".join(f"word{line * step % 977}" for step in range(1, 4 + line % 9))
    return json.dumps({"id": line, "text": f"flags and {words}"}).encode() + b"\n"


def soak(run: Path, documents: int, environment: Mapping[str, str] | None = None) -> Soaked:
    """Predicts for so many lines.

    Args:
      run: A run folder.
      documents: Lines written to standard input.
      environment: Environment variables of the process; this one's by default.

    Raises:
      AssertionError: An answer that belongs to another line, or is of the other kind.
    """
    told: list[bytes] = []
    lines, bad = 0, 0
    memory: list[int] = []
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), f"--run={run}", "--top_k=2"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        feeder = threading.Thread(target=_feed, args=(process.stdin, documents), daemon=True)
        listener = threading.Thread(target=told.extend, args=(process.stderr,), daemon=True)
        feeder.start()
        listener.start()
        for lines, content in enumerate(process.stdout, start=1):
            answer = json.loads(content)
            is_bad = lines % BAD_EVERY == 0
            assert (answer["line"], "error" in answer) == (lines, is_bad), content
            assert is_bad or (len(answer["labels"]), answer["id"]) == (2, str(lines)), content
            bad += is_bad
            if lines % max(1, documents // _SAMPLES) == 0:
                memory += filter(None, [_resident(process.pid)])  # 0 once it has ended
        feeder.join()
        listener.join()
    return Soaked(lines, bad, process.returncode, b"".join(told).decode(), memory)


def _feed(pipe: object, documents: int) -> None:
    with pipe:  # type: ignore[attr-defined]
        for line in range(1, documents + 1):
            pipe.write(document(line))  # type: ignore[attr-defined]


def _resident(process: int) -> int:
    fields = Path(f"/proc/{process}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def main(run: str, documents: str) -> None:
    """Prints what came of it."""
    done = soak(Path(run), int(documents))
    warm = done.memory[len(done.memory) // 4]
    print(f"answers: {done.lines:,}, of which say what is wrong: {done.bad:,}")
    print(f"exit status {done.status}, peak memory {max(done.memory) / 2**20:,.0f} MiB")
    print(f"memory after a quarter and at the end: {warm:,} and {done.memory[-1]:,} bytes")
    assert (done.lines, done.status) == (int(documents), 3), done.told


if __name__ == "__main__":
    main(*sys.argv[1:])
