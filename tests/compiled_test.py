"""Compiled programs that were not written whole: removed, told in a line, written anew."""

import os
import resource
import warnings
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache as cache

from axml_jax import compiled


@pytest.fixture
def folder(compilation_cache: Path, tmp_path: Path) -> Iterator[Path]:
    """An empty folder of compiled programs."""
    folder = tmp_path / "compiled"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    cache.reset_cache()
    yield folder
    jax.config.update("jax_compilation_cache_dir", str(compilation_cache))
    cache.reset_cache()


def compute() -> None:
    """Compiles a program, or reads it."""

    def some_program(x: jax.Array) -> jax.Array:
        return x * 3 + 1

    assert jax.jit(some_program)(np.float32(2)) == 7


def programs(folder: Path) -> list[Path]:
    return sorted(folder.glob("jit_some_program-*-cache"))


@pytest.mark.parametrize("left", [0, 100])
def test_one_that_cannot_be_read_is_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str], left: int
) -> None:
    compute()
    (program,) = programs(folder)
    size = program.stat().st_size
    os.truncate(program, left)
    jax.clear_caches()
    with compiled.mended(folder):
        compute()
    told = capsys.readouterr().err
    assert told.startswith(f"{folder}: jit_some_program cannot be read (")
    assert told.endswith("); it is compiled anew\n")
    assert program.stat().st_size > size // 2
    # And can be read: warnings are errors here.
    jax.clear_caches()
    compute()
    assert capsys.readouterr().err == ""


def test_one_that_cannot_be_written_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with compiled.mended(folder):
            compute()
            jax.clear_caches()
            compute()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert programs(folder) == []
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"{folder}: compiled programs cannot be kept (")
    assert "File too large" in told


def test_other_warnings_are_left_alone(folder: Path) -> None:
    with pytest.warns(UserWarning, match="another"), compiled.mended(folder):
        warnings.warn("another", stacklevel=1)
