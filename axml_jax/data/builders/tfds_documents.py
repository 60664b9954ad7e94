"""Documents of any TFDS data set with a text and a sequence of labels, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from axml_jax.data.corpus import Document
from axml_jax.data.readers.documents import CountedDocuments
from axml_jax.errors import InputError

_FORMAT = "array_record"
_TEXT_NAMES = ("text", "content", "document", "body", "abstract")
_LABEL_NAMES = ("labels", "label", "categories", "concepts", "topics", "tags")
_ID_NAMES = ("id", "uid", "document_id")
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
      InputError: There is no such data set, it cannot be read without TensorFlow, or its features
        are not such or cannot be guessed.
    """
    import tensorflow_datasets as tfds

    from axml_jax.data.builders import tfds_builders  # makes them known

    del tfds_builders
    try:
        if Path(name, "dataset_info.json").is_file():
            builder = tfds.builder_from_directory(name)
        else:
            kwargs = {"data_dir": data_dir, **(builder_kwargs or {})}
            builder = tfds.builder(name, **kwargs)
            if not builder.is_prepared():
                builder = tfds.builder(name, file_format=_FORMAT, **kwargs)
                config = tfds.download.DownloadConfig(manual_dir=manual_dir)
                builder.download_and_prepare(download_config=config)
    except tfds.core.DatasetNotFoundError as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"TFDS has no data set {name!r} ({first})") from error
    chosen = _choose(builder.info.features, features or Features(), name)
    names = _label_names(builder.info.features[chosen.labels])
    splits: dict[str, CountedDocuments] = {}
    for split in builder.info.splits:
        called = _SPLIT_NAMES.get(split, split)
        if called in splits:
            raise InputError(f"the TFDS data set {name!r} has two splits that would be {called!r}")
        splits[called] = _documents(_data_source(builder, split, chosen), chosen, names)
    return splits


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
    source: Sequence[dict[str, Any]], chosen: Features, names: Sequence[str] | None
) -> CountedDocuments:
    def read() -> Iterator[Document]:
        for number in range(len(source)):
            example = source[number]
            values = example[chosen.labels]
            labels = (
                [names[value] for value in values] if names else [_text(value) for value in values]
            )
            yield Document(
                "\n".join(_text(example[name]) for name in chosen.text),
                tuple(labels),
                _text(example[chosen.id]) if chosen.id else "",
            )

    return CountedDocuments(read, len(source))


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


def _choose(features: Mapping[str, Any], given: Features, name: str) -> Features:
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
