"""Prepares texts and labels for training: an encoded data set in a folder of its own.

A data set by name: the docstrings of the installed Python packages, one of the paper's in the files
of its publisher, or any of TFDS:

    python launch/prepare.py --dataset pydocs --out runs/pydocs_store
    python launch/prepare.py --dataset rcv1 --manual_dir folder --out runs/rcv1_store
    python launch/prepare.py --dataset tfds:NAME --out runs/my_store

From your own files: a folder as it was published, files (JSON lines, CSV, TSV), or one text a line,
and the labels of that text on the same line of a second file, separated by spaces (or by
--separator); UTF-8, plain or compressed as .gz or .xz.  What a file is taken for is said first:

    python launch/prepare.py --data folder --out runs/my_store
    python launch/prepare.py --train train.jsonl --test test.jsonl --out runs/my_store
    python launch/prepare.py --train_texts texts.txt --train_labels labels.txt --out runs/my_store

Files for validation and test are optional; without one for validation, training sets a part aside.
With --base STORE_OR_RUN, words and labels keep the ids that they have there.
"""

from axml_jax import stopping

if __name__ == "__main__":
    stopping.hear()  # before imports that take long

from collections.abc import Sequence
from typing import Any

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.data.builders import flags as dataset_flags
from axml_jax.data.readers import flags as reader_flags

_TITLES = flags.DEFINE_string("label_titles", None, "File of titles of labels: JSON, TSV, lines.")
_OUT = flags.DEFINE_string("out", "", "Folder to make.")
_OVERWRITE = flags.DEFINE_boolean("overwrite", False, "Replace the prepared data in --out.")
flags.DEFINE_integer("vocabulary_size", 500_000, "Words kept at most.", lower_bound=3)
flags.DEFINE_integer(
    "min_documents", 1, "Leave out words that occur in fewer training texts.", lower_bound=1
)
flags.DEFINE_integer("max_tokens", 0, "Cut texts after so many words; 0 keeps all.", lower_bound=0)
flags.DEFINE_string(
    "vectors",
    "ppmi",
    "Word vectors to begin with: ppmi makes them from the training texts; none; or a file in "
    "GloVe's text format.",
)
flags.DEFINE_integer(
    "vector_width", 300, "Width of vectors made here; those of a file have its own.", lower_bound=1
)
flags.DEFINE_integer("seed", 0, "Of everything random in the vectors.", lower_bound=0)
_BASE = flags.DEFINE_string(
    "base", None, "An earlier store or run whose words, vectors and known labels these are."
)
axml_flags.require("out")
flags.adopt_module_key_flags(reader_flags)
flags.adopt_module_key_flags(dataset_flags)


def main(argv: Sequence[str]) -> None:
    del argv
    from axml_jax.data import store, summary
    from axml_jax.data.titles import read_titles
    from axml_jax.errors import ConfigError
    from axml_jax.tables import printable

    files = reader_flags.named_files()
    if dataset_flags.is_named() == bool(files) or (files and "train" not in files.splits):
        raise ConfigError(
            "Name the training data: either --dataset NAME, or your own by --data, --train, or "
            "--train_texts and --train_labels."
        )
    store.check_writable(_OUT.value, _OVERWRITE.value)
    given = [name for name in store.SETTINGS if flags.FLAGS[name].present]
    base = store.read_base(_BASE.value, given) if _BASE.value else None
    titles = read_titles(_TITLES.value) if _TITLES.value else None
    settings: dict[str, Any] = {name: flags.FLAGS[name].value for name in store.SETTINGS}
    with reader_flags.advised(files):
        opened = reader_flags.open_named(files) if files else dataset_flags.open_named()
        for note in opened.notes:
            print(printable(note))
        written = store.write_store(
            _OUT.value,
            opened.documents,
            source=opened.source,
            label_titles=titles or opened.titles,
            overwrite=_OVERWRITE.value,
            base=base,
            **settings,
        )
    dataset_flags.show_written(written)
    summary.show(written)


if __name__ == "__main__":
    axml_flags.run(main)
