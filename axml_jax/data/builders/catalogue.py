"""The data sets that have a name, and reading them without TFDS where their files are at hand."""

from __future__ import annotations

from axml_jax.data.builders.amazoncat import AMAZONCAT_13K
from axml_jax.data.builders.eurlex4k import EURLEX4K
from axml_jax.data.builders.eurlex57k import EURLEX57K
from axml_jax.data.builders.published import Files, Published, Splits, from_memory
from axml_jax.data.builders.rcv1 import RCV1
from axml_jax.data.builders.wiki10 import WIKI10_31K
from axml_jax.data.builders.wikilshtc import WIKILSHTC

PREFIX = "axml_"
"""What TFDS has before the names (`axml_jax.data.builders.tfds_builders`)."""


def _read_pydocs(files: Files) -> Splits:
    from axml_jax.data.builders import pydocs

    del files
    return from_memory(pydocs.load())


PYDOCS = Published(
    name="pydocs",
    row=None,
    source="no file is needed: the docstrings of the installed Python packages.",
    homepage="https://docs.python.org",
    read=_read_pydocs,
    urls={},
)

DATASETS = {
    dataset.name: dataset
    for dataset in (PYDOCS, EURLEX57K, RCV1, EURLEX4K, WIKI10_31K, WIKILSHTC, AMAZONCAT_13K)
}
"""By name."""
