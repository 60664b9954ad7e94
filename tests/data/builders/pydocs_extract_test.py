"""Docstrings are found where they stand, and nothing is imported to find them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from axml_jax.data.builders.pydocs_extract import (
    PACKAGES,
    Docstring,
    SourceFile,
    collect,
    docstrings_of,
    locate,
    source_files,
    versions,
)


def _file(folder: Path, name: str, text: str) -> SourceFile:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return SourceFile("package." + name.removesuffix(".py").replace("/", "."), path)


def test_finds_modules_classes_functions_and_methods(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        "shapes.py",
        '''
        """The module."""
        import os
        if os.name == "posix":
            class Circle:
                """A circle.

                    Indented more.
                Not so.
                """
                async def grow(self):
                    """Grows."""
        try:
            def area(r):
                "The area."
                def inner():
                    """Not public, not found."""
        except ValueError:
            def area_of_nothing():
                """None at all."""
        raise RuntimeError("importing this module fails")
        ''',
    )
    assert docstrings_of(file) == [
        Docstring("package.shapes", "", "The module."),
        Docstring("package.shapes", "Circle", "A circle.\n\n    Indented more.\nNot so."),
        Docstring("package.shapes", "Circle.grow", "Grows."),
        Docstring("package.shapes", "area", "The area."),
        Docstring("package.shapes", "area_of_nothing", "None at all."),
    ]


def test_finds_docstrings_attached_by_add_newdoc(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        "core/_add_newdocs.py",
        '''
        add_newdoc("package.core.c_module", "array", """Makes an array.""")
        add_newdoc("package.core.c_module", "ndarray", ("T", """The transpose."""))
        add_newdoc("package.core.c_module", "ndarray", [("ndim", "Dimensions."), ("size", "Size.")])
        add_newdoc("gamma", """The gamma function.""")
        function_base.add_newdoc("package.core", "late", "Found by attribute, too.")
        add_newdoc("ArrayLike", "typing.Union[...]", "Another function of that name.")
        add_newdoc(computed, "name", "Unknown place.")
        ''',
    )
    assert docstrings_of(file) == [
        Docstring("package.core.c_module", "array", "Makes an array."),
        Docstring("package.core.c_module", "ndarray.T", "The transpose."),
        Docstring("package.core.c_module", "ndarray.ndim", "Dimensions."),
        Docstring("package.core.c_module", "ndarray.size", "Size."),
        Docstring("package.core", "gamma", "The gamma function."),
        Docstring("package.core", "late", "Found by attribute, too."),
    ]


def test_leaves_tests_and_what_is_no_module_out(tmp_path: Path) -> None:
    for name in (
        "__init__.py",
        "a.py",
        "sub/__init__.py",
        "sub/b.py",
        "tests/c.py",
        "sub/test_d.py",
        "sub/d_test.py",
        "conftest.py",
        "config-3/e.py",
        "notes.txt",
        "class.py",
        "site-packages/other/f.py",
    ):
        _file(tmp_path, name, "")
    assert [file.module for file in source_files(tmp_path, "p")] == ["p", "p.a", "p.sub", "p.sub.b"]
    assert [file.module for file in source_files(tmp_path, "")] == ["a", "sub", "sub.b"]


def test_skips_and_reports_broken_files(tmp_path: Path) -> None:
    good = _file(tmp_path, "good.py", '"""Fine."""')
    broken = _file(tmp_path, "broken.py", '"""Not fine."""\ndef f(:')
    not_utf8 = SourceFile("package.bytes", tmp_path / "bytes.py")
    not_utf8.path.write_bytes(b'"""caf\xe9"""')
    latin = SourceFile("package.latin", tmp_path / "latin.py")
    latin.path.write_bytes(b'# coding: latin-1\n"""caf\xe9"""')
    null = SourceFile("package.null", tmp_path / "null.py")
    null.path.write_bytes(b'"""a\0b"""')
    gone = SourceFile("package.gone", tmp_path / "gone.py")
    found, unreadable = collect([good, broken, not_utf8, latin, null, gone])
    assert found == [
        Docstring("package.good", "", "Fine."),
        Docstring("package.latin", "", "café"),
    ]
    assert unreadable == sorted(file.path for file in (broken, not_utf8, null, gone))


def test_invalid_escapes_of_others_are_no_warning(tmp_path: Path) -> None:
    file = _file(tmp_path, "escape.py", '"""A \\d without r."""')
    assert docstrings_of(file) == [Docstring("package.escape", "", "A \\d without r.")]


def test_an_object_defined_twice_keeps_its_longest_text_in_any_order(tmp_path: Path) -> None:
    first = _file(tmp_path, "a.py", 'def f():\n  "Short."\ndef f():\n  "The longer one."\n')
    second = _file(tmp_path, "b.py", '"""B."""')
    found, _ = collect([first, second])
    assert found == [
        Docstring("package.a", "f", "The longer one."),
        Docstring("package.b", "", "B."),
    ]
    assert collect([second, first])[0] == found


def test_locates_packages_without_importing_them() -> None:
    script = (
        "import sys\n"
        "from axml_jax.data.builders import pydocs_extract as x\n"
        "before = set(sys.modules)\n"
        "found = [p for p in x.PACKAGES if x.locate(p)]\n"
        "x.versions()\n"
        "new = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        "print(*found, '|', *sorted(new & set(x.PACKAGES)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    found, imported = result.stdout.split("|")
    assert found.split() == list(PACKAGES)
    assert imported.split() == []


@pytest.mark.parametrize("package", ["no_such_package_here", "json.no_such_part"])
def test_a_package_that_is_not_installed_has_no_folder(package: str) -> None:
    assert locate(package) == []
    assert versions([package]) == {package: "absent"}
