"""What a study's tables say of its trainings: their scale, documents, epochs and sizes."""

from __future__ import annotations

from axml_jax.config import Config
from benchmarks.paper_plan import DataSet
from benchmarks.paper_settings import SMALL
from benchmarks.paper_study import Study
from benchmarks.paper_systems import System


def scale_notes(study: Study) -> list[str]:
    """A sentence where models are not those of the paper; [] at its scale, or without models."""
    if study.scale != SMALL or not any(system.is_trained for system in study.systems):
        return []
    return [
        "SMALL SCALE: what was trained here (--scale small) has the sizes that the notes of Table "
        "2 say, not the paper's, whose figures stand beside for orientation only."
    ]


def training_notes(study: Study) -> list[str]:
    """What was trained, a sentence a training."""
    return [
        f"Trained at --scale {study.scale}: {_training(study, data, system)}."
        for data in study.data
        for system in study.systems_of(data)
        if system.is_trained
    ]


def _training(study: Study, data: DataSet, system: System) -> str:
    result, config = study.result(data, system, "train"), study.fitted(data, system)
    there = len(study.store(data).splits["train"])
    read = f"{result['train_documents']:,} of {there:,} training documents"
    if system.method == "parabel":
        return f"{system.shown} on {data.name}, {read}, three trees"
    epochs = f"at most {config.train.epochs} epochs"
    if "epochs" in result:
        epochs = f"{result['epochs']:g} of {epochs}"
    about = f"{config.data.max_tokens} words of a document, {_sizes(config, study, data)}"
    return f"{system.shown} on {data.name}, {read}, {epochs}, {about}"


def _sizes(config: Config, study: Study, data: DataSet) -> str:
    model = config.model
    vectors = study.store(data).vectors if model.word_vectors == "store" else None
    width = model.word_width if vectors is None else vectors.shape[1]
    words = f"word vectors of {width}"
    if model.name == "xml_cnn":
        widths = ", ".join(map(str, model.filter_widths))
        return (
            f"{words}, {model.filters} filters of each of the widths {widths}, bottleneck "
            f"{model.bottleneck}"
        )
    layers = ", ".join(map(str, model.fully_connected))
    return f"{words}, 2 x {model.hidden} LSTM units, fully connected {layers}"
