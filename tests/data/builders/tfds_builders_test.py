"""The builders and any other TFDS data set, made and read without TensorFlow."""

import functools
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from axml_jax.data.builders import catalogue, pydocs, tfds_builders, tfds_documents
from axml_jax.data.builders.named import open_dataset
from axml_jax.data.builders.tfds_documents import Features, open_tfds
from axml_jax.errors import InputError
from tests.data.builders import published_files as small


def make(name: str, folder: Path, manual: Path, **kwargs: Any) -> tfds.core.DatasetBuilder:
    builder = tfds.builder(name, data_dir=folder / "made", **kwargs)
    config = tfds.download.DownloadConfig(manual_dir=manual)
    builder.download_and_prepare(download_config=config)
    return builder


@pytest.fixture(scope="module")
def rcv1(tmp_path_factory: pytest.TempPathFactory) -> tfds.core.DatasetBuilder:
    folder = tmp_path_factory.mktemp("rcv1")
    manual = small.write(folder / "manual", small.RCV1)
    return make("axml_rcv1", folder, manual, other_counts=True)


def test_a_data_set_is_made_and_read_in_the_publishers_order(
    rcv1: tfds.core.DatasetBuilder, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [
        {"id": name.encode(), "text": text.encode(), "labels": [x.encode() for x in labels]}
        for text, labels, name in small.RCV1_DOCUMENTS["test"]
    ]
    for source in (
        rcv1.as_data_source("test"),
        tfds.builder_from_directory(rcv1.data_dir).as_data_source("test"),
        tfds.data_source(
            "axml_rcv1", split="test", data_dir=Path(rcv1.data_dir).parents[1], download=False
        ),
    ):
        assert [{**source[i], "labels": list(source[i]["labels"])} for i in range(5)] == expected
        assert len(source) == 5
    assert list(Path(rcv1.data_dir).glob("*.array_record*"))
    assert "tensorflow" not in sys.modules


def test_every_data_set_of_the_catalogue_has_a_builder(tmp_path: Path) -> None:
    names = {f"axml_{name}" for name in catalogue.DATASETS}
    assert names == {"axml_pydocs", "axml_eurlex57k", "axml_rcv1", "axml_eurlex4k",
                     "axml_wiki10_31k", "axml_wikilshtc", "axml_amazoncat_13k"}  # fmt: skip
    for name in names:
        builder = tfds.builder(name, data_dir=tmp_path)
        assert set(builder.info.features) == {"id", "text", "labels"}
        assert builder.info.name == name


def test_other_counts_leave_nothing_behind(tmp_path: Path) -> None:
    manual = small.write(tmp_path / "manual", small.PAIRS)
    with pytest.raises(InputError, match="is not the published Wiki10-31K: N_train is 2, 14,146"):
        make("axml_wiki10_31k", tmp_path, manual)
    assert not tfds.builder("axml_wiki10_31k", data_dir=tmp_path / "made").is_prepared()


def test_what_cannot_be_fetched_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"missing or empty; put there the archive Wiki10-31K"
    ) as e:
        make("axml_wiki10_31k", tmp_path, tmp_path / "nowhere")
    assert e.value.file == str(tmp_path / "nowhere")
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "other.txt").write_text("")
    with pytest.raises(InputError, match="this file is missing"):
        make("axml_wiki10_31k", tmp_path, tmp_path / "some")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which its files can be fetched."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=functools.partial(server.serve_forever, 0.01))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_files_with_an_address_are_fetched(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    content = {name.removesuffix(".gz"): text for name, text in small.RCV1.items()}
    small.write(folder, {f"{name}.gz": text for name, text in content.items()})
    published = catalogue.DATASETS["rcv1"]
    names = {name: url.rpartition("/")[2] for name, url in published.urls.items()}
    assert sorted(names.values()) == sorted(path.name for path in folder.iterdir())
    dataset = published._replace(urls={n: f"{address}/{file}" for n, file in names.items()})
    monkeypatch.setattr(tfds_builders.BUILDERS["rcv1"], "DATASET", dataset)
    builder = make("axml_rcv1", tmp_path, tmp_path / "nowhere", other_counts=True)
    assert builder.as_data_source("train")[1]["text"] == b"percent year"

    files = tfds_builders.fetch(dataset, tmp_path / "prepared")
    splits = dataset.read(files)
    assert [tuple(document) for document in splits["test"]] == small.RCV1_DOCUMENTS["test"]


def test_an_archive_is_fetched_and_unpacked(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    small.zip_of(folder / "datasets.zip", small.EURLEX57K)
    urls = {"datasets.zip": f"{address}/datasets.zip"}
    dataset = catalogue.DATASETS["eurlex57k"]._replace(urls=urls)
    splits = dataset.read(tfds_builders.fetch(dataset, tmp_path / "made"))
    assert [document.id for document in splits["train"]] == ["32000D0001", "32000D0002"]
    again = dataset.read(tfds_builders.fetch(dataset, tmp_path / "made"))
    assert [document.id for document in again["test"]] == ["32000D0004"]


def test_an_address_without_a_file_is_told(served: tuple[Path, str], tmp_path: Path) -> None:
    urls = {"datasets.zip": f"{served[1]}/datasets.zip"}
    dataset = catalogue.DATASETS["eurlex57k"]._replace(urls=urls)
    with pytest.raises(InputError, match=r"could not be fetched \(.*404.*--manual_dir"):
        tfds_builders.fetch(dataset, tmp_path / "made")


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    archive = small.zip_of(tmp_path / "datasets.zip", small.EURLEX57K)
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(InputError, match="archive is damaged or cut short") as caught:
        tfds_builders.unpack(archive)
    assert caught.value.file == str(archive)
    assert [path.name for path in tmp_path.iterdir()] == ["datasets.zip"]


def test_pydocs_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents, _ = pydocs.build(files=pydocs.installed_files(("absl",)))
    monkeypatch.setattr(pydocs, "load", lambda: documents)
    builder = make("axml_pydocs", tmp_path, tmp_path / "nowhere")
    source = builder.as_data_source("valid")
    assert [example["id"].decode() for example in source] == [d.id for d in documents["valid"]]


def test_a_made_data_set_is_prepared_by_name(rcv1: tfds.core.DatasetBuilder) -> None:
    made = Path(rcv1.data_dir)
    for name, data_dir in (("tfds:axml_rcv1", made.parents[1]), (f"tfds:{made}", None)):
        splits = open_dataset(name, data_dir=data_dir).documents
        found = {split: [tuple(d) for d in documents] for split, documents in splits.items()}
        assert found == small.RCV1_DOCUMENTS


class SomebodysNews(tfds.core.GeneratorBasedBuilder):
    """A data set as others have them: class labels, several texts, an image-like feature."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = (
        tfds.core.BuilderConfig(name="plain"),
        tfds.core.BuilderConfig(name="rich"),
    )

    def _info(self) -> tfds.core.DatasetInfo:
        labels = tfds.features.Sequence(tfds.features.ClassLabel(names=["sport", "world news"]))
        features: dict[str, Any] = {"text": tfds.features.Text(), "labels": labels}
        if self.builder_config.name == "rich":
            more = tfds.features.Sequence(tfds.features.Text())
            features = {"headline": tfds.features.Text(), "story": tfds.features.Text(),
                        "sections": labels, "writers": more,
                        "size": tfds.features.Scalar(np.int64)}  # fmt: skip
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples(2), "validation": self._generate_examples(1)}

    def _generate_examples(self, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for i in range(count):
            labels = [["world news", "sport"], []][i]
            if self.builder_config.name == "rich":
                yield i, {"headline": f"H{i}", "story": "lang\u00e9", "sections": labels,
                          "writers": ["me", "you"], "size": 3}  # fmt: skip
            else:
                yield i, {"text": f"story {i}", "labels": labels}


def test_any_data_set_by_name(tmp_path: Path) -> None:
    splits = open_tfds("somebodys_news/plain", data_dir=tmp_path)
    assert {split: list(documents) for split, documents in splits.items()} == {
        "train": [("story 0", ("world news", "sport"), ""), ("story 1", (), "")],
        "valid": [("story 0", ("world news", "sport"), "")],
    }
    assert len(splits["train"]) == 2


def test_features_that_cannot_be_guessed_are_asked_for(tmp_path: Path) -> None:
    name = "somebodys_news/rich"
    with pytest.raises(InputError, match=r"the text of.*--text_column.*It has headline: Text"):
        open_tfds(name, data_dir=tmp_path)
    text = Features(text=("headline", "story"))
    with pytest.raises(InputError, match=r"holds the labels.*--labels_column.*writers: Sequence"):
        open_tfds(name, data_dir=tmp_path, features=text)
    documents = open_tfds(name, data_dir=tmp_path, features=text._replace(labels="sections"))
    assert list(documents["valid"]) == [("H0\nlang\u00e9", ("world news", "sport"), "")]
    chosen = Features(("story",), "writers", "headline")
    documents = open_tfds(name, data_dir=tmp_path, features=chosen)
    assert list(documents["valid"]) == [("lang\u00e9", ("me", "you"), "H0")]
    for wrong in (
        Features(("size",), "sections"),
        Features(("story",), "size"),
        Features(("story",), "sections", "nothing"),
    ):
        with pytest.raises(InputError, match=r"'(size|nothing)' is no .* size: Scalar"):
            open_tfds(name, data_dir=tmp_path, features=wrong)


class HiddenLabels(tfds.core.GeneratorBasedBuilder):
    """A data set whose test labels are kept back, or one without training documents."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = (
        tfds.core.BuilderConfig(name="hidden"),
        tfds.core.BuilderConfig(name="test_only"),
        tfds.core.BuilderConfig(name="images"),
    )

    def _info(self) -> tfds.core.DatasetInfo:
        labels = tfds.features.Sequence(tfds.features.ClassLabel(names=["sport", "news"]))
        text = tfds.features.Scalar(np.int64) if self._images() else tfds.features.Text()
        features = tfds.features.FeaturesDict({"text": text, "labels": labels})
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _images(self) -> bool:
        return bool(self.builder_config.name == "images")

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        assert not self._images(), "nothing should be fetched"
        both = {"train": self._examples([1, 0]), "test": self._examples([-1])}
        return both if self.builder_config.name == "hidden" else {"test": both["test"]}

    def _generate_examples(self) -> None:
        raise NotImplementedError

    def _examples(self, labels: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        yield 0, {"text": "a story", "labels": labels}


def test_hidden_labels_are_none_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = open_tfds("hidden_labels/hidden", data_dir=tmp_path)
    assert list(splits["train"]) == [("a story", ("news", "sport"), "")]
    assert list(splits["test"]) == [("a story", (), "")]
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note")]
    assert told == ["note: test: labels left out because they are hidden (-1): 1"]


class Unusual(tfds.core.GeneratorBasedBuilder):
    """Data sets that are none to learn from, one a configuration."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = tuple(
        tfds.core.BuilderConfig(name=name) for name in ("two_valid", "latin", "nameless")
    )

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text()
        named = tfds.features.FeaturesDict({"text": text, "labels": tfds.features.Sequence(text)})
        nameless = self.builder_config.name == "nameless"
        features = tfds.features.Sequence(text) if nameless else named
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        assert self.builder_config.name != "nameless", "nothing should be fetched"
        both = ("validation", "dev") if self.builder_config.name == "two_valid" else ()
        return {split: self._generate_examples() for split in ("train", *both)}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        text = "caf\u00e9".encode("latin-1" if self.builder_config.name == "latin" else "utf-8")
        yield 0, {"text": text, "labels": ["a"]}


def test_two_splits_to_validate_on_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'unusual/two_valid' has two splits that would be 'valid"):
        open_tfds("unusual/two_valid", data_dir=tmp_path)


def test_a_text_that_is_not_utf8(tmp_path: Path) -> None:
    (documents,) = open_tfds("unusual/latin", data_dir=tmp_path).values()
    with pytest.raises(InputError, match=r"a text of the TFDS data set is not UTF-8: b'caf\\xe9'"):
        list(documents)


def test_features_without_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nameless' has no features by name, but Sequence"):
        open_tfds("unusual/nameless", data_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_that_only_tensorflow_reads(tmp_path: Path) -> None:
    open_tfds("somebodys_news/plain", data_dir=tmp_path)
    (about,) = tmp_path.rglob("dataset_info.json")
    made = about.read_text()
    assert '"array_record"' in made
    about.write_text(made.replace('"array_record"', '"tfrecord"'))
    with pytest.raises(InputError, match=r"as tfrecord, which only .*--tfds_data_dir") as caught:
        open_tfds(str(about.parent))
    assert caught.value.file == str(about.parent)


@pytest.mark.parametrize("label", [-2, 2])
def test_a_label_without_a_name_is_refused(label: int) -> None:
    source = [{"text": "x", "labels": [0]}, {"text": "y", "labels": [1, label]}]
    documents = tfds_documents._documents(source, Features(("text",), "labels"), "ab", "train")
    message = f"example 2 of the split 'train' has label {label}, .*2 labels: expected 0 to 1"
    with pytest.raises(InputError, match=message):
        list(documents)


def test_a_data_set_without_training_documents(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no split 'train', .*its splits are test"):
        open_tfds("hidden_labels/test_only", data_dir=tmp_path)


def test_features_are_chosen_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name the feature that is the text"):
        open_tfds("hidden_labels/images", data_dir=tmp_path)


@pytest.mark.parametrize(
    "name", ["tfd/nope/1.0.0", "bad name/..", "somebodys_news:9.9.9", "somebodys_news/nope", ""]
)
def test_names_that_are_none_are_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"TFDS cannot open .*expected NAME.*dataset_info\.json"):
        open_dataset(f"tfds:{name}", data_dir=tmp_path)


def test_labels_that_stand_twice_are_written_once_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manual = small.write(tmp_path / "manual", small.VECTORS)
    builder = make("axml_wikilshtc", tmp_path, manual, other_counts=True)
    assert list(builder.as_data_source("test")[0]["labels"]) == [b"7"]
    out, err = capsys.readouterr()
    assert "note: test: documents that named a label twice: 1" in err
    assert "WikiLSHTC in the paper" in out


def test_a_missing_manual_folder_of_others_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def needs_files(builder: Any, dl_manager: tfds.download.DownloadManager) -> None:
        del builder
        raise AssertionError(f"Manual directory {dl_manager.manual_dir} does not exist")

    monkeypatch.setattr(HiddenLabels, "MANUAL_DOWNLOAD_INSTRUCTIONS", "ask", raising=False)
    monkeypatch.setattr(HiddenLabels, "_split_generators", needs_files)
    with pytest.raises(InputError, match=r"TFDS cannot make the data set .*--manual_dir"):
        open_tfds("hidden_labels/hidden", data_dir=tmp_path, manual_dir=tmp_path / "nowhere")


def test_a_data_set_that_nobody_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="TFDS has no data set 'nobodys_news'"):
        open_tfds("nobodys_news", data_dir=tmp_path)
