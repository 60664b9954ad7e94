"""The data set as a whole: on a small package written here, and on the installed ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from axml_jax.data.builders import pydocs
from axml_jax.data.builders.pydocs_clean import PACKAGE_NAMES, variants
from axml_jax.data.builders.pydocs_extract import PACKAGES, Docstring, source_files
from axml_jax.data.corpus import Document
from axml_jax.errors import InputError

Splits = dict[str, list[Document]]
_THRESHOLD = 0.5


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _body(number: int, count: int = 30) -> str:
    return " ".join(f"w{number}x{i}" for i in range(count))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 functions in 6 modules; each third one is a near copy of the one before it."""
    folder = tmp_path_factory.mktemp("pydocs") / "fake"
    for module in range(6):
        lines = [f'"""The module. {_body(1000 + module)}"""']
        for f in range(10):
            number = module * 10 + f
            text = _body(number - number % 3) if number % 3 == 2 else _body(number)
            lines.append(
                f'def name{number}():\n  """{text}\n\n  See Also\n  --------\n'
                f'  fake._part{module}.name{number + 1} : next\n  everywhere\n  """'
            )
        path = folder / f"_part{module}" / "__init__.py"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines))
    (folder / "__init__.py").write_text('"""Too short."""')
    (folder / "broken.py").write_text("def f(:")
    return folder


@pytest.fixture(scope="module")
def small(package: Path) -> tuple[Splits, dict[str, Any]]:
    return pydocs.build(files=source_files(package, "fake"))


@pytest.fixture(scope="session")
def installed() -> tuple[Splits, dict[str, Any]]:
    return pydocs.build()


def test_documents_labels_and_splits_of_a_small_package(small: tuple[Splits, Any]) -> None:
    splits, summary = small
    documents = {d.id: d for part in splits.values() for d in part}
    assert list(splits) == ["train", "valid", "test"]
    assert len(documents) == 66
    assert documents["fake.name3"].labels == ("everywhere", "fake", "part0")
    assert documents["fake.name3"].text == _body(3)
    assert documents["fake._part2"].labels == ("fake", "part2")
    assert summary["documents"] == {name: len(part) for name, part in splits.items()}
    assert summary["labels"] == 8
    assert summary["unreadable_files"] == ["broken.py"]
    assert summary["files"] == 8
    assert summary["fingerprint"] == pydocs.fingerprint(splits)
    assert json.loads(json.dumps(summary)) == summary


def test_near_copies_stay_together(small: tuple[Splits, Any]) -> None:
    place = {d.id: name for name, part in small[0].items() for d in part}
    assert len(set(place.values())) > 1
    for number in range(0, 60, 3):
        assert place[f"fake.name{number}"] == place[f"fake.name{number + 2}"]


def test_the_order_of_files_and_the_hash_seed_are_nothing(
    package: Path, small: tuple[Splits, Any]
) -> None:
    expected = pydocs.fingerprint(small[0])
    backwards = source_files(package, "fake")[::-1]
    assert pydocs.fingerprint(pydocs.build(files=backwards)[0]) == expected
    script = (
        "import sys\n"
        "from axml_jax.data.builders import pydocs, pydocs_extract\n"
        "files = pydocs_extract.source_files(sys.argv[1], 'fake')\n"
        "print(pydocs.fingerprint(pydocs.build(files=files)[0]))\n"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        result = subprocess.run(
            [sys.executable, "-c", script, str(package)],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        assert result.stdout.strip() == expected


def test_the_split_depends_on_the_text_alone() -> None:
    documents = [Document(_body(n), ("a",), str(n)) for n in range(400)]
    splits = pydocs.split_by_group(documents, threshold=_THRESHOLD)
    half = pydocs.split_by_group(documents[::2], threshold=_THRESHOLD)
    for name, part in half.items():
        assert set(part) <= set(splits[name])
    assert len(splits["train"]) == pytest.approx(320, abs=24)
    assert len(splits["test"]) == pytest.approx(40, abs=18)


def test_rare_labels_and_poor_documents_are_dropped() -> None:
    module = [Docstring("p.a", f"f{i}", _body(i)) for i in range(3)]
    alone = Docstring("lonely", "g", _body(9))
    short = Docstring("p.a", "h", "too short")
    seen = Docstring("p.b", "k", _body(8) + "\n\nSee Also\n--------\nonce")
    found = pydocs.documents_of([alone, *module, short, seen], minimum_words=5, minimum_documents=2)
    assert [(d.id, d.labels) for d in found] == [
        ("p.a.f0", ("a", "p")),
        ("p.a.f1", ("a", "p")),
        ("p.a.f2", ("a", "p")),
        ("p.b.k", ("p",)),
    ]


def test_ids_are_public_names_and_distinct() -> None:
    found = pydocs.documents_of(
        [
            Docstring("p._src.a", "f", _body(0)),
            Docstring("p._impl", "g", _body(1)),
            Docstring("p.a._x", "same", _body(2)),
            Docstring("p.a._y", "same", _body(3)),
            Docstring("_pydecimal", "Decimal.sqrt", _body(4)),
            Docstring("_pydecimal", "", _body(5)),
            Docstring("q.r", "", _body(6)),
            Docstring("q", "r", _body(7)),
        ],
        minimum_words=1,
        minimum_documents=1,
    )
    assert [(d.id, d.labels) for d in found] == [
        ("_pydecimal", ("pydecimal",)),
        ("_pydecimal.Decimal.sqrt", ("pydecimal",)),
        ("p.a._x:same", ("a", "p", "x")),
        ("p.a._y:same", ("a", "p", "y")),
        ("p.a.f", ("a", "p")),
        ("p.g", ("impl", "p")),
        ("q.r:", ("q", "r")),
        ("q:r", ("q",)),
    ]


def test_nothing_left_is_an_input_error(package: Path) -> None:
    with pytest.raises(InputError, match=r"at least 9999 words .* none of 67 docstrings"):
        pydocs.build(files=source_files(package, "fake"), minimum_words=9999)


def test_the_fingerprint_changes_with_every_part() -> None:
    def of(text: str, labels: tuple[str, ...], name: str, part: str) -> str:
        return pydocs.fingerprint({part: [Document(text, labels, name)]})

    base = ("text", ("a", "b"), "id", "train")
    changed = [
        ("text2", ("a", "b"), "id", "train"),
        ("text", ("ab",), "id", "train"),
        ("text", ("a", "b"), "id2", "train"),
        ("text", ("a", "b"), "id", "test"),
    ]
    assert len({of(*case) for case in [base, *changed]}) == 5
    assert of(*base) == of(*base)


def test_source_names_every_version(installed: tuple[Splits, dict[str, Any]]) -> None:
    line = pydocs.source(installed[1])
    for package, version in installed[1]["versions"].items():
        assert f"{package} {version}" in line
    assert set(installed[1]["versions"]) == set(PACKAGES)
    assert "absent" not in line


def test_installed_packages_make_a_data_set_of_the_promised_size(
    installed: tuple[Splits, dict[str, Any]],
) -> None:
    splits, summary = installed
    everything = [d for part in splits.values() for d in part]
    labels = Counter(label for d in everything for label in d.labels)
    assert 5_000 < len(everything) < 20_000
    assert 1_000 < len(labels) < 4_000
    assert min(labels.values()) >= 2
    assert sum(count <= 5 for count in labels.values()) > len(labels) / 3  # the long tail
    assert 100 < summary["words_per_document"] < 220
    assert len(splits["train"]) / len(everything) == pytest.approx(0.8, abs=0.04)
    assert len(splits["test"]) / len(everything) == pytest.approx(0.1, abs=0.03)
    assert len({d.id for d in everything}) == len(everything)
    assert all(d.labels == tuple(sorted(set(d.labels))) and d.labels for d in everything)
    assert set(summary["documents_by_package"]) == set(PACKAGES)


def test_no_text_names_its_object_or_a_package(installed: tuple[Splits, Any]) -> None:
    for part in installed[0].values():
        for document in part:
            words = set(_words(document.text))
            own = re.split("[.:]", document.id.rstrip(":"))[-1]
            assert not words & variants(own), document.id
            assert not words & PACKAGE_NAMES, document.id
            assert not re.search("numpy|scipy|jax", document.text, re.IGNORECASE), document.id


def test_few_labels_stand_in_their_text(installed: tuple[Splits, Any]) -> None:
    pairs = named = 0
    for part in installed[0].values():
        for document in part:
            words = set(_words(document.text))
            pairs += len(document.labels)
            named += sum(label.lower() in words for label in document.labels)
    # What is left are ordinary words: "signal" in texts of scipy.signal.
    assert 0 < named < 0.1 * pairs


def test_no_test_document_has_a_twin_in_training(installed: tuple[Splits, Any]) -> None:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = _words(text)
        return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}

    train = [shingles(d.text) for d in installed[0]["train"]]
    where: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, one in enumerate(train):
        for shingle in one:
            where[shingle].append(number)
    highest = 0.0
    for document in [*installed[0]["test"], *installed[0]["valid"]]:
        mine = shingles(document.text)
        shared = Counter(number for shingle in mine for number in where.get(shingle, ()))
        for number, count in shared.items():
            similarity = count / (len(mine) + len(train[number]) - count)
            assert similarity < _THRESHOLD, (document.id, installed[0]["train"][number].id)
            highest = max(highest, similarity)
    assert highest > 0.3  # there are relatives, so twins would have been seen
