"""The one command for a GPU: each part has its time, and a part that fails stops no other."""

from __future__ import annotations

import ast
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from benchmarks import gpu
from benchmarks.train_step_data import SHAPES

Run = Callable[..., subprocess.CompletedProcess[str]]

# Runs a script as far as its flags.
PARSE = """
import runpy, sys
from absl import app, flags
from axml_jax import flags as ours

def parse(main):
    flags.FLAGS(sys.argv)
    sys.exit(0)

app.run = ours.run = parse
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("part", gpu.PARTS)
def test_every_part_is_a_command_that_takes_its_flags(
    part: str, root: Path, run_python: Run
) -> None:
    command = gpu.command(part, 100, ["--out=there"])
    assert command[0] == sys.executable
    if command[1] == "-m":
        assert command[2] == "pytest"
        for folder in gpu.PARTS[part].what:
            marked = [x for x in (root / folder).glob("*_test.py") if "mark.gpu" in x.read_text()]
            assert marked, folder
        return
    assert command[2:4] == ["--minutes=1.33", "--out=there"]
    for more, code in (([], 0), (["--nobody_has_this_flag"], 1)):
        done = run_python("-c", PARSE, *command[1:], *more)
        assert done.returncode == code, done.stderr
        assert ("nobody_has_this_flag" in done.stderr) is bool(code)


def test_shares_are_all_of_the_time() -> None:
    assert sorted(part for parts in gpu.COMMANDS.values() for part in parts) == sorted(gpu.PARTS)
    for parts in gpu.COMMANDS.values():
        assert sum(gpu.PARTS[part].share for part in parts) == pytest.approx(1)
    assert gpu.MINUTES < 9


def test_the_recurrent_layer_is_measured_at_the_widths_of_the_papers_models(root: Path) -> None:
    """`recurrence=auto` takes cuDNN at a measured width only."""
    named = [flag.removeprefix("--shape=") for flag in gpu.PARTS["recurrence"].flags]
    configs = (root / "launch" / "configs").glob("paper_*.py")
    wanted = {runpy.run_path(str(path))["get_config"]().model.hidden for path in configs}
    assert wanted == {SHAPES[name].hidden for name in named if name in SHAPES}


def test_the_modules_that_are_named_are_those_that_are_imported(root: Path) -> None:
    """Of all files that the parts reach by imports at the head of a file."""
    files = [
        root / name for part in gpu.PARTS.values() for name in part.what if name.endswith(".py")
    ]
    files += [root / "benchmarks" / "label_attention_memory.py", root / "tests" / "conftest.py"]
    files += (root / "tests" / "kernels").glob("*_test.py")
    others: set[str] = set()
    seen: set[Path] = set()
    while files:
        path = files.pop()
        if path in seen:
            continue
        seen.add(path)
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            for module in imported(statement):
                for folder in (root, root / "kernels"):
                    place = folder.joinpath(*module.split("."))
                    names = place.with_suffix(".py"), place / "__init__.py"
                    files += [name for name in names if name.is_file()]
                first = module.partition(".")[0]
                if first not in ("axml_jax", "axml_kernels", "benchmarks", "tests"):
                    others.add(first)
    others -= sys.stdlib_module_names | {"jax"}
    assert others | {"pytest"} == set(gpu.NEEDED)


def imported(statement: ast.stmt) -> list[str]:
    """Modules that a statement at the head of a file imports."""
    if isinstance(statement, ast.Import):
        return [name.name for name in statement.names]
    if isinstance(statement, ast.ImportFrom) and statement.module:
        module = statement.module
        return [module, *(f"{module}.{name.name}" for name in statement.names)]
    return []


FAILS = "print('tests/some_test.py::test_it FAILED [ 50%]', flush=True); "


@pytest.mark.parametrize(
    ("tests", "told"),
    [
        ("", "failed: tiles (out of time)"),
        ("import time; time.sleep(60)", "failed: tests (out of time), tiles (out of time)"),
        (
            FAILS + "raise SystemExit(1)",
            "failed: tests (exit status 1), tiles (not run: a test failed)",
        ),
        (
            FAILS + "import time; time.sleep(60)",
            "failed: tests (out of time), tiles (not run: a test failed)",
        ),
        (
            "raise SystemExit(4)",  # pytest's usage error
            "failed: tests (exit status 4), tiles (not run: a test failed)",
        ),
    ],
)
def test_only_a_failing_test_keeps_the_tuner_from_running(
    tests: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """What fails is named, and the rest still runs."""
    written = tmp_path / "written"
    scripts = {
        "tests": tests,
        "tiles": "import time; time.sleep(60)",
        "label_attention": f"open({str(written)!r}, 'w').close()",
    }
    monkeypatch.setattr(
        gpu, "command", lambda part, seconds, out: [sys.executable, "-c", scripts[part]]
    )
    with pytest.raises(SystemExit) as end:
        gpu.run_all(gpu.COMMANDS["label_attention"], 0.2, [], str(tmp_path / "programs"))
    assert end.value.code == 1
    assert written.exists()
    assert told in capsys.readouterr().out


def test_parts_are_refused_by_name(run_benchmark: Run) -> None:
    done = run_benchmark("gpu", "--parts=tests,tile")
    assert done.returncode == 1
    assert "--parts: 'tile' should be one of tests, tiles, label_attention" in done.stderr


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
def test_without_a_gpu_nothing_is_run_or_written(run_benchmark: Run) -> None:
    done = run_benchmark("gpu")
    assert done.returncode == 1
    assert "Nothing was run: JAX sees no GPU (its backend is 'cpu')" in done.stderr
    assert "==" not in done.stdout
