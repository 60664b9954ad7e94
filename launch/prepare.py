"""Prepares texts and labels for training: an encoded data set in a folder of its own.

Without data of your own, the docstrings of the installed Python packages:

    python launch/prepare.py --dataset pydocs --out runs/pydocs_store

From your own files, one text a line, and the labels of that text on the same line of a second file,
separated by spaces (or by --separator); UTF-8, plain or compressed as .gz or .xz:

    python launch/prepare.py --train_texts texts.txt --train_labels labels.txt --out runs/my_store

Files for validation and test are optional; without one for validation, training sets a part aside.
"""

from collections.abc import Iterable, Sequence

from absl import flags

from axml_jax import flags as axml_flags

_SPLITS = {"train": "training", "valid": "validation", "test": "test"}
_DATASET = flags.DEFINE_enum("dataset", None, ["pydocs"], "A data set that comes along.")
for _split, _name in _SPLITS.items():
    flags.DEFINE_string(f"{_split}_texts", None, f"File of {_name} texts, one a line.")
    flags.DEFINE_string(f"{_split}_labels", None, "File with their labels, line by line.")
    flags.DEFINE_string(f"{_split}_ids", None, "File with an id for each text (optional).")
_SEPARATOR = flags.DEFINE_string("separator", None, "Between two labels; by default white space.")
_TITLES = flags.DEFINE_string("label_titles", None, "File of titles of labels: JSON, TSV, lines.")
_KEEP_EMPTY = flags.DEFINE_boolean(
    "keep_empty", False, "Keep empty texts instead of refusing them."
)
_OUT = flags.DEFINE_string("out", "", "Folder to make.")
_OVERWRITE = flags.DEFINE_boolean("overwrite", False, "Replace the prepared data in --out.")
_VOCABULARY = flags.DEFINE_integer("vocabulary_size", 500_000, "Words kept at most.", lower_bound=3)
_MIN_DOCUMENTS = flags.DEFINE_integer(
    "min_documents", 1, "Leave out words that occur in fewer training texts.", lower_bound=1
)
_MAX_TOKENS = flags.DEFINE_integer(
    "max_tokens", 0, "Cut texts after so many words; 0 keeps all.", lower_bound=0
)
_VECTORS = flags.DEFINE_string(
    "vectors",
    "ppmi",
    "Word vectors to begin with: ppmi makes them from the training texts; none; or a file in "
    "GloVe's text format.",
)
_WIDTH = flags.DEFINE_integer(
    "vector_width", 300, "Width of vectors made here; those of a file have its own.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Of everything random in the vectors.", lower_bound=0)
axml_flags.require("out")


def main(argv: Sequence[str]) -> None:
    del argv
    from axml_jax.data import corpus, store, summary
    from axml_jax.data.builders import pydocs
    from axml_jax.data.titles import read_titles
    from axml_jax.errors import ConfigError

    values = flags.FLAGS.flag_values_dict()
    kinds = ("texts", "labels", "ids")
    files = {split: [values[f"{split}_{kind}"] for kind in kinds] for split in _SPLITS}
    files = {split: paths for split, paths in files.items() if any(paths)}
    for split, (texts, labels, _) in files.items():
        if not (texts and labels):
            raise ConfigError(f"--{split}_texts and --{split}_labels go together: one is missing.")
    if bool(_DATASET.value) == ("train" in files) or (_DATASET.value and files):
        raise ConfigError(
            "Name either --dataset pydocs or your own --train_texts and --train_labels."
        )
    store.check_writable(_OUT.value, _OVERWRITE.value)
    splits: dict[str, Iterable[corpus.Document]] = {}
    if _DATASET.value:
        documents, about = pydocs.build()
        splits.update(documents)
        source = f"{pydocs.source(about)}; fingerprint {about['fingerprint']}"
    else:
        on_empty = "keep" if _KEEP_EMPTY.value else "error"
        for split, (texts, labels, ids) in files.items():
            splits[split] = corpus.read_line_aligned(texts, labels, _SEPARATOR.value, ids, on_empty)
        source = "line-aligned files"
    written = store.write_store(
        _OUT.value,
        splits,
        source=source,
        vocabulary_size=_VOCABULARY.value,
        min_documents=_MIN_DOCUMENTS.value,
        max_tokens=_MAX_TOKENS.value,
        vectors=_VECTORS.value,
        vector_width=_WIDTH.value,
        seed=_SEED.value,
        label_titles=read_titles(_TITLES.value) if _TITLES.value else None,
        overwrite=_OVERWRITE.value,
    )
    summary.show(written)


if __name__ == "__main__":
    axml_flags.run(main)
