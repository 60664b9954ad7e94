"""How training begins: with no import that its first step can do without, told from the start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from axml_jax.config import Config
from axml_jax.data.store import Store
from axml_jax.train import loop

# As a program of its own: here everything is imported.
SCRIPT = """
import json, sys
from axml_jax.config import from_dict
from axml_jax.data.store import open_store
from axml_jax.train import loop

def first(self, *rest):
    print([name for name in ("jax", "orbax", "matplotlib", "tensorboardX") if name in sys.modules])
    return 0, "seen"

loop._Session._steps = first
loop._Session._result = lambda *rest: {}
loop.train(from_dict(json.loads(sys.argv[1])), open_store(sys.argv[2]), sys.argv[3])
"""


def test_the_first_step_does_not_wait_for_orbax(
    tiny_config: Config,
    tiny_store: Store,
    tmp_path: Path,
    user_environment: dict[str, str],
    compilation_cache: Path,
) -> None:
    arguments = [json.dumps(tiny_config.to_dict()), str(tiny_store.path), str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env={**user_environment, "JAX_COMPILATION_CACHE_DIR": str(compilation_cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "['jax']\n"), done.stderr


@pytest.mark.usefixtures("compilation_cache")
def test_a_script_tells_of_its_first_step_from_its_own_start(
    tiny_config: Config,
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny_config.train.epochs = 1
    monkeypatch.setattr(loop.process_age, "seconds", lambda: 86_400.0)
    for script, told in ((False, False), (True, True)):
        monkeypatch.setattr(loop, "in_script", lambda script=script: script)
        run = tmp_path / f"script {script}"
        loop.train(tiny_config, tiny_store, run)
        first = json.loads((run / "timings.jsonl").read_text().splitlines()[0])
        assert (first["seconds_to_first_step"] == 86_400) == told
        assert ("first step done 86400.0 s after the start" in capsys.readouterr().err) == told
