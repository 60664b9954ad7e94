"""Writes the small files that the readers are tested on."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """write(NAME, content) makes a file below `tmp_path`, compressed as its name says."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        if path.suffix == ".gz":
            data = gzip.compress(data)
        if path.suffix == ".xz":
            data = lzma.compress(data)
        path.write_bytes(data)
        return path

    return write
