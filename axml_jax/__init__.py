"""Extreme multi-label text classification in JAX: AttentionXML and what goes with it.

The names below are imported when they are first used: jax takes seconds to import, and
whoever only asks for the version, or for `--help`, need not wait for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from axml_jax.config import Config
    from axml_jax.errors import InputError
    from axml_jax.model import Model, fit, load

__version__ = "0.1.0"
__all__ = ["Config", "InputError", "Model", "fit", "load"]

_MODULES = {
    "Config": "axml_jax.config",
    "InputError": "axml_jax.errors",
    "Model": "axml_jax.model",
    "fit": "axml_jax.model",
    "load": "axml_jax.model",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
