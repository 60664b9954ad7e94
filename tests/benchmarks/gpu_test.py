"""The one command for a GPU: each part has its time, and a part that fails stops no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from benchmarks import gpu


@pytest.mark.parametrize("part", gpu.SHARES)
def test_every_part_is_a_command_that_exists(part: str) -> None:
    command = gpu.command(part, 1.5, ["--out=there"])
    assert command[0] == sys.executable
    if part == "tests":
        assert command[1:4] == ["-m", "pytest", "-q"]
    else:
        assert Path(command[1]).is_file()
        assert command[2:] == ["--minutes=1.50", "--out=there"]
        source = Path(command[1]).read_text(encoding="utf-8")
        assert '"minutes"' in source
        assert '"out"' in source


def test_shares_are_all_of_the_time() -> None:
    assert sum(gpu.SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize("tests_pass", [True, False])
def test_what_fails_is_named_and_the_rest_still_runs(
    tests_pass: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    written = tmp_path / "written"
    scripts = {
        "tests": "" if tests_pass else "raise SystemExit(3)",
        "tiles": "import time; time.sleep(60)",
        "label_attention": "",
        "train_step": f"open({str(written)!r}, 'w').close()",
    }
    monkeypatch.setattr(
        gpu, "command", lambda part, minutes, out: [sys.executable, "-c", scripts[part]]
    )
    with pytest.raises(SystemExit) as end:
        gpu.run_all(0.1, [])
    assert end.value.code == 1
    assert written.exists()
    told = capsys.readouterr().out
    if tests_pass:
        assert "failed: tiles (out of time)" in told
    else:
        assert "failed: tests (exit status 3), tiles (not run: the tests did not pass)" in told


def test_a_part_that_is_out_of_time_may_write_what_it_has(tmp_path: Path) -> None:
    written = tmp_path / "written"
    script = (
        "import signal, sys, time\n"
        f"def end(*_): open({str(written)!r}, 'w').close(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "time.sleep(60)"
    )
    assert gpu.run([sys.executable, "-c", script], dict(os.environ), 1.5) == "out of time"
    assert written.exists()


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="there is a GPU")
def test_without_a_gpu_nothing_is_run_or_written(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(root / "benchmarks" / "gpu.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Nothing was run: JAX sees no GPU (its backend is 'cpu')" in done.stderr
    assert "==" not in done.stdout
