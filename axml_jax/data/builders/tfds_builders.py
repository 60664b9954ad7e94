"""TFDS builders of the data sets in `catalogue`; importing this module makes them known to TFDS.

    import tensorflow_datasets as tfds
    import axml_jax.data.builders.tfds_builders

    builder = tfds.builder("axml_rcv1", data_dir=...)
    builder.download_and_prepare()
    documents = builder.as_data_source("train")

An example has an `id`, a `text` and `labels`, in the publisher's order.  Files are array_record,
which needs no TensorFlow, neither to write nor to read.  What cannot be fetched lies in
`MANUAL_DIR/axml_NAME` or, as TFDS has it, wherever `DownloadConfig(manual_dir=...)` says.
"""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.util import DownloadError

from axml_jax.data.archives import refuse_bomb
from axml_jax.data.builders import catalogue
from axml_jax.data.builders.published import Files, Published, checked
from axml_jax.data.readers.documents import Documents
from axml_jax.errors import InputError
from axml_jax.progress import say

VERSION = "1.0.0"


class PublishedBuilder(  # type: ignore[call-arg]  # TFDS is untyped
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """A builder of one data set of the catalogue; each has a subclass.

    Args:
      other_counts: Whether other numbers of documents or labels than the paper's are only told.
      file_format: As TFDS has it, another default aside.
      kwargs: As TFDS has them.
    """

    VERSION = tfds.core.Version(VERSION)
    DATASET: ClassVar[Published]

    def __init__(
        self, *, other_counts: bool = False, file_format: str | None = "array_record", **kwargs: Any
    ) -> None:
        self._other_counts = other_counts
        super().__init__(file_format=file_format, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text()
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{self.DATASET.name}, made from {self.DATASET.source}",
            homepage=self.DATASET.homepage,
            features=tfds.features.FeaturesDict(
                {"id": text, "text": text, "labels": tfds.features.Sequence(text)}
            ),
            disable_shuffling=True,  # documents keep the publisher's order
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        files = locate(self.DATASET, dl_manager)
        splits = checked(self.DATASET, self.DATASET.read(files), self._other_counts, table=True)
        return {
            split: self._generate_examples(split, documents) for split, documents in splits.items()
        }

    def _generate_examples(
        self, split: str, documents: Documents
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, document in enumerate(documents):
            yield (
                number,
                {
                    "id": document.id or str(number),
                    "text": document.text,
                    "labels": list(document.labels),
                },
            )
        if documents.repeated_labels:
            say(f"note: {split}: documents that named a label twice: {documents.repeated_labels:,}")


def locate(dataset: Published, dl_manager: tfds.download.DownloadManager) -> Files:
    """The files of a data set: in the manual folder, or else fetched from their addresses.

    Raises:
      InputError: They are not in the manual folder, and some have no address.
    """
    if dataset is catalogue.PYDOCS:
        return Files(".", dataset.source)
    try:
        return dataset.files(Path(dl_manager.manual_dir))
    except AssertionError:  # so TFDS says that the folder is missing or empty
        pass
    if not dataset.urls:
        # The attribute, for the property has just refused to give the folder.
        raise InputError(
            f"this folder is missing or empty; put there {dataset.source}",
            file=dl_manager._manual_dir,
        )
    try:
        paths = dl_manager.download(dict(dataset.urls))
    except (OSError, DownloadError) as error:
        raise InputError(
            f"{dataset.name} could not be fetched ({error}); get by other means {dataset.source}  "
            "Then say in which folder they are (--manual_dir)"
        ) from error
    fetched = {name: Path(path) for name, path in paths.items()}
    folders = [unpack(path) for name, path in fetched.items() if name.endswith(".zip")]
    return Files(
        folders[0] if folders else ".",
        f"{dataset.source}  It was to come from {', '.join(dataset.urls.values())}",
        fetched,
    )


def unpack(archive: Path) -> Path:
    """Unpacks a zip archive beside itself, once, and returns the folder.

    TFDS's own extraction needs TensorFlow.

    Raises:
      InputError: The archive is damaged, or of a kind that is not unpacked.
    """
    folder = archive.with_name(f"{archive.name}.unpacked")
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=archive.parent) as partial:
            try:
                with zipfile.ZipFile(archive) as opened:
                    refuse_bomb(opened, archive)
                    # It leaves out "..", drives and the root of names, and makes files of links.
                    opened.extractall(partial)
            # RuntimeError: a password, or a way of packing that is not known.
            except (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, RuntimeError) as error:
                raise InputError(
                    f"the archive is damaged or cut short ({error}); remove it to fetch it anew",
                    file=archive,
                ) from error
            Path(partial).rename(folder)
            Path(partial).mkdir()  # for the temporary folder's own end
    return folder


def fetch(dataset: Published, data_dir: str | Path | None) -> Files:
    """Downloads the files of a data set that has addresses, unless they are there.

    Args:
      dataset: The data set.
      data_dir: TFDS's folder, in whose `downloads` the files go; None for TFDS's default.
    """
    root = Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    with tempfile.TemporaryDirectory() as empty:
        manager = tfds.download.DownloadManager(
            download_dir=root / "downloads",
            manual_dir=empty,
            manual_dir_instructions=dataset.source,
            dataset_name=catalogue.PREFIX + dataset.name,
        )
        return locate(dataset, manager)


def _builder(dataset: Published) -> type[PublishedBuilder]:
    name = catalogue.PREFIX + dataset.name
    body = {
        "__module__": __name__,
        "__doc__": f"The data set {dataset.name}: {dataset.source}",
        "name": name,
        "DATASET": dataset,
        "MANUAL_DOWNLOAD_INSTRUCTIONS": dataset.source,
    }
    return type("".join(part.capitalize() for part in name.split("_")), (PublishedBuilder,), body)


BUILDERS = {name: _builder(dataset) for name, dataset in catalogue.DATASETS.items()}
"""The builders by the data sets' own names."""
