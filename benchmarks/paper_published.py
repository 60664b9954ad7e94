"""The paper's published figures (paper_figures.json), and which data set or method they are of."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from axml_jax.data.builders.catalogue import DATASETS
from axml_jax.jsonio import read_json

FIGURES = Path(__file__).resolve().parent / "paper_figures.json"
SHOWN = {
    "attention_xml": "AttentionXML",
    "xml_rnn": "XML-RNN",
    "xml_cnn": "XML-CNN",
    "parabel": "Parabel",
}
"""What the paper calls the models of `config.model.name`."""

METHODS = ("SLEEC", "AnnexML", "PfastreXML", "PD-Sparse", "Parabel", "XML-CNN", "XML-RNN",
           "AttentionXML")  # fmt: skip
"""The columns of Tables 2 and 3."""


@functools.cache
def figures() -> dict[str, Any]:
    """The file: "paper", and "table_1" to "table_7", each with its "source"."""
    return read_json(FIGURES)


def of_table(number: int, data_set: str | None) -> Any:
    """What a table says of a data set, by its name in the paper; None where it says nothing."""
    return figures()[f"table_{number}"]["data_sets"].get(data_set)


def data_set_of(name: str) -> str | None:
    """What the paper calls a data set of ours or of its own name; None where it has none such."""
    known = {paper.casefold(): paper for paper in figures()["table_1"]["data_sets"]}
    for ours, dataset in DATASETS.items():
        if dataset.row is not None:
            known[ours] = dataset.row.name
    return known.get(name.casefold())


def method_of(name: str) -> str:
    """The paper's spelling of a method's name; the name as it is where the paper has none such."""
    known = {method.casefold(): method for method in METHODS}
    return SHOWN.get(name) or known.get(name.casefold(), name)
