"""Docstrings read from the source files of installed packages.

Nothing is imported: `ast` reads the files, and `importlib.util.find_spec` on a top-level name only
locates it.  Knows nothing about labels, cleaning or splits.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import inspect
import keyword
import os
import platform
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

STDLIB = "python"
"""The name under which the standard library is listed; its modules have no common first part."""

PACKAGES: Mapping[str, str] = {
    STDLIB: "",
    "numpy": "numpy",
    "scipy": "scipy",
    "jax": "jax",
    "flax": "flax",
    "optax": "optax",
    "orbax": "orbax-checkpoint",
    "absl": "absl-py",
}
"""Top-level import name -> the distribution that states its version."""

# Docstrings of tests describe the test, not the module; the other folders are not the package's.
_SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "_bundled"}
)
_NEWDOC_CALLS = frozenset({"add_newdoc", "_add_newdoc"})


class Docstring(NamedTuple):
    """One docstring: `module` and `qualname` are dotted; a module's own has the qualname ''."""

    module: str
    qualname: str
    text: str


class SourceFile(NamedTuple):
    """A Python file and the dotted module name it would be imported under."""

    module: str
    path: Path


def locate(package: str) -> list[Path]:
    """Folders of a package, without importing it; an empty list when it is not installed."""
    if package == STDLIB:
        return [Path(sysconfig.get_paths()["stdlib"])]
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    return sorted(Path(folder) for folder in (spec and spec.submodule_search_locations) or ())


def versions(packages: Iterable[str] = tuple(PACKAGES)) -> dict[str, str]:
    """Version of each package's distribution, `absent` where it is not installed."""
    found = {}
    for package in packages:
        if package == STDLIB:
            found[package] = platform.python_version()
            continue
        try:
            found[package] = importlib.metadata.version(PACKAGES.get(package, package))
        except importlib.metadata.PackageNotFoundError:
            found[package] = "unknown" if locate(package) else "absent"
    return found


def source_files(folder: str | os.PathLike[str], prefix: str) -> list[SourceFile]:
    """Python files under `folder`, tests left out, sorted by module name.

    Args:
      folder: The folder of a package, or of the standard library.
      prefix: Dotted name of `folder` itself; "" for the standard library.
    """
    root = Path(folder)
    found = []
    for place, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in _SKIPPED_FOLDERS and f.isidentifier()]
        parts = [*prefix.split("."), *Path(place).relative_to(root).parts]
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix != ".py" or not stem.isidentifier() or keyword.iskeyword(stem):
                continue
            if stem == "conftest" or stem.startswith("test_") or stem.endswith("_test"):
                continue
            module = [p for p in (*parts, "" if stem == "__init__" else stem) if p]
            if module:
                found.append(SourceFile(".".join(module), Path(place, name)))
    return sorted(found)


def _string(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _newdoc(call: ast.Call, module: str) -> Iterator[Docstring]:
    """Docstrings attached by `add_newdoc`, as NumPy and SciPy do for objects made in C.

    Shapes read: (place, name, doc), (place, name, (method, doc)), (place, name, [(method, doc),
    ...]) and SciPy's (name, doc), whose place is the package of the file.
    """
    values = [_string(argument) for argument in call.args]
    if len(values) == 2 and values[0] and values[1]:
        yield Docstring(module.rpartition(".")[0] or module, values[0], values[1])
    if len(values) < 3 or not values[0] or not values[1]:
        return
    place, name, doc = values[0], values[1], call.args[2]
    if not all(part.isidentifier() for part in f"{place}.{name}".split(".")):
        return  # numpy.typing's add_newdoc is another function: (name, value, doc)
    if values[2]:
        yield Docstring(place, name, values[2])
        return
    pairs: Sequence[ast.expr] = doc.elts if isinstance(doc, ast.List) else [doc]
    for pair in pairs:
        if isinstance(pair, ast.Tuple) and len(pair.elts) == 2:
            method, text = _string(pair.elts[0]), _string(pair.elts[1])
            if method and text:
                yield Docstring(place, f"{name}.{method}", text)


def _walk(body: Sequence[ast.stmt], module: str, scope: str) -> Iterator[Docstring]:
    """Classes, functions and `add_newdoc` calls, under if/try/with/for too, not in functions."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{scope}.{node.name}" if scope else node.name
            text = ast.get_docstring(node, clean=False)
            if text:
                yield Docstring(module, name, text)
            if isinstance(node, ast.ClassDef):
                yield from _walk(node.body, module, name)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            called = getattr(function, "id", None) or getattr(function, "attr", None)
            if called in _NEWDOC_CALLS:
                yield from _newdoc(node.value, module)
        else:
            for field in ("body", "handlers", "orelse", "finalbody"):
                yield from _walk(getattr(node, field, ()), module, scope)


def docstrings_of(file: SourceFile) -> list[Docstring]:
    """All docstrings of one file.

    Returns:
      Docstrings with their indentation cleaned, in source order.

    Raises:
      SyntaxError, ValueError, OSError: The file cannot be read or parsed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's invalid escapes are not ours to report
        # Bytes, so that the file's own coding line decides.
        tree = ast.parse(file.path.read_bytes(), filename=os.fspath(file.path))
    found = list(_walk(tree.body, file.module, ""))
    text = ast.get_docstring(tree, clean=False)
    if text:
        found.insert(0, Docstring(file.module, "", text))
    return [item._replace(text=inspect.cleandoc(item.text)) for item in found]


def collect(files: Iterable[SourceFile]) -> tuple[list[Docstring], list[Path]]:
    """Docstrings of many files, each object once, sorted by name: the order of files is nothing.

    Returns:
      The docstrings, and the files that could not be read.
    """
    best: dict[tuple[str, str], str] = {}
    unreadable = []
    for file in files:
        try:
            found = docstrings_of(file)
        except (SyntaxError, ValueError, OSError, RecursionError):
            unreadable.append(file.path)
            continue
        for item in found:
            # An object defined twice (overloads, if/else) keeps its longest text.
            key = item.module, item.qualname
            best[key] = max(best.get(key, ""), item.text, key=lambda text: (len(text), text))
    return [Docstring(*key, text) for key, text in sorted(best.items())], sorted(unreadable)
