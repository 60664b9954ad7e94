"""What orbax logs of a failure: nothing of it reaches the terminal of a program of ours."""

import subprocess
import sys
from pathlib import Path

# As a program of its own: its log is that of a whole process, to the end.
SCRIPT = """
import json, pathlib, resource, sys
from axml_jax import orbax_log
from axml_jax.train.checkpoint import Checkpoints
from tests.train.checkpoint_test import make_state

orbax_log.silence()
folder = pathlib.Path(sys.argv[1])
checkpoints = Checkpoints(folder)
unlimited = resource.RLIM_INFINITY
# Who goes on at a step that failed is another process: threads of this one may still be at it.
for step, limit in ((3, 200), (5, unlimited), (7, 200), (9, unlimited)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited))
    try:
        checkpoints.save_latest(make_state(step), {"n": step})
    except OSError as error:
        print(error)
checkpoints.close()
latest = folder / "checkpoints" / "latest"
(latest / "5" / "_CHECKPOINT_METADATA").write_bytes(b"\\x1b[31mred{")
(latest / "9" / "checksums.json").unlink()
(latest / "9" / "counters" / "metadata").write_text(json.dumps({"n": 9}))
for file in (latest / "9" / "arrays" / "d").iterdir():
    file.write_bytes(file.read_bytes()[:20])
_, counters = Checkpoints(folder).restore_latest(make_state(0))
print(counters)
"""


def test_failures_to_write_and_to_read_are_one_line_each(tmp_path: Path, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
    first, later, counters = done.stdout.splitlines()
    latest = tmp_path / "checkpoints" / "latest"
    assert first.startswith(f"{latest}: the checkpoint of step 3 could not be written (")
    assert "File too large). Once there is room, the same command continues." in first
    assert "File too large). Those before it are whole: once there is room" in later
    (damaged,) = done.stderr.splitlines()
    assert damaged.startswith(f"{latest / '9'}: the checkpoint of step 9 is damaged: ")
    assert "set aside" in damaged
    assert counters == "{'n': 5}"
