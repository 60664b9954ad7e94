"""The run folder: description, refusals, lock, metric files, a clean stop."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from axml_jax import runs
from axml_jax.errors import ConfigError, InputError

CONFIG = {"seed": 0, "model": {"hidden": 4, "fully_connected": (4,)}}
DATA = {"path": "somewhere", "fingerprint": "abc", "vectors": None}


def begin(folder: Path, config: Any = CONFIG, data: Any = DATA) -> Path:
    opened, continued = runs.open_run(folder, config, data)
    assert not continued
    runs.describe_run(opened, config, data)
    return opened


def test_the_description_names_what_a_result_needs(tmp_path: Path) -> None:
    description = runs.read_description(begin(tmp_path / "deep" / "run"))
    assert description["config"]["model"] == {"hidden": 4, "fully_connected": [4]}
    assert description["data"] == DATA
    for name in ("axml_jax", "python", "jax", "numpy"):
        assert description["versions"][name][0].isdigit()
    assert description["device"] == "4 x cpu"
    assert description["cores"] == os.cpu_count()
    assert "commit" in description


def test_only_the_devices_in_use_are_named() -> None:
    import jax

    assert runs.environment(jax.local_devices()[:1])["device"] == "1 x cpu"


def test_the_same_configuration_continues(tmp_path: Path) -> None:
    folder = begin(tmp_path / "run")
    # JSON has made a list of the tuple; the path of the data may be another.
    assert runs.open_run(folder, CONFIG, {**DATA, "path": "elsewhere"}) == (folder, True)


def test_how_a_continued_run_is_dealt_is_kept_for_prediction(tmp_path: Path) -> None:
    folder = begin(tmp_path / "run", {**CONFIG, "parallel": {"labels": 1}}, DATA)
    before = runs.read_description(folder)
    dealt = {**CONFIG, "parallel": {"labels": 8}}
    assert runs.open_run(folder, dealt, DATA) == (folder, True)
    runs.update_description(folder, dealt)
    kept = {**before["config"], "parallel": {"labels": 8}}
    assert runs.read_description(folder) == {**before, "config": kept}
    written = (folder / "run.json").stat().st_ino
    runs.update_description(folder, dealt)  # nothing new
    assert (folder / "run.json").stat().st_ino == written


def test_another_configuration_is_refused_with_every_difference(tmp_path: Path) -> None:
    folder = begin(tmp_path / "run")
    other = {"seed": 1, "model": {"hidden": 4, "fully_connected": (8, 4)}}
    with pytest.raises(ConfigError, match="run of another configuration") as caught:
        runs.open_run(folder, other, {**DATA, "vectors": "def"})
    message = str(caught.value)
    assert "config.seed: 0 there, 1 here" in message
    assert "config.model.fully_connected: [4] there, [8, 4] here" in message
    assert "data.vectors: None there, 'def' here" in message
    assert "hidden" not in message
    assert "fingerprint" not in message


def test_other_data_are_refused(tmp_path: Path) -> None:
    folder = begin(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"data\.fingerprint: 'abc' there, 'xyz' here"):
        runs.open_run(folder, CONFIG, {**DATA, "fingerprint": "xyz"})


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("everything")
    with pytest.raises(InputError, match="not empty and is not a run folder"):
        runs.open_run(tmp_path, CONFIG, DATA)
    with pytest.raises(InputError, match="it is a file, not a folder; name another --run"):
        runs.open_run(tmp_path / "thesis.tex", CONFIG, DATA)
    with pytest.raises(InputError, match=r"cannot be made \(Not a directory\); name another --run"):
        runs.open_run(tmp_path / "thesis.tex" / "run", CONFIG, DATA)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_or_one_with_a_lock_alone_is_free(tmp_path: Path) -> None:
    assert runs.open_run(tmp_path, CONFIG, DATA) == (tmp_path, False)
    with runs.locked(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
        assert runs.open_run(tmp_path, CONFIG, DATA) == (tmp_path, False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not a run folder .it has no run.json."),
        ("{", "not whole JSON"),
        ("[]", "not written by axml_jax"),
        ('{"format": "axml_jax.store"}', "not written by axml_jax"),
        ('{"format": "axml_jax.run", "version": 99}', "format version 99; .* reads version 1"),
        ('{"format": "axml_jax.run", "version": 1, "config": {}}', "damaged"),
    ],
)
def test_a_folder_that_is_no_run_is_told(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=message):
        runs.read_description(tmp_path)


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    runs.write_json(path, {"name": "é"})
    with pytest.raises(TypeError):
        runs.write_json(path, {"name": "new", "bad": object()})
    assert runs.read_json(path) == {"name": "é"}
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="no such file"):
        runs.read_json(tmp_path / "y.json")


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        runs.write_json(tmp_path / "x.json", {})
    finally:
        os.umask(old)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o644


def test_a_second_process_is_refused_until_the_first_has_ended(
    tmp_path: Path, user_environment: dict[str, str]
) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import pathlib, sys\n"
            "from axml_jax import runs\n"
            f"with runs.locked(pathlib.Path({str(tmp_path)!r})):\n"
            "    print('held', flush=True)\n"
            "    sys.stdin.read()\n",
        ],
        env=user_environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ConfigError, match="another process is training"),
            runs.locked(tmp_path),
        ):
            pass
        holder.kill()  # the lock dies with its process, however that dies
        holder.wait()
    with runs.locked(tmp_path):
        pass


def lines(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_timings_stand_apart_from_what_repeats(tmp_path: Path) -> None:
    writer = runs.MetricWriter(tmp_path)
    writer.write(2, {"loss": 0.5}, {"documents_per_second": 7.0})
    # Whoever follows the file sees it at once.
    assert lines(tmp_path) == [{"step": 2, "loss": 0.5}]
    size = writer.flush()
    writer.close()
    assert size == (tmp_path / "metrics.jsonl").stat().st_size
    assert lines(tmp_path, "timings.jsonl") == [{"step": 2, "documents_per_second": 7.0}]


def test_a_continued_run_cuts_the_metrics_back(tmp_path: Path) -> None:
    writer = runs.MetricWriter(tmp_path)
    writer.write(1, {"loss": 0.5}, {})
    size = writer.flush()
    writer.write(2, {"loss": 0.4}, {})
    writer.close()
    writer = runs.MetricWriter(tmp_path, size, 1)
    writer.write(2, {"loss": 0.3}, {})
    writer.close()
    assert lines(tmp_path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.3}]


def test_a_shortened_metrics_file_is_not_filled_with_zeros(tmp_path: Path) -> None:
    writer = runs.MetricWriter(tmp_path, 1000, 1)
    writer.write(2, {"loss": 0.3}, {})
    writer.close()
    assert lines(tmp_path) == [{"step": 2, "loss": 0.3}]


class Recorder:
    """Stands in for `Events`."""

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        self.purge_step = purge_step
        self.scalars: list[tuple[str, float, int]] = []

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def flush(self) -> None: ...
    def close(self) -> None: ...


def test_losses_timings_and_validation_all_become_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "Events", Recorder)
    (tmp_path / "events").mkdir()  # by the process that began the run
    writer = runs.MetricWriter(tmp_path, 0, 7)
    # Its import may take longer than all else at a start: only with the first record.
    assert writer._events is None
    writer.write(8, {"loss": 0.5, "validation": {"P@1": 10.0}}, {"speed": 7.0})
    events: Any = writer._events
    writer.close()
    assert events.purge_step == 7
    assert events.scalars == [("loss", 0.5, 8), ("validation/P_at_1", 10.0, 8), ("speed", 7.0, 8)]


def test_real_events_are_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    writer = runs.MetricWriter(tmp_path)
    writer.write(8, {"loss": 0.5}, {})
    writer.close()
    (file,) = (tmp_path / "events").iterdir()
    assert b"loss" in file.read_bytes()


def test_without_an_event_writer_nothing_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    writer = runs.MetricWriter(tmp_path)
    writer.write(8, {"loss": 0.5}, {})
    writer.flush()
    writer.close()
    assert lines(tmp_path) == [{"step": 8, "loss": 0.5}]
    assert not (tmp_path / "events").exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_the_source_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "runs.py"
    file.write_text("one\n")
    monkeypatch.setattr(runs, "__file__", str(file))
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "someone")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "someone@example.org")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert runs.commit() is None  # no repository
    git("init")
    git("commit", "--allow-empty", "--message", "somebody else's")
    assert runs.commit() is None  # a repository that the source does not belong to
    git("add", "runs.py")
    git("commit", "--message", "ours")
    head = git("rev-parse", "HEAD")
    assert runs.commit() == head
    file.write_text("two\n")
    assert runs.commit() == f"{head}+changes"


def test_a_run_begun_from_elsewhere_is_another_one(tmp_path: Path) -> None:
    begun = {"run": "a", "fingerprint": "x", "step": 5}
    folder = begin(tmp_path / "run", data={**DATA, "init_from": begun})
    renamed = {**DATA, "init_from": {**begun, "run": "b"}}
    assert runs.open_run(folder, CONFIG, renamed) == (folder, True)
    with pytest.raises(ConfigError, match=r"Differing: data\.init_from\.step: 5 there, 6 here$"):
        runs.open_run(folder, CONFIG, {**DATA, "init_from": {**begun, "step": 6}})
    with pytest.raises(ConfigError, match=r"data\.init_from: \{'fingerprint': 'x', .* None here"):
        runs.open_run(folder, CONFIG, DATA)
