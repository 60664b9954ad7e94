"""The schema: the paper's defaults, what is refused, and how values come in."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axml_jax import config as config_lib
from axml_jax.config import Config
from axml_jax.errors import ConfigError, InputError


def test_the_defaults_are_the_papers_setting_for_medium_data_sets() -> None:
    config = Config().validate()
    assert (config.model.hidden, config.model.fully_connected) == (256, (256,))
    assert (config.model.dropout, config.model.word_width) == (0.5, 300)
    assert (config.train.learning_rate, config.data.batch_size, config.train.epochs) == (
        0.001,
        40,
        50,
    )
    # Everything beyond the paper is off.
    assert (config.train.warmup_steps, config.train.average_steps) == (0, 0)
    assert (config.train.clip_norm, config.train.decay) == (0.0, "none")
    assert (config.model.embedding_dropout, config.model.query_init) == (0.0, "xavier")
    assert config.model.name == "attention_xml"
    assert config.unread() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("seed", 2**31),
        ("data.max_tokens", 0),
        ("data.batch_size", 0),
        ("data.train_documents", -1),
        ("data.length_buckets", 0),
        ("data.length_buckets", 65),
        ("data.pool_batches", 0),
        ("data.valid_fraction", 1.0),
        ("data.valid_fraction", -0.1),
        ("model.hidden", 0),
        ("model.dropout", 1.0),
        ("model.dropout", float("nan")),
        ("model.embedding_dropout", -0.5),
        ("model.word_width", 0),
        ("model.fully_connected", ()),
        ("model.fully_connected", (8, 8, 8)),
        ("model.fully_connected", (8, 0)),
        ("model.name", "xml-rnn"),
        ("model.filter_widths", ()),
        ("model.filter_widths", (2, 0)),
        ("model.filter_widths", (2, 2**31)),
        ("model.filters", 0),
        ("model.chunks", 0),
        ("model.bottleneck", 0),
        ("model.word_vectors", "glove"),
        ("model.attention", "palas"),
        ("train.epochs", 0),
        ("train.learning_rate", 0.0),
        ("train.learning_rate", float("nan")),
        ("train.learning_rate", float("inf")),
        ("train.warmup_steps", -1),
        ("train.decay", "cos"),
        ("train.clip_norm", -1.0),
        ("train.clip_norm", float("nan")),
        ("train.average_steps", -1),
        ("train.patience", -1),
        ("train.evaluations_per_epoch", 0),
        ("train.log_steps", 0),
        ("train.checkpoint_steps", 0),
    ],
)
def test_an_impossible_value_is_refused_by_name(name: str, value: Any) -> None:
    config = Config()
    config_lib.set_field(config, name, value)
    with pytest.raises(ConfigError, match=rf"^config\.{name} is "):
        config.validate()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("data.max_tokens", "many", "a whole number"),
        ("data.max_tokens", 1.5, "a whole number"),
        ("data.max_tokens", True, "a whole number"),
        ("train.learning_rate", "fast", "a number"),
        ("train.learning_rate", False, "a number"),
        ("train.learning_rate", 10**400, "a number"),
        ("model.train_words", "perhaps", "true or false"),
        ("model.train_words", 1, "true or false"),
        ("model.word_vectors", 3, "a text"),
        ("model.fully_connected", 256, "whole numbers separated by commas"),
        ("model.fully_connected", "8,x", "whole numbers separated by commas"),
        ("model.fully_connected", (8, 1.5), "whole numbers separated by commas"),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_lib.set_field(Config(), name, value)
    assert str(caught.value) == f"config.{name} takes {wanted}; {value!r} came."

    # The same where the attribute was set directly, as configuration files do.
    config = Config()
    section, last = name.split(".")
    setattr(getattr(config, section), last, value)
    with pytest.raises(ConfigError, match=f"takes {wanted}"):
        config.validate()


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("data.max_tokens", "128", 128),
        ("data.max_tokens", np.int64(128), 128),
        ("train.learning_rate", "1e-3", 0.001),
        ("train.learning_rate", 1, 1.0),
        ("model.train_words", "false", False),
        ("model.train_words", "True", True),
        ("model.fully_connected", "512,256", (512, 256)),
        ("model.fully_connected", "(512, 256)", (512, 256)),
        ("model.fully_connected", [64], (64,)),
    ],
)
def test_values_are_read_as_the_fields_type(name: str, given: Any, read: Any) -> None:
    config = Config()
    section, last = name.split(".")
    setattr(getattr(config, section), last, given)
    value = getattr(getattr(config.validate(), section), last)
    assert value == read
    assert type(value) is type(read)


@pytest.mark.parametrize(
    ("name", "nearest"), [("model.hiden", "model.hidden"), ("lerning_rate", "train.learning_rate")]
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_lib.set_field(Config(), name, 1)
    assert str(caught.value) == f"There is no config.{name}. Did you mean {nearest}?"


def test_a_misspelt_attribute_does_not_pass_unnoticed() -> None:
    config = Config()
    with pytest.raises(ConfigError, match=r"DataConfig has no field 'max_token'.*max_tokens"):
        config.data.max_token = 64  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="Config has no field 'hidden'"):
        config.hidden = 64  # type: ignore[attr-defined]


def test_a_section_is_not_replaced_by_something_else() -> None:
    config = Config()
    config.model = {"hidden": 8}  # type: ignore[assignment]
    with pytest.raises(ConfigError, match=r"config\.model must be a ModelConfig; \{'hidden': 8\}"):
        config.validate()


def test_json_and_back_is_the_same_configuration() -> None:
    config = Config(seed=7)
    config.model.fully_connected = (512, 256)
    config.train.learning_rate = 1 / 3
    config.data.valid_fraction = 0.0
    assert config_lib.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_from_dict_keeps_defaults_and_refuses_what_it_does_not_know() -> None:
    assert config_lib.from_dict({"model": {"hidden": 8}}).data == Config().data
    for values in ({"modell": {"hidden": 8}}, {"model": {"hiden": 8}}, {"sead": 1}):
        with pytest.raises(ConfigError, match=r"There is no config.*Did you mean"):
            config_lib.from_dict(values)
    with pytest.raises(ConfigError, match=r"config\.model\.hidden is 0"):
        config_lib.from_dict({"model": {"hidden": 0}})


def test_every_field_explains_itself() -> None:
    for name, (_, _, text, _) in config_lib.fields().items():
        assert len(text) > 10, name


def test_a_configuration_file_is_run(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from axml_jax.config import Config\n"
        "def get_config():\n"
        "    config = Config(seed=3)\n"
        "    config.model.hidden = 8\n"
        "    return config\n"
    )
    config = config_lib.load_file(path)
    assert (config.seed, config.model.hidden) == (3, 8)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", "has no attribute 'get_config'"),
        ("def get_config(:\n", "SyntaxError"),
        ("def get_config():\n    return 1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def get_config():\n    return {}\n", "must return an axml_jax.config.Config"),
        (
            "from axml_jax.config import Config\n"
            "def get_config():\n    c = Config()\n    c.data.max_token = 3\n    return c\n",
            "Did you mean max_tokens",
        ),
    ],
)
def test_a_file_that_fails_is_told_with_its_name(tmp_path: Path, source: str, message: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(source)
    with pytest.raises(InputError, match=message) as caught:
        config_lib.load_file(path)
    assert caught.value.file == str(path)


def test_a_missing_file_is_told_with_the_nearest(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reuters.py").write_text("")
    with pytest.raises(InputError, match=r"no such configuration file\. Did you mean reuters\.py"):
        config_lib.load_file(tmp_path / "router.py")
    with pytest.raises(InputError, match="no such configuration file"):
        config_lib.load_file(tmp_path / "nowhere" / "x.py")
    monkeypatch.chdir(root)
    with pytest.raises(InputError, match=r"file\. Did you mean launch/configs/reuters\.py\?"):
        config_lib.load_file("reuters")
    (tmp_path / "tiny.pyc").touch()
    monkeypatch.chdir(tmp_path)
    ours = re.escape(str(root / "launch" / "configs" / "tiny.py"))
    with pytest.raises(InputError, match=rf"file\. Did you mean {ours}\?"):
        config_lib.load_file("tiny")


def test_a_file_that_is_no_python_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("{}")
    with pytest.raises(InputError, match=r"a configuration is a Python file, NAME\.py\."):
        config_lib.load_file(path)


CONFIG_FOLDER = Path(__file__).resolve().parent.parent / "launch" / "configs"
CONFIGS = sorted(CONFIG_FOLDER.glob("*.py"))


def test_the_configurations_that_documents_speak_of_are_there() -> None:
    wanted = {"tiny", "pydocs", "reuters", "eurlex57k", "eurlex57k_cpu"}
    for name in ("rcv1", "eurlex4k", "wiki10_31k", "wikilshtc", "amazoncat_13k"):
        wanted |= {name, f"paper_{name}"}
    assert wanted <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize(
    ("name", "hidden", "fully_connected", "epochs"),
    [
        ("paper_rcv1", 256, (256,), 50),
        ("paper_eurlex4k", 256, (256,), 50),
        ("paper_wiki10_31k", 256, (256,), 50),
        ("paper_wikilshtc", 512, (512, 256), 10),
        ("paper_amazoncat_13k", 512, (512, 256), 10),
    ],
)
def test_the_papers_settings_are_the_papers(
    name: str, hidden: int, fully_connected: tuple[int, ...], epochs: int
) -> None:
    config = config_lib.load_file(CONFIG_FOLDER / f"{name}.py").validate()
    assert (config.model.hidden, config.model.fully_connected) == (hidden, fully_connected)
    assert (config.train.epochs, config.data.batch_size) == (epochs, 40)
    assert (config.model.dropout, config.train.learning_rate) == (0.5, 0.001)
    # Everything beyond the paper is off.
    assert (config.train.warmup_steps, config.train.average_steps) == (0, 0)
    assert (config.train.clip_norm, config.train.decay) == (0.0, "none")
    assert (config.model.embedding_dropout, config.model.query_init) == (0.0, "xavier")


@pytest.mark.parametrize("name", ["rcv1", "eurlex4k", "wiki10_31k", "wikilshtc", "amazoncat_13k"])
def test_ours_have_the_papers_model_and_less_to_do(name: str) -> None:
    ours = config_lib.load_file(CONFIG_FOLDER / f"{name}.py").validate()
    paper = config_lib.load_file(CONFIG_FOLDER / f"paper_{name}.py").validate()
    assert ours.model.hidden == paper.model.hidden
    assert ours.model.fully_connected == paper.model.fully_connected
    assert ours.train.epochs <= paper.train.epochs / 2
    assert ours.data.length_buckets > paper.data.length_buckets == 1
    assert "Not run yet" in (CONFIG_FOLDER / f"{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_projects_own_configurations_hold(path: Path) -> None:
    assert config_lib.load_file(path).validate()
