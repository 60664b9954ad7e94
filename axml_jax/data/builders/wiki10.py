"""Wiki10-31K: Wikipedia articles with the tags of their readers (Zubiaga, 2012).

The split is the Extreme Classification Repository's, which gives bags of words.  The texts in that
split are the paper's authors': line-aligned texts and labels (`published.read_pairs`; archive
Wiki10-31K, where `train_raw_texts.txt` and `test_raw_texts.txt` are the articles).
"""

from __future__ import annotations

from axml_jax.data.builders.published import Files, Published, Splits, read_pairs
from axml_jax.data.table_one import PAPER

_FOLDER = "Wiki10-31K"


def read(files: Files) -> Splits:
    """Both splits."""
    return read_pairs(files, _FOLDER)


WIKI10_31K = Published(
    name="wiki10_31k",
    row=PAPER["Wiki10-31K"],
    source=(
        "the archive Wiki10-31K of https://github.com/yourh/AttentionXML: train_raw_texts.txt, "
        "train_labels.txt, test_raw_texts.txt and test_labels.txt."
    ),
    homepage="http://manikvarma.org/downloads/XC/XMLRepository.html",
    read=read,
    urls={},
)
