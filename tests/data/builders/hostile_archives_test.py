"""Archives that want to write elsewhere, or more than a disk holds."""

import stat
import zipfile
from pathlib import Path

import pytest

from axml_jax.data import archives
from axml_jax.data.builders import tfds_builders
from axml_jax.errors import InputError


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "name",
    ["../outside", "../../outside", "/outside", "//outside", "a/../../../outside", "./../outside"],
)
def test_names_that_lead_out_of_the_folder_stay_within(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr(name, "hostile")
    unpacked = tfds_builders.unpack(folder / "x.zip")
    assert {path for path in files_below(tmp_path) if path.endswith("outside")} == {
        str(path.relative_to(tmp_path)) for path in unpacked.rglob("outside")
    }
    assert [path.read_text() for path in unpacked.rglob("outside")] == ["hostile"]
    assert not Path("/outside").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices_become_files(tmp_path: Path, kind: int) -> None:
    target = tmp_path / "target"
    target.write_text("untouched")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.create_system = 3  # Unix: the upper bits are a file's mode
        link.external_attr = (kind | 0o777) << 16
        archive.writestr(link, "../target")
        through = zipfile.ZipInfo("link2")
        through.create_system, through.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(through, "..")
    unpacked = tfds_builders.unpack(tmp_path / "x.zip")
    for name in ("link", "link2"):
        mode = (unpacked / name).lstat().st_mode
        assert stat.S_ISREG(mode)
        assert not mode & (stat.S_ISUID | stat.S_ISGID)
    assert target.read_text() == "untouched"


def test_a_bomb_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "FREE_EXPANSION", 1 << 20)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a", "b"):
            archive.writestr(name, bytes(1 << 20))
    with pytest.raises(InputError, match="unpacks to 2,097,152 bytes, more than 100 times"):
        tfds_builders.unpack(tmp_path / "x.zip")
    assert files_below(tmp_path) == {"x.zip"}


def test_an_archive_that_lies_about_its_size_gives_no_more_than_it_says(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(1 << 20))
    honest, small = (size.to_bytes(4, "little") for size in (1 << 20, 9))
    path.write_bytes(path.read_bytes().replace(honest, small))
    with pytest.raises(InputError, match="archive is damaged"):
        tfds_builders.unpack(path)
    assert files_below(tmp_path) == {"x.zip"}


def test_a_password_and_an_unknown_way_of_packing_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "secret")
    whole = path.read_bytes()
    local, central = whole.index(b"PK\x03\x04"), whole.index(b"PK\x01\x02")
    for offset, value, message in ((6, 1, "encrypted"), (8, 77, "compression method")):
        damaged = bytearray(whole)
        damaged[local + offset] = damaged[central + offset + 2] = value
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=message):
            tfds_builders.unpack(path)
        assert files_below(tmp_path) == {"x.zip"}
