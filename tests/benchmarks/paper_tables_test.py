"""The paper's tables of tiny data: every figure is what axml_jax.analysis says when asked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axml_jax import analysis, ensemble, metrics
from axml_jax.baselines.predictions import Predictions, from_lists
from axml_jax.config import Config
from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, write_store
from axml_jax.errors import ConfigError
from axml_jax.model import load
from benchmarks import paper_content, paper_plan, paper_settings, paper_steps, paper_systems
from benchmarks.paper_estimates import operations
from benchmarks.paper_study import Study
from benchmarks.paper_writers import Table

WORDS = ["red", "green", "one", "two", "cat", "dog", "sun", "moon"]
# As the fixture `tiny_config`, so that the same programs are compiled.
TINY = ["data.max_tokens=16", "data.batch_size=8", "model.hidden=4", "model.fully_connected=4",
        "train.learning_rate=0.05", "train.epochs=3", "train.log_steps=2"]  # fmt: skip


def documents(generator: np.random.Generator, count: int) -> list[Document]:
    return [
        Document(" ".join(WORDS[i] for i in chosen), tuple(f"l{i}" for i in chosen))
        for chosen in (generator.choice(8, generator.integers(1, 4), False) for _ in range(count))
    ]


def new_store(path: Path, seed: int) -> Store:
    generator = np.random.default_rng(seed)
    splits = {name: documents(generator, n) for name, n in (("train", 40), ("test", 30))}
    return write_store(path, splits, source="", vectors="none")


def write_file(path: Path, store: Store, seed: int) -> Predictions:
    """Random probabilities of all labels, and the file in which somebody brought them."""
    scores = np.random.default_rng(seed).random((30, len(store.label_names))).round(4)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    rows = zip(order, ranked, strict=True)
    text = [" ".join(f"{store.label_names[i]}:{s}" for i, s in zip(*row)) for row in rows]  # noqa: B905
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return from_lists(order.astype(np.int32), ranked, len(store.label_names), "probability")


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, Store]:
    return {name: new_store(tmp_path / name, i) for i, name in enumerate(("eurlex4k", "mine_2"))}


@pytest.fixture
def brought(tmp_path: Path, stores: dict[str, Store]) -> dict[str, dict[str, Predictions]]:
    return {
        name: {
            system: write_file(tmp_path / f"{name}.{system}", store, seed)
            for seed, system in enumerate(("AnnexML", "other_one"), start=5)
        }
        for name, store in stores.items()
    }


def flags_of(tmp_path: Path, names: Any) -> tuple[list[str], list[str]]:
    files = [f"{n}:{s}={tmp_path / f'{n}.{s}'}" for n in names for s in ("AnnexML", "other_one")]
    return [f"{name}={tmp_path / name}" for name in names], files


def study_of(tmp_path: Path, names: Any, methods: list[str], **settings: Any) -> Study:
    data, files = flags_of(tmp_path, names)
    read = paper_plan.read_data(data)
    systems = paper_systems.read_systems(methods, files, read)
    return Study(tmp_path / "out", read, systems, **settings)


def values(table: Table, *names: str) -> dict[str, Any]:
    (row,) = [row for row in table.rows if row.names == names]
    return {column: cell.value for column, cell in row.cells.items()}


def test_figures_are_those_of_the_analysis(
    tmp_path: Path, stores: dict[str, Store], brought: dict[str, dict[str, Predictions]]
) -> None:
    study = study_of(tmp_path, stores, ["consensus:AnnexML+other_one"])
    paper_steps.run_steps(study.out, study.steps())
    one, two, three, four, five, six, seven, eight = paper_content.all_tables(study)
    joint = "Consensus of AnnexML and other_one"
    results: dict[str, list[list[float]]] = {"P": [], "nDCG": []}
    for name, store in stores.items():
        truth = store.splits["test"].label_matrix(len(store.label_names))
        systems = dict(brought[name])
        systems[joint] = ensemble.consensus(list(systems.values()))
        scores = {s: metrics.evaluate(p.top_k(5), truth, (1, 3, 5)) for s, p in systems.items()}
        for number, metric in ((two, "P"), (three, "nDCG")):
            for k in (1, 3, 5):
                metric_k = f"{metric}@{k}"
                expected = {s: scores[s][metric_k] for s in brought[name]}
                results[metric].append(list(expected.values()))
                assert values(number, name, metric_k, "ours") == pytest.approx(expected)
                whole = {s: scores[s][metric_k] for s in systems}
                assert values(five, name, metric_k, "ours") == pytest.approx(whole)
        first, second = (p.top_k(5) for p in brought[name].values())
        shared = {f"Top{k}": 100 * analysis.overlap(first, second, k).mean() for k in range(1, 6)}
        assert values(four, name, "AnnexML, other_one", "ours") == pytest.approx(shared)
        groups = analysis.label_groups(np.asarray(truth.sum(axis=0)).ravel())
        for system, predictions in systems.items():
            areas = analysis.label_areas(predictions.matrix().toarray(), truth)
            means = [mean for pair in analysis.group_means(areas, groups) for mean in pair]
            rows = [row for row in six.rows if row.names[0] == name and row.names[-1] == "ours"]
            assert [row.cells[system].value for row in rows] == pytest.approx(means)
        assert values(one, name, "ours")["N_train"] == 40
    for table, metric in ((two, "P"), (three, "nDCG")):
        matrix = np.array(results[metric])
        ranks = analysis.average_ranks(matrix)
        assert list(values(table, "", "average rank", "ours").values()) == pytest.approx(ranks)
        found = values(table, "", "p-value", "ours")
        assert found == {"other_one": analysis.compare_pairs(*matrix.T).p_value}
    assert not seven.rows
    assert eight.columns == ("other_one", joint)
    for name, store in stores.items():
        truth = store.splits["test"].label_matrix(len(store.label_names))
        terms = [metrics.per_document(p.top_k(5), truth, (3,)) for p in brought[name].values()]
        difference = {"P@3": terms[1]["P@3"] - terms[0]["P@3"]}
        interval = analysis.bootstrap_intervals(difference)["P@3"]
        (row,) = [row for row in eight.rows if row.names == (name, "P@3", "ours")]
        cell = row.cells["other_one"]
        assert (cell.value, *(cell.interval or ())) == pytest.approx(interval)
        assert cell.marked == (interval.low > 0 or interval.high < 0)
        for table, system in ((two, "other_one"), (five, joint)):
            (row,) = [row for row in table.rows if row.names == (name, "P@3", "ours")]
            low, high = row.cells[system].interval or (np.nan, np.nan)
            assert low <= (row.cells[system].value or np.nan) <= high
            assert f"[{low:.2f}, {high:.2f}]" in row.cells[system].text()


def test_the_papers_figures_stand_beside_ours_where_it_has_some(
    tmp_path: Path,
    stores: dict[str, Store],
    brought: dict[str, dict[str, Predictions]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del brought
    study = study_of(tmp_path, stores, [])
    paper_steps.run_steps(study.out, study.steps())
    tables = paper_content.all_tables(study)
    two = tables[1]
    assert {row.names[0] for row in two.rows if row.names[-1] == "paper"} == {"eurlex4k", ""}
    theirs, ours = (values(two, "eurlex4k", "P@1", whose) for whose in ("paper", "ours"))
    assert theirs["AnnexML"] == 79.56
    assert "SLEEC" in two.columns
    assert "SLEEC" not in ours
    difference = values(two, "eurlex4k", "P@1", "difference")
    assert difference == {"AnnexML": pytest.approx(ours["AnnexML"] - 79.56)}
    (row,) = [row for row in two.rows if row.names == ("eurlex4k", "P@1", "difference")]
    assert row.cells["AnnexML"].marked, "random labels are not near the paper's"
    (row,) = [row for row in tables[0].rows if row.names == ("eurlex4k", "difference")]
    assert [column for column, cell in row.cells.items() if cell.marked][:3] == [
        "N_train", "N_test", "L",
    ]  # fmt: skip
    groups = {data.name: study.groups(data) for data in study.data}
    assert len(groups["eurlex4k"]) == 3
    six = tables[5]
    assert [row.names[0] for row in six.rows if row.names[-1] == "paper"] == ["eurlex4k"] * 6
    with monkeypatch.context() as patch:
        patch.setattr(Study, "groups", lambda _, data: groups[data.name][:2])
        six = paper_content.label_wise(study)
    assert not [row for row in six.rows if row.names[-1] == "paper"]
    assert six.columns == ("AnnexML", "other_one")
    alone = study_of(tmp_path, ["mine_2"], [])
    for table in paper_content.all_tables(alone):
        assert not [row for row in table.rows if row.names[-1] != "ours"]
    assert paper_content.comparison(alone, 2, "P").columns == ("AnnexML", "other_one")


def test_a_system_with_results_on_some_data_is_shown_and_not_ranked(
    tmp_path: Path, stores: dict[str, Store], brought: dict[str, dict[str, Predictions]]
) -> None:
    del brought
    data, files = flags_of(tmp_path, stores)
    read = paper_plan.read_data(data)
    third = f"mine_2:third={tmp_path / 'mine_2.AnnexML'}"
    systems = paper_systems.read_systems([], [*files, third], read)
    study = Study(tmp_path / "out", read, systems)
    paper_steps.run_steps(study.out, study.steps())
    table = paper_content.comparison(study, 2, "P")
    assert set(values(table, "", "average rank", "ours")) == {"AnnexML", "other_one"}
    here = values(table, "mine_2", "P@3", "ours")
    assert here["third"] == here["AnnexML"]
    assert "third" not in values(table, "eurlex4k", "P@3", "ours")


def test_models_are_trained_here(
    tmp_path: Path, tiny_store: Store, compilation_cache: Path
) -> None:
    del compilation_cache
    data = paper_plan.read_data([f"absl={tiny_store.path}"])
    systems = paper_systems.read_systems(["attention_xml"], [], data)
    settings = paper_settings.read_settings([], TINY, data, systems)
    study = Study(tmp_path / "out", data, systems, scale="paper", settings=settings)
    paper_steps.run_steps(study.out, study.steps())
    split, num_labels = tiny_store.splits["test"], len(tiny_store.label_names)
    model = load(tmp_path / "out/absl/attention_xml/train/run")
    # Labels that no training document has stay at the end, all alike.
    scores = np.full((len(split), num_labels), -np.inf)
    known = tiny_store.num_train_labels
    answers = model.predict_ids(map(split.document, range(len(split))), known)
    for i, (logits, ids) in enumerate(answers):
        scores[i, ids] = logits
    truth = split.label_matrix(num_labels)
    groups = analysis.label_groups(np.asarray(truth.sum(axis=0)).ravel())
    assert groups, "the store has labels of at least five test documents"
    means = np.ravel(analysis.group_means(analysis.label_areas(scores, truth), groups))
    cells = [row.cells["AttentionXML"] for row in paper_content.label_wise(study).rows]
    # NaN, which JSON has not, is an area that nothing defines: of a label that all documents have.
    shown = np.array([cell.value for cell in cells], np.float64)
    np.testing.assert_allclose(shown, means, rtol=1e-6)
    expected = metrics.evaluate(np.argsort(-scores, axis=1, kind="stable")[:, :5], truth, (5,))[
        "P@5"
    ]
    told = values(paper_content.comparison(study, 2, "P"), "absl", "P@5", "ours")
    assert told == {"AttentionXML": pytest.approx(expected)}
    minutes = values(paper_content.times(study), "absl", "AttentionXML", "ours")
    assert 0 < minutes["train"] < 5
    assert minutes["milliseconds/test document"] == pytest.approx(
        minutes["test"] * 60_000 / len(split)
    )
    # Nothing is done again, and another setting is not mixed in.
    files = {path: path.stat().st_mtime_ns for path in study.out.rglob("*") if path.is_file()}
    paper_steps.run_steps(study.out, study.steps())
    assert {p: p.stat().st_mtime_ns for p in study.out.rglob("*") if p.is_file()} == files
    settings = paper_settings.read_settings([], [*TINY, "seed=1"], data, systems)
    other = Study(tmp_path / "out", data, systems, scale="paper", settings=settings)
    with pytest.raises(ConfigError, match=r"config\.seed: 0 there, 1 here"):
        paper_steps.run_steps(other.out, other.steps())


@pytest.mark.parametrize(
    ("methods", "files", "told"),
    [
        (["xml_rn"], [], "--methods has 'xml_rn'; expected attention_xml,"),
        (["xml_rnn", "consensus"], [], "but no 'attention_xml', which it joins"),
        (["xml_rnn", "consensus:xml_rnn"], [], "expected consensus or consensus:A+B"),
        (["xml_rnn", "xml_rnn"], [], "'xml_rnn' stands there twice"),
        (["xml_rnn@x"], [], "--methods has 'xml_rnn@x'; expected attention_xml,"),
        (["xml_rnn@1", "mean_logits:xml_rnn@1"], [], "or mean_logits:A+B"),
        (["xml_rnn@1", "mean_logits:xml_rnn@1+xml_rnn@1"], [], "or mean_logits:A+B"),
        (["xml_rnn@1", "mean_logits"], [], "or mean_logits:A+B"),
        (["xml_rnn@1", "mean_logits:xml_rnn@1+xml_rnn@2"], [], "but no 'xml_rnn@2', which"),
        ([], ["here:A=setup.cfg::scores=log"], "expected a file, then what is said of it"),
        ([], ["here:A"], "expected DATA:SYSTEM=FILE"),
        ([], ["there:A=setup.cfg"], "expected DATA:SYSTEM=FILE"),
        ([], [], "name a method to train"),
    ],
)
def test_methods_that_are_none_are_told(methods: list[str], files: list[str], told: str) -> None:
    data = [paper_plan.DataSet("here", None, None)]
    with pytest.raises(ConfigError) as error:
        paper_systems.read_systems(methods, files, data)
    assert told in str(error.value)


def test_data_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder nowhere; known by name are pydocs"):
        paper_plan.read_data(["nowhere"])
    with pytest.raises(ConfigError, match="stands there twice"):
        paper_plan.read_data([f"a={tmp_path}", f"a={tmp_path}"])
    assert paper_plan.read_data(["rcv1"]) == [paper_plan.DataSet("rcv1", None, "RCV1")]


def test_settings_by_scale_and_by_file(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from axml_jax.config import Config\ndef get_config():\n c = Config()\n"
        " c.model.hidden = 7\n return c\n"
    )
    rcv1, mine = paper_plan.read_data(["rcv1", f"mine={tmp_path}"])
    systems = paper_systems.read_systems(["xml_rnn", "xml_cnn"], [], [rcv1, mine])
    settings = paper_settings.read_settings(
        [f"mine/xml_cnn={file}"],
        ["seed=4", "mine:train.epochs=3", "mine/xml_cnn:train.epochs=5", "rcv1/xml_rnn:seed=6"],
        [rcv1, mine],
        systems,
    )

    def found(data: paper_plan.DataSet, method: str, scale: str) -> tuple[int, int, int]:
        system = paper_systems.System(method, method)
        config = paper_settings.config_of(data, system, scale, settings)
        assert config.model.name == system.method
        return config.model.hidden, config.train.epochs, config.seed

    assert found(rcv1, "xml_rnn", "paper") == (256, 50, 6)
    assert found(rcv1, "xml_cnn", "paper") == (256, 50, 4)
    assert found(rcv1, "xml_cnn", "small") == (32, 10, 4)
    assert found(mine, "xml_rnn", "small") == (32, 3, 4)
    # A seed of a method has the method's settings, but for the seed.
    assert found(mine, "xml_cnn@9", "small") == (7, 5, 9)
    assert found(mine, "xml_cnn", "small") == found(mine, "xml_cnn", "paper") == (7, 5, 4)


@pytest.mark.parametrize(
    ("files", "fields", "told"),
    [
        ([], ["seed"], "--set has 'seed'; expected FIELD=VALUE or SCOPE:FIELD=VALUE"),
        ([], ["rcv:seed=1"], "one of rcv1, rcv1/xml_rnn."),
        ([], ["rcv1/parabel:seed=1"], "--set has 'rcv1/parabel:seed=1'; expected"),
        (["x.py"], [], "--config has 'x.py'; expected SCOPE=FILE"),
        (["=x.py"], [], "--config has '=x.py'; expected"),
        (["other=x.py"], [], "one of rcv1, rcv1/xml_rnn."),
    ],
)
def test_settings_of_nothing_are_told(files: list[str], fields: list[str], told: str) -> None:
    data = paper_plan.read_data(["rcv1"])
    systems = paper_systems.read_systems(["xml_rnn"], [], data)
    with pytest.raises(ConfigError) as error:
        paper_settings.read_settings(files, fields, data, systems)
    assert told in str(error.value)


def test_sizes_are_counted_before_there_is_a_store(tmp_path: Path) -> None:
    for split, text in (("train", "a b c\nd e f g h\n"), ("test", "x\n")):
        (tmp_path / f"{split}_texts.txt").write_text(text)
        (tmp_path / f"{split}_labels.txt").write_text("l m\n" * text.count("\n"))
    mine, rcv1, unknown = (
        paper_plan.DataSet("mine", tmp_path, None),
        paper_plan.DataSet("rcv1", None, "RCV1"),
        paper_plan.DataSet("eurlex57k", None, None),
    )
    assert paper_plan.size_of(mine, None, "test") == (2, 1, 2, 3.0)
    assert paper_plan.size_of(rcv1, None, "test") == (23_149, 781_265, 103, 267.51)
    assert paper_plan.size_of(unknown, None, "test") is None


def test_operations_by_hand() -> None:
    config = Config()
    config.model.hidden, config.model.word_width, config.model.fully_connected = 2, 3, (5,)
    # A word: two directions of four gates, 5 x 2 weights each, twice for multiply and add.
    recurrent = 2 * 4 * (3 + 2) * 2 * 2
    layers = 2 * (4 * 5) + 2 * 5
    attention = 2 * 4 + 2 * 4
    assert operations(config, 10, 7) == 10 * recurrent + 7 * (10 * attention + layers)
    config.model.name = "xml_rnn"
    assert operations(config, 10, 7) == 10 * recurrent + 2 * (4 * 5) + 7 * 2 * 5


def test_the_command_plans_prepares_and_writes(
    tmp_path: Path, run_benchmark: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    lines = tmp_path / "line_s"
    lines.mkdir()
    for split, count in (("train", 40), ("test", 30)):
        found = documents(np.random.default_rng(count), count)
        (lines / f"{split}_texts.txt").write_text("".join(f"{d.text}\n" for d in found))
        labels = [" ".join(d.labels) for d in found]
        (lines / f"{split}_labels.txt").write_text("\n".join(labels) + "\n")
    (tmp_path / "brought").write_text("l0:0.9 l1:0.5\n" * 30)
    ask = ["--data=line_s", "--methods=", "--predictions=line_s:A_1=brought", "--out=out"]
    ask += ["--vectors=none"]
    done = run_benchmark("paper_tables", *ask, "--plan_only")
    assert done.returncode == 0, done.stderr
    assert "line_s/A_1/score" in done.stdout
    assert not (tmp_path / "out").exists()
    done = run_benchmark("paper_tables", *ask)
    assert done.returncode == 0, done.stderr
    tables = json.loads((tmp_path / "out/tables.json").read_text(encoding="utf-8"))["tables"]
    assert [table["number"] for table in tables] == list(range(1, 9))
    assert "| line\\_s | P@1 | ours |" in (tmp_path / "out/tables.md").read_text(encoding="utf-8")
    assert r"line\_s & P@1 & ours" in (tmp_path / "out/tables.tex").read_text(encoding="utf-8")
