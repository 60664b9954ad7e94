"""The script that looks for raise statements which no test has reached."""

from pathlib import Path

from tests.error_paths import PACKAGES, Raise, raises, unreached

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


def test_the_packages_have_raise_statements() -> None:
    for package in PACKAGES:
        sources = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
        assert sum(len(list(raises(source))) for source in sources) > 5
