"""Extreme multi-label text classification in JAX: AttentionXML and what goes with it."""

from __future__ import annotations

__version__ = "0.1.0"
