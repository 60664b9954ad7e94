"""Studies of tiny data: what was brought comes first, what was trained is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axml_jax.data.corpus import Document
from axml_jax.data.store import Store, write_store
from axml_jax.errors import ConfigError, InputError
from benchmarks import (
    paper_content,
    paper_paired,
    paper_plan,
    paper_settings,
    paper_steps,
    paper_systems,
)
from benchmarks.paper_study import Study
from benchmarks.paper_writers import Table, markdown

# As the fixture `tiny_config`, so that the same programs are compiled.
TINY = ["data.max_tokens=16", "data.batch_size=8", "model.hidden=4", "model.fully_connected=4",
        "model.filters=4", "model.bottleneck=4", "train.learning_rate=0.05", "train.epochs=1",
        "train.log_steps=2"]  # fmt: skip


def study_of(
    out: Path,
    data: Sequence[str],
    methods: Sequence[str] = (),
    files: Sequence[str] = (),
    minutes: Sequence[str] = (),
    fields: Sequence[str] = TINY,
    **more: Any,
) -> Study:
    read = paper_plan.read_data(data)
    systems = paper_systems.read_systems(methods, files, read, minutes)
    settings = paper_settings.read_settings([], fields, read, systems)
    return Study(out, read, systems, settings=settings, **more)


def run(study: Study) -> list[Table]:
    paper_steps.run_steps(study.out, study.steps())
    return paper_content.all_tables(study)


def row(table: Table, *names: str) -> dict[str, Any]:
    (found,) = [row for row in table.rows if row.names == names]
    return found.cells


def write_lines(folder: Path, words: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        (folder / f"{split}_texts.txt").write_text(f"{words}\n" * 6)
        (folder / f"{split}_labels.txt").write_text("l0 l1\n" * 6)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    documents = [Document("some words", (f"l{i}", f"l{i + 1}")) for i in range(4)] * 5
    splits = {"train": documents, "test": documents}
    return write_store(tmp_path / "data", splits, source="", vectors="none")


def write_pairs(path: Path, scores: Sequence[float], documents: int = 20) -> str:
    path.write_text((" ".join(f"{i}:{s}" for i, s in enumerate(scores)) + "\n") * documents)
    return str(path)


def test_other_files_of_the_same_folder_name_are_not_mixed_in(tmp_path: Path) -> None:
    for place in ("", "other/"):
        write_lines(tmp_path / f"{place}lines", f"a text {place}")
    (tmp_path / "f").write_text("l0:0.5\n" * 6)
    files = [f"lines:A={tmp_path / 'f'}"]
    settings = {"files": files, "vectors": "none"}
    run(study_of(tmp_path / "out", [str(tmp_path / "lines")], **settings))
    again = study_of(tmp_path / "out", [str(tmp_path / "lines")], **settings)
    paper_steps.run_steps(again.out, again.steps())  # nothing has changed
    other = study_of(tmp_path / "out", [str(tmp_path / "other/lines")], **settings)
    with pytest.raises(ConfigError, match=r"another study.*Differing: sum"):
        paper_steps.run_steps(other.out, other.steps())
    write_lines(tmp_path / "lines", "an edited text")
    with pytest.raises(ConfigError, match="Differing: sum"):
        paper_steps.run_steps(again.out, again.steps())


def test_what_was_brought_is_read_before_anything_is_trained(tmp_path: Path, store: Store) -> None:
    write_lines(tmp_path / "lines", "a text")
    short = write_pairs(tmp_path / "short", [0.5], documents=19)
    data = [str(tmp_path / "lines"), f"data={store.path}"]
    study = study_of(tmp_path / "out", data, ["attention_xml"], [f"data:A={short}"], vectors="none")
    names = [step.name for step in study.steps()]
    assert names[:3] == ["lines/store", "data/A/predict", "lines/attention_xml/train"]
    with pytest.raises(InputError, match="expected 20 documents, one a row, found 19"):
        paper_steps.run_steps(study.out, study.steps())
    assert not (study.out / "lines/attention_xml").exists()
    # What a consensus could not join is told as early, and how to say what it is.
    scores = write_pairs(tmp_path / "scores", [-3.0, 3.0])
    methods = ["attention_xml", "consensus:attention_xml+B"]
    study = study_of(tmp_path / "out", data[1:], methods, [f"data:B={scores}"])
    with pytest.raises(InputError, match=r"--predictions data:B=.*scores::scores=logit"):
        paper_steps.run_steps(study.out, study.steps())
    assert not (study.out / "data/attention_xml").exists()


def test_each_file_is_read_as_it_was_said(tmp_path: Path, store: Store) -> None:
    names = store.label_names
    (tmp_path / "own").write_text("".join(f"{name}\n" for name in names[::-1]))
    logits = write_pairs(tmp_path / "logits", [0.9, 0.8, 0.7])
    other = write_pairs(tmp_path / "own_numbers", [0.9, 0.8, 0.7])
    own = f"::own_names={tmp_path / 'own'}"
    files = [f"data:A={logits}::scores=logit::labels=ids", f"data:B={other}{own}::format=pairs"]
    data = [f"data={store.path}"]
    study = study_of(tmp_path / "out", data, ["consensus:A+B"], files, ["data:A=3,0.5"])
    tables = run(study)
    a, b = (study.predictions(study.data[0], system) for system in study.systems[:2])
    assert (a.kind, b.kind) == ("logit", "probability")
    assert b.top_k(3)[0].tolist() == [len(names) - 1 - i for i in range(3)]
    assert [cell.value for cell in row(tables[6], "data", "A", "ours").values()] == [
        3, 0.5, 60_000 * 0.5 / 20,
    ]  # fmt: skip
    (tmp_path / "own").write_text("".join(f"{name}\n" for name in names))
    with pytest.raises(ConfigError, match=r"Differing: reading\.own_names"):
        paper_steps.run_steps(study.out, study.steps())
    with pytest.raises(ConfigError, match="expected DATA:SYSTEM=TRAIN,TEST"):
        study_of(tmp_path / "out", data, [], files, ["data:C=3,0.5"])


def test_models_of_all_kinds_and_seeds_go_on_after_any_interruption(
    tmp_path: Path, tiny_store: Store, compilation_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del compilation_cache
    pytest.importorskip("omikuji")
    seeds = [f"xml_rnn@{seed}" for seed in (0, 1)]
    methods = [*seeds, f"mean_logits:{'+'.join(seeds)}", "xml_cnn", "parabel"]
    joint = f"consensus:{seeds[0]}+parabel"
    study = study_of(tmp_path / "out", [f"absl={tiny_store.path}"], [*methods, joint])
    steps, trained = study.steps(), []

    class Killed(BaseException):
        pass

    # Every kind of step is ended once in its midst, with what it had written.
    killed: set[str] = set()

    def once(name: str, work: Any) -> Any:
        def killing(at: Path) -> dict[str, Any]:
            result = work(at)
            kind = at.name
            trained.append(str(at.relative_to(study.out)))
            if kind not in killed:
                killed.add(kind)
                (at / "half").touch()
                raise Killed
            assert kind == "train" or not (at / "half").exists(), "what was half done is gone"
            return result  # type: ignore[no-any-return]

        return killing

    for step in steps:
        object.__setattr__(step, "work", once(step.name, step.work))
    for _ in range(4):
        with pytest.raises(Killed):
            paper_steps.run_steps(study.out, steps)
    paper_steps.run_steps(study.out, steps)
    assert killed == {"train", "predict", "score", "areas"}
    assert len(trained) == len(steps) + 4, "only what was ended is done twice"
    assert len(set(trained)) == len(steps)

    tables = paper_content.all_tables(study)
    data = study.data[0]
    shown = ["XML-RNN, seed 0", "XML-RNN, seed 1", "XML-CNN", "Parabel",
             "Mean logits of XML-RNN, 2 seeds"]  # fmt: skip
    found = row(tables[1], "absl", "P@1", "ours")
    assert list(found) == shown
    systems = {system.shown: system for system in study.systems}
    one, two, mean = (study.predictions(data, systems[name]) for name in (*shown[:2], shown[-1]))
    assert not np.array_equal(one.scores, two.scores), "seeds differ"
    sums = (one.matrix() + two.matrix()).toarray() / 2
    np.testing.assert_allclose(mean.matrix().toarray(), sums, atol=1e-6)
    assert paper_paired.first_of(study.systems) == study.systems[0]

    text = markdown(tables)
    small = "SMALL SCALE: what was trained here"
    assert [small in markdown([table]) for table in tables] == [False] + [True] * 7
    assert "XML-RNN, seed 1 on absl, 44 of 44 training documents" in text
    assert "1 of at most 1 epochs, 16 words of a document, word vectors of" in text
    assert "4 filters of each of the widths 2, 4, 8, bottleneck 4" in text
    # The consensus is known by its lists: never the best beside what has all scores.
    for cells in (row.cells for row in tables[5].rows if row.names[-1] == "ours"):
        of_lists = [name for name, cell in cells.items() if cell.listed]
        assert of_lists == [systems[shown[-1]].shown, study.systems[-1].shown]
        assert not any(cells[name].best for name in of_lists)
        others = [c.value for n, c in cells.items() if n not in of_lists and c.value is not None]
        assert [c.value for c in cells.values() if c.best] == [
            v for v in others if v == max(others)
        ]
    assert "†" in text


@pytest.mark.parametrize(
    ("files", "fields", "documents"),
    [
        ([], [], 15),
        ([], ["train.epochs=2"], 15),
        ([], ["data.train_documents=0"], 0),
        ([], ["data:data.train_documents=17"], 17),
        (["data=own.py"], [], 0),
        (["data/xml_rnn=own.py"], [], 15),
    ],
)
def test_small_trainings_are_cut_unless_somebody_says_what_is_read(
    tmp_path: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    files: list[str],
    fields: list[str],
    documents: int,
) -> None:
    monkeypatch.setattr(paper_settings, "_SMALL_DOCUMENTS", 15)
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text("from axml_jax.config import Config as get_config\n")
    data = paper_plan.read_data([f"data={store.path}"])
    systems = paper_systems.read_systems(["attention_xml", "xml_rnn"], [], data)
    settings = paper_settings.read_settings(files, fields, data, systems)
    config = Study(tmp_path / "out", data, systems, settings=settings).fitted(data[0], systems[0])
    assert config.data.train_documents == documents
    whole = Study(tmp_path / "out", data, systems, "paper", settings=settings)
    config = whole.fitted(data[0], systems[0])
    assert config.data.train_documents == (17 if documents == 17 else 0)


def test_lists_of_one_length_compare_where_nothing_exact_is_there(
    tmp_path: Path, store: Store
) -> None:
    files = [f"data:{n}={write_pairs(tmp_path / n, s)}::labels=ids" for n, s in
             (("A", [0.9, 0.8]), ("B", [0.1, 0.8]))]  # fmt: skip
    tables = run(study_of(tmp_path / "out", [f"data={store.path}"], [], files))
    assert any(cell.best for row in tables[5].rows for cell in row.cells.values())
    assert not any(cell.listed for row in tables[5].rows for cell in row.cells.values())
    longer = f"data:C={write_pairs(tmp_path / 'C', [0.9, 0.8, 0.7])}::labels=ids"
    tables = run(study_of(tmp_path / "out", [f"data={store.path}"], [], [*files, longer]))
    assert not any(cell.best for row in tables[5].rows for cell in row.cells.values())
