"""The only configuration schema: what can be set, what it means, what is refused.

`Config()` is the paper's setting for its three medium-scale data sets (Experimental
Settings): 256 LSTM units per direction, one fully connected layer of 256, dropout 0.5,
Adam with rate 0.001, batches of 40, 50 epochs, early stopping.  Everything beyond the
paper is off there, but for what makes large vocabularies bearable (`train.lazy_words`).  The
experiments in launch/configs change single fields.

Fields are read from a Python file (`load_file`), from JSON (`from_dict`) or from flags
(`axml_jax.flags`); whoever reads calls `validate`.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import pathlib
import types
import typing
from typing import Any

from axml_jax.config_values import convert, nearest
from axml_jax.errors import ConfigError, InputError

MODELS = ("attention_xml", "xml_rnn", "xml_cnn", "parabel")

# Steps, seeds and sizes are int32 in JAX; a larger number is a slip of the keyboard.
_MANY = 2**31 - 1


def _field(default: Any, text: str, *, choices: tuple[str, ...] = ()) -> Any:
    return dataclasses.field(default=default, metadata={"help": text, "choices": choices})


class _Section:
    """Refuses attributes that are no fields: a misspelt setting must not pass unnoticed."""

    def __setattr__(self, name: str, value: Any) -> None:
        known = tuple(type(self).__annotations__)
        if name not in known:
            raise ConfigError(f"{type(self).__name__} has no field {name!r}.{nearest(name, known)}")
        super().__setattr__(name, value)


@dataclasses.dataclass
class DataConfig(_Section):
    """Which documents are read and how they become batches."""

    max_tokens: int = _field(500, "tokens kept of a document; the rest is cut off")
    batch_size: int = _field(40, "documents of a training step, over all devices together")
    valid_fraction: float = _field(
        0.1,
        "share of the training documents drawn by seed for validation where the store has "
        "no split 'valid'; 0 trains on everything, without early stopping",
    )
    train_documents: int = _field(
        0, "train on this many documents only, drawn by seed; 0 means all"
    )
    length_buckets: int = _field(
        1,
        "number of different padded lengths, chosen to leave the least padding; each is "
        "compiled once; 1 pads all to one length",
    )
    pool_batches: int = _field(
        1,
        "batches are cut from windows of this many batches grouped by padded length, and then "
        "shuffled; 1 is the plain random order",
    )


@dataclasses.dataclass
class ModelConfig(_Section):
    """The model and its layers; of AttentionXML eqs. (1) to (5).

    A model leaves alone what belongs to others (see `Config.unread`), so that one configuration
    serves all of them.
    """

    name: str = _field(
        "attention_xml",
        "the model: AttentionXML; its ablation with max pooling instead of attention; XML-CNN (Liu "
        "et al., 2017); Parabel (Prabhu et al., 2018), three trees on TF-IDF by omikuji",
        choices=MODELS,
    )
    hidden: int = _field(256, "LSTM units per direction (n in the paper)")
    fully_connected: tuple[int, ...] = _field(
        (256,), "widths of the one or two fully connected layers (b), such as 512,256"
    )
    filter_widths: tuple[int, ...] = _field(
        (2, 4, 8), "xml_cnn: words that a filter of a convolution sees"
    )
    filters: int = _field(128, "xml_cnn: filters of each width")
    chunks: int = _field(8, "xml_cnn: parts of a document that are max-pooled each by itself")
    bottleneck: int = _field(512, "xml_cnn: units of the layer before the outputs")
    dropout: float = _field(
        0.5, "dropout rate on the BiLSTM's output; xml_rnn: once pooled; xml_cnn: on the bottleneck"
    )
    embedding_dropout: float = _field(0.0, "dropout rate on the word representations")
    word_vectors: str = _field(
        "store",
        "where word representations start: the vectors in the store, or random ones",
        choices=("store", "random"),
    )
    word_width: int = _field(
        300, "width of the word representation (d); with vectors from the store, theirs"
    )
    train_words: bool = _field(True, "train the word representations too")
    query_init: str = _field(
        "xavier",
        "where label queries start: Xavier-uniform noise, or the normalised mean encoder "
        "state of each label's documents",
        choices=("xavier", "label_state"),
    )
    attention: str = _field(
        "auto",
        "implementation of the label attention; auto takes what the device runs best",
        choices=("auto", "reference", "chunked", "pallas"),
    )
    recurrence: str = _field(
        "auto",
        "implementation of the BiLSTM; auto takes cudnn where it was measured to win on this card "
        "with this model.hidden and precision, and else scan, which runs on any device; cudnn does "
        "not serve bfloat16, for which auto is always scan",
        choices=("auto", "scan", "cudnn"),
    )
    precision: str = _field(
        "tf32",
        "arithmetic of activations: float32; float32 whose matrix products may round to tf32 "
        "where the device has it (on a CPU there is no difference); or bfloat16. Weights and "
        "their updates are float32 in each",
        choices=("float32", "tf32", "bfloat16"),
    )


@dataclasses.dataclass
class TrainConfig(_Section):
    """Optimisation, eq. (6), and when to stop."""

    epochs: int = _field(50, "passes over the training documents, at most")
    learning_rate: float = _field(0.001, "Adam's rate, at its peak")
    warmup_steps: int = _field(0, "steps over which the rate rises linearly to its peak; 0 is off")
    decay: str = _field(
        "none",
        "how the rate falls from its peak to 0 over the planned steps",
        choices=("none", "linear", "cosine"),
    )
    clip_norm: float = _field(0.0, "gradients are scaled to at most this global norm; 0 is off")
    lazy_words: bool = _field(
        True,
        "Adam moves only the word vectors that a batch touches, like PyTorch's SparseAdam; false "
        "moves all of them at every step, by what is left of earlier gradients",
    )
    average_steps: int = _field(
        0, "use the running mean of the weights over about this many last steps; 0 is off"
    )
    patience: int = _field(
        5, "stop after this many evaluations without a better validation nDCG@5; 0 never stops"
    )
    evaluations_per_epoch: int = _field(1, "validations per epoch, evenly spaced")
    log_steps: int = _field(50, "steps between two lines in the metrics file")
    checkpoint_steps: int = _field(
        500, "steps between two checkpoints of the whole state (one is made at each validation too)"
    )
    skip_nonfinite: int = _field(
        0,
        "so many steps whose loss or gradient is not finite may move nothing and be passed over; "
        "training stops at the next one. It may change when a run is continued",
    )


@dataclasses.dataclass
class ParallelConfig(_Section):
    """How devices share the work: no part of the experiment, so that a run may go on otherwise."""

    labels: int = _field(
        1,
        "parts into which the label queries and what the optimizer keeps of them are split, each "
        "on its own devices: for more labels than one device has room for; 1 has all on each",
    )


@dataclasses.dataclass
class Config(_Section):
    """One experiment."""

    seed: int = _field(0, "decides initial values, order, dropout and the drawn validation part")
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    parallel: ParallelConfig = dataclasses.field(default_factory=ParallelConfig)

    def validate(self) -> Config:
        """Brings values to their fields' types; refuses what cannot be.

        Returns:
          self.

        Raises:
          ConfigError: naming the first field that is of another type or out of range.
        """
        for name, kind in _SECTIONS.items():
            section = getattr(self, name)
            if not isinstance(section, kind):
                raise ConfigError(f"config.{name} must be a {kind.__name__}; {section!r} came.")
        for name, (_, _, _, choices) in fields().items():
            value = _get(self, name)
            set_field(self, name, value)
            if choices and value not in choices:
                raise ConfigError(
                    f"config.{name} is {value!r}; it must be one of {', '.join(choices)}."
                    f"{nearest(str(value), choices)}"
                )
        for name, (low, high) in _WHOLE_NUMBERS.items():
            if not low <= _get(self, name) <= high:
                raise ConfigError(
                    f"config.{name} is {_get(self, name)}; it must be from {low} to {high}."
                )
        for name in ("data.valid_fraction", "model.dropout", "model.embedding_dropout"):
            if not 0.0 <= _get(self, name) < 1.0:
                raise ConfigError(
                    f"config.{name} is {_get(self, name)}; it must be at least 0 and below 1."
                )
        # Comparisons written so that NaN fails them too.
        if not 0.0 < self.train.learning_rate < float("inf"):
            raise ConfigError(
                f"config.train.learning_rate is {self.train.learning_rate}; it must be a number "
                "above 0."
            )
        if not 0.0 <= self.train.clip_norm < float("inf"):
            raise ConfigError(
                f"config.train.clip_norm is {self.train.clip_norm}; it must be a number of at "
                "least 0."
            )
        widths = self.model.filter_widths
        if not widths or not all(1 <= width <= _MANY for width in widths):
            raise ConfigError(
                f"config.model.filter_widths is {widths}; it must name one or more widths, each "
                "of at least one word, such as 2,4,8."
            )
        widths = self.model.fully_connected
        if len(widths) not in (1, 2) or not all(1 <= width <= _MANY for width in widths):
            raise ConfigError(
                f"config.model.fully_connected is {widths}; the model has one or two "
                "fully connected layers, each of at least one unit, such as 256 or 512,256."
            )
        return self

    def unread(self) -> list[str]:
        """The fields that are set away from their defaults and that this model does not read."""
        return [
            name
            for name, (_, default, _, _) in fields().items()
            if _get(self, name) != default and not _reads(self.model.name, name)
        ]

    def to_dict(self) -> dict[str, Any]:
        """The configuration as nested dictionaries that JSON can hold."""
        return dataclasses.asdict(self)


_SECTIONS = {
    "data": DataConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "parallel": ParallelConfig,
}
_WHOLE_NUMBERS = {
    "seed": (0, _MANY),
    "data.max_tokens": (1, _MANY),
    "data.batch_size": (1, _MANY),
    "data.train_documents": (0, _MANY),
    "data.length_buckets": (1, 64),
    "data.pool_batches": (1, _MANY),
    "model.hidden": (1, _MANY),
    "model.word_width": (1, _MANY),
    "model.filters": (1, _MANY),
    "model.chunks": (1, _MANY),
    "model.bottleneck": (1, _MANY),
    "train.epochs": (1, _MANY),
    "train.warmup_steps": (0, _MANY),
    "train.average_steps": (0, _MANY),
    "train.patience": (0, _MANY),
    "train.evaluations_per_epoch": (1, _MANY),
    "train.log_steps": (1, _MANY),
    "train.checkpoint_steps": (1, _MANY),
    "train.skip_nonfinite": (0, _MANY),
    "parallel.labels": (1, _MANY),
}
# Fields that some of the Flax modules alone read; Parabel reads no others than those of its own.
_READ_BY = {
    "model.hidden": ("attention_xml", "xml_rnn"),
    "model.fully_connected": ("attention_xml", "xml_rnn"),
    "model.recurrence": ("attention_xml", "xml_rnn"),
    "model.query_init": ("attention_xml",),
    "model.attention": ("attention_xml",),
    "model.filter_widths": ("xml_cnn",),
    "model.filters": ("xml_cnn",),
    "model.chunks": ("xml_cnn",),
    "model.bottleneck": ("xml_cnn",),
}
_READ_BY_PARABEL = ("seed", "model.name", "data.valid_fraction", "data.train_documents")


def _reads(model: str, field: str) -> bool:
    if model == "parabel":
        return field in _READ_BY_PARABEL
    return model in _READ_BY.get(field, MODELS)


def from_dict(values: dict[str, Any]) -> Config:
    """Builds a Config; fields left out keep their defaults.

    Raises:
      ConfigError: an unknown field (the nearest one is named) or a value of another type.
    """
    config = Config()
    for name, value in values.items():
        if isinstance(value, dict):
            for inner, inner_value in value.items():
                set_field(config, f"{name}.{inner}", inner_value)
        else:
            set_field(config, name, value)
    return config.validate()


@functools.cache
def fields() -> dict[str, tuple[Any, Any, str, tuple[str, ...]]]:
    """Every settable field: dotted name -> (type, default, help, choices)."""
    found: dict[str, tuple[Any, Any, str, tuple[str, ...]]] = {}

    def visit(section: Any, prefix: str) -> None:
        kinds = typing.get_type_hints(type(section))
        for field in dataclasses.fields(section):
            value = getattr(section, field.name)
            if dataclasses.is_dataclass(value):
                visit(value, f"{prefix}{field.name}.")
            else:
                found[prefix + field.name] = (
                    kinds[field.name],
                    value,
                    field.metadata["help"],
                    field.metadata["choices"],
                )

    visit(Config(), "")
    return found


def set_field(config: Config, name: str, value: Any) -> None:
    """Sets the field of dotted `name`; a string is read as the field's type.

    Raises:
      ConfigError: no such field, or a value that the field's type cannot take.
    """
    known = fields()
    if name not in known:
        raise ConfigError(f"There is no config.{name}.{nearest(name, tuple(known))}")
    section, _, last = name.rpartition(".")
    holder = getattr(config, section) if section else config
    setattr(holder, last, convert(name, value, known[name][0]))


def load_file(path: str | pathlib.Path) -> Config:
    """Runs a configuration file and returns what its get_config() gives.

    Raises:
      InputError: the file is missing, fails, or has no get_config() -> Config.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        ours = pathlib.Path("launch/configs") / f"{path.stem}.py"
        # Relative to here if it can be; else to the checkout that this file lies in.
        places = (ours, pathlib.Path(__file__).resolve().parents[1] / ours)
        found = next((place for place in places if place.is_file()), None)
        hint = f" Did you mean {found}?" if found else nearest(path.name, tuple(siblings))
        raise InputError("no such configuration file." + hint, file=path)
    spec = importlib.util.spec_from_file_location(f"axml_jax_config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError("a configuration is a Python file, NAME.py.", file=path)
    module: types.ModuleType = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config()
    except Exception as error:
        raise InputError(
            f"the configuration failed: {type(error).__name__}: {error}", file=path
        ) from error
    if not isinstance(config, Config):
        raise InputError(
            f"get_config() must return an axml_jax.config.Config; it returned {type(config)}.",
            file=path,
        )
    return config


def _get(config: Config, name: str) -> Any:
    section, _, last = name.rpartition(".")
    return getattr(getattr(config, section) if section else config, last)
