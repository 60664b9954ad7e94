"""Documents of any TFDS data set with a text and a sequence of labels, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from axml_jax.data.corpus import Document
from axml_jax.data.description import TRAIN
from axml_jax.data.readers.documents import CountedDocuments
from axml_jax.errors import InputError
from axml_jax.progress import say

_FORMAT = "array_record"
_TEXT_NAMES = ("text", "content", "document", "body", "abstract")
_LABEL_NAMES = ("labels", "label", "categories", "concepts", "topics", "tags")
_ID_NAMES = ("id", "uid", "document_id")
_HIDDEN = -1  # what TFDS has in place of a label that is not published
_SPLIT_NAMES = {"validation": "valid", "dev": "valid", "val": "valid"}


class Features(NamedTuple):
    """Which features of an example are read.

    Attributes:
      text: Those of the text, joined by newlines; () to guess.
      labels: That of the labels; "" to guess.
      id: That of the id; "" for `id`, where there is one.
    """

    text: tuple[str, ...] = ()
    labels: str = ""
    id: str = ""


def open_tfds(
    name: str,
    *,
    data_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
    features: Features | None = None,
    builder_kwargs: Mapping[str, Any] | None = None,
) -> dict[str, CountedDocuments]:
    """Opens a data set, which is made first where that was not done.

    Args:
      name: NAME, NAME/CONFIG, NAME:VERSION, or the folder of a data set that was made.
      data_dir: TFDS's folder; None for TFDS's default.
      manual_dir: Where files lie that TFDS cannot fetch; None for TFDS's default.
      features: Which features are read.
      builder_kwargs: What the builder is to be given beside.

    Returns:
      Documents by split; a split `validation`, `dev` or `val` is called `valid`.

    Raises:
      InputError: There is no such data set, it cannot be made or read without TensorFlow, it has no
        split `train`, or its features are not such or cannot be guessed; while reading, a label is
        none of its names.
    """
    from axml_jax.data.builders import tfds_builders  # makes them known

    del tfds_builders
    kwargs = {"data_dir": data_dir, **(builder_kwargs or {})}
    builder = _builder(name, kwargs)
    # Before anything is fetched: that may take hours.
    chosen = _choose(builder.info.features, features or Features(), name)
    if not builder.is_prepared():
        builder = _builder(name, {**kwargs, "file_format": _FORMAT})
        _make(builder, name, manual_dir)
    names = _label_names(builder.info.features[chosen.labels])
    if TRAIN not in builder.info.splits:
        raise InputError(
            f"the TFDS data set {name!r} has no split {TRAIN!r}, which is learned from; its splits "
            f"are {', '.join(builder.info.splits) or 'none'}"
        )
    splits: dict[str, CountedDocuments] = {}
    for split in builder.info.splits:
        called = _SPLIT_NAMES.get(split, split)
        if called in splits:
            raise InputError(f"the TFDS data set {name!r} has two splits that would be {called!r}")
        splits[called] = _documents(_data_source(builder, split, chosen), chosen, names, split)
    return splits


def _builder(name: str, kwargs: Mapping[str, Any]) -> Any:
    import tensorflow_datasets as tfds

    try:
        if Path(name, "dataset_info.json").is_file():
            return tfds.builder_from_directory(name)
        return tfds.builder(name, **kwargs)
    except tfds.core.DatasetNotFoundError as error:
        raise InputError(f"TFDS has no data set {name!r} ({_first_line(error)})") from error
    # So TFDS says that a name, a configuration or a version is none.
    except (ValueError, AssertionError, ImportError) as error:
        raise InputError(
            f"TFDS cannot open {name!r}: expected NAME, NAME/CONFIG, NAME:VERSION, or the folder "
            "of a data set that was made, where dataset_info.json lies "
            f"({_first_line(error)})"
        ) from error


def _make(builder: Any, name: str, manual_dir: str | Path | None) -> None:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.util import DownloadError

    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    try:
        builder.download_and_prepare(download_config=config)
    # The second is how TFDS says that the folder for files it cannot fetch is missing or empty.
    except (DownloadError, AssertionError, ImportError) as error:
        raise InputError(
            f"TFDS cannot make the data set {name!r} ({_first_line(error)}); files that it cannot "
            "fetch go in a folder (--manual_dir)"
        ) from error


def _first_line(error: BaseException) -> str:
    return next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)


def _data_source(builder: Any, split: str, chosen: Features) -> Sequence[dict[str, Any]]:
    import tensorflow_datasets as tfds

    wanted = {*chosen.text, chosen.labels, chosen.id}
    # Images, say, are left as they are; what holds other features cannot be skipped as a whole.
    compound = (tfds.features.FeaturesDict, tfds.features.Sequence, tfds.features.Dataset)
    skipped = {
        name: tfds.decode.SkipDecoding()
        for name, feature in builder.info.features.items()
        if name not in wanted and not isinstance(feature, compound)
    }
    try:
        return builder.as_data_source(split, decoders=skipped or None)
    except NotImplementedError as error:
        raise InputError(
            f"the data set was made as {builder.info.file_format.value}, which only TensorFlow "
            f"reads; make it again as {_FORMAT}, in a folder of its own (--tfds_data_dir)",
            file=builder.data_dir,
        ) from error


def _documents(
    source: Sequence[dict[str, Any]], chosen: Features, names: Sequence[str] | None, split: str
) -> CountedDocuments:
    def read() -> Iterator[Document]:
        hidden = 0
        for number in range(len(source)):
            example = source[number]
            values = example[chosen.labels]
            if names is None:
                labels = tuple(map(_text, values))
            else:
                kept = [int(value) for value in values if value != _HIDDEN]
                hidden += len(values) - len(kept)
                labels = _names_of(kept, names, f"example {number + 1} of the split {split!r}")
            yield Document(
                "\n".join(_text(example[name]) for name in chosen.text),
                labels,
                _text(example[chosen.id]) if chosen.id else "",
            )
        if hidden:
            say(f"note: {split}: labels left out because they are hidden ({_HIDDEN}): {hidden:,}")

    return CountedDocuments(read, len(source))


def _names_of(numbers: Sequence[int], names: Sequence[str], place: str) -> tuple[str, ...]:
    for number in numbers:
        if not 0 <= number < len(names):
            raise InputError(
                f"{place} has label {number}, but the TFDS data set has {len(names):,} labels: "
                f"expected 0 to {len(names) - 1}, or {_HIDDEN} for a hidden one; make it anew"
            )
    return tuple([names[number] for number in numbers])


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"a text of the TFDS data set is not UTF-8: {value[:40]!r}") from error
    return str(value)


def _label_names(feature: Any) -> Sequence[str] | None:
    """Names of the numbers that stand for labels; None where labels are text."""
    import tensorflow_datasets as tfds

    inner = feature.feature
    return inner.names if isinstance(inner, tfds.features.ClassLabel) else None


def _choose(features: Any, given: Features, name: str) -> Features:
    import tensorflow_datasets as tfds

    if not isinstance(features, tfds.features.FeaturesDict):
        raise InputError(
            f"the TFDS data set {name!r} has no features by name, but {features!r}: expected a "
            "text and a sequence of labels"
        )
    texts = [key for key, feature in features.items() if _is_text(feature)]
    labels = [key for key, feature in features.items() if _is_labels(feature)]

    def refuse(what: str, flag: str) -> InputError:
        there = "; ".join(f"{key}: {feature!r}" for key, feature in features.items())
        return InputError(f"{what} of the TFDS data set {name!r} ({flag}).  It has {there}")

    ids = [key for key in texts if key in _ID_NAMES]
    for key in (*given.text, given.id):
        if key and key not in texts:
            raise refuse(f"{key!r} is no text", "--text_column, --id_column")
    if given.labels and given.labels not in labels:
        raise refuse(f"{given.labels!r} is no sequence of labels", "--labels_column")
    text = given.text or _only([key for key in texts if key not in ids], _TEXT_NAMES)
    label = given.labels or "".join(_only(labels, _LABEL_NAMES))
    if not text:
        raise refuse("name the feature that is the text", "--text_column")
    if not label:
        raise refuse("name the feature that holds the labels, a sequence", "--labels_column")
    return Features(text, label, given.id or "".join(_only(ids, _ID_NAMES)))


def _only(candidates: Sequence[str], preferred: Sequence[str]) -> tuple[str, ...]:
    """The only candidate, or the one called as most are; () where neither can be said."""
    if len(candidates) == 1:
        return (candidates[0],)
    return next(((name,) for name in preferred if name in candidates), ())


def _is_text(feature: Any) -> bool:
    import tensorflow_datasets as tfds

    return isinstance(feature, tfds.features.Text)


def _is_labels(feature: Any) -> bool:
    import tensorflow_datasets as tfds

    kinds = (tfds.features.ClassLabel, tfds.features.Text)
    return isinstance(feature, tfds.features.Sequence) and isinstance(feature.feature, kinds)
