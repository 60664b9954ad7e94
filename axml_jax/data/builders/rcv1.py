"""RCV1-v2: newswire with 103 topics (Lewis, Yang, Rose and Li, JMLR 5, 2004), the LYRL2004 split.

Read from the article's online appendices.  Appendix 12 holds the words: a document is a line
`.I NUMBER`, a line `.W`, lines of words, and an empty line; one file of 23,149 training documents,
four of 781,265 for test.  Appendix 8 holds the topics, lines of `TOPIC NUMBER 1`, of both.

The words there are stems without stop words.  The paper obtained the articles themselves from NIST,
where they are longer (Table 1: 267.51 words) and in their writer's wording: figures differ.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from axml_jax.data.builders.published import Files, Published, Splits, read_qrels
from axml_jax.data.corpus import Document, open_bytes, read_lines
from axml_jax.data.readers.documents import Documents
from axml_jax.data.table_one import PAPER
from axml_jax.errors import InputError

_APPENDICES = "http://www.ai.mit.edu/projects/jmlr/papers/volume5/lewis04a"
_TOPICS = "rcv1-v2.topics.qrels"
_FILES = {
    "train": ("lyrl2004_tokens_train.dat",),
    "test": tuple(f"lyrl2004_tokens_test_pt{part}.dat" for part in range(4)),
}
_TOKENS = [name for part in _FILES.values() for name in part]


def read_tokens(path: Path) -> Iterator[tuple[int, str, str]]:
    """Reads a token file.

    Yields:
      The line that a document begins at, its number, and its words separated by spaces.

    Raises:
      InputError: The file is damaged, or not of this format.
    """
    begin, number, words = 0, "", [""]
    in_words = False

    def fault(message: str, line: int) -> InputError:
        return InputError(f"{message}; fetch the file anew", file=path, line=line)

    with contextlib.closing(read_lines(path)) as lines:
        for at, line in enumerate(lines, start=1):
            if line.startswith(".I "):
                if begin:
                    yield _whole(begin, number, words, in_words, path)
                begin, number, words, in_words = at, line[3:].strip(), [], False
                if not number.isdecimal():
                    raise fault(f"expected a document's number after .I, found {number!r}", at)
            elif not begin:
                raise fault(f"expected .I and a document's number, found {line[:60]!r}", at)
            elif line.strip() == ".W" and not in_words:
                in_words = True
            elif in_words:
                words.append(line)
            elif line.strip():
                raise fault(f"expected .W below .I {number}, found {line[:60]!r}", at)
    if not begin:
        raise fault("the file is empty: expected .I and a document's number", 1)
    yield _whole(begin, number, words, in_words, path)


def _whole(
    begin: int, number: str, words: Sequence[str], in_words: bool, path: Path
) -> tuple[int, str, str]:
    text = " ".join(" ".join(words).split())
    if not in_words or not text:
        what = "words" if in_words else ".W"
        raise InputError(
            f"document {number} has no {what}: the file is damaged or cut short; fetch it anew",
            file=path,
            line=begin,
        )
    return begin, number, text


def _documents(
    paths: Sequence[Path],
    topics: Mapping[str, tuple[str, ...]],
    topics_path: Path,
    seen: set[int],
    elsewhere: Sequence[set[int]],
) -> Iterator[Document]:
    """Documents of one split; `seen` becomes their numbers, `elsewhere` are other splits'."""
    seen.clear()
    for path in paths:
        for line, number, text in read_tokens(path):
            if any(int(number) in numbers for numbers in (seen, *elsewhere)):
                raise InputError(
                    f"document {number} stands here again, but every document of RCV1-v2 is in one "
                    "file, once; fetch the files anew",
                    file=path,
                    line=line,
                )
            seen.add(int(number))
            if number not in topics:
                raise InputError(
                    f"document {number} has no topic in {topics_path.name}, but every document of "
                    "RCV1-v2 has one; fetch that file anew",
                    file=path,
                    line=line,
                )
            yield Document(text, topics[number], number)


def read(files: Files) -> Splits:
    """Both splits; the topics of all documents are kept in memory."""
    topics_path = files.find(_TOPICS)
    paths = {split: [files.find(name) for name in names] for split, names in _FILES.items()}
    for path in (path for part in paths.values() for path in part):
        open_bytes(path).close()  # a wrong one is told before the first gigabyte is read
    topics = read_qrels(topics_path)
    numbers: dict[str, set[int]] = {split: set() for split in paths}

    def documents(split: str) -> Documents:
        others = [numbers[other] for other in paths if other != split]
        part, seen = paths[split], numbers[split]
        return Documents(lambda: _documents(part, topics, topics_path, seen, others))

    return {split: documents(split) for split in paths}


RCV1 = Published(
    name="rcv1",
    row=PAPER["RCV1"],
    source=(
        f"the files of RCV1-v2's online appendices 12 and 8, {_APPENDICES}/"
        f"lyrl2004_rcv1v2_README.htm: {', '.join(_TOKENS)} and {_TOPICS}, each as it is or as .gz."
    ),
    homepage=f"{_APPENDICES}/lyrl2004_rcv1v2_README.htm",
    read=read,
    urls={
        _TOPICS: f"{_APPENDICES}/a08-topic-qrels/{_TOPICS}.gz",
        **{name: f"{_APPENDICES}/a12-token-files/{name}.gz" for name in _TOKENS},
    },
)
