"""The script that looks for raise statements which no test has reached."""

from pathlib import Path

import coverage
import pytest

from tests.error_paths import PACKAGES, Raise, raises, reached_lines, unreached

SOURCE = """\
def check(value):
    if value < 0:
        raise ValueError(
            "below nothing"
        )
    if value > 9:
        raise ValueError("too much")  # unreached here: needs a GPU
    try:
        return 1 / value
    except ZeroDivisionError:
        # unreached here: needs several hosts
        raise
"""


def test_every_raise_is_found_with_its_excuse() -> None:
    assert list(raises(SOURCE)) == [
        Raise(3, 5, ""), Raise(7, 7, "needs a GPU"), Raise(12, 12, "needs several hosts")
    ]  # fmt: skip


def test_what_no_test_reached_is_told(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text(SOURCE)
    reached: set[int] = {1, 2, 6, 8}
    missing, excused = unreached([file], lambda _: reached)
    assert missing == [f"{file}:3"]
    assert excused == [f"{file}:7: needs a GPU", f"{file}:12: needs several hosts"]
    reached |= {4, 12}  # Python may count any line of a statement
    missing, excused = unreached([file], lambda _: reached)
    assert missing == []
    assert excused == [f"{file}:7: needs a GPU"]


def test_the_lines_of_all_processes_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for process, lines in ((1, {"/a.py": [1, 2]}), (2, {"/a.py": [2, 5], "/b.py": [7]})):
        data = coverage.CoverageData(str(tmp_path / f"data.{process}"))
        data.add_lines(lines)
        data.write()
        data.close()
    (tmp_path / "data.3").write_bytes(b"cut short")
    assert reached_lines(tmp_path / "data") == {"/a.py": {1, 2, 5}, "/b.py": {7}}
    assert "data.3" in capsys.readouterr().out
    assert reached_lines(tmp_path / "none") == {}


def test_the_packages_have_raise_statements() -> None:
    for package in PACKAGES:
        sources = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
        assert sum(len(list(raises(source))) for source in sources) > 5
