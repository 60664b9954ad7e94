"""Shows which words a model attends to for which label: Figure 2 of the paper, for any text.

    python launch/explain.py --run RUN --text "Parses flags and logs." --output page.html
    python launch/explain.py --run RUN --input texts.txt --labels labels.txt --output page.html
    python launch/explain.py --run RUN --input texts.txt --documents 1 --output figure.png

The page needs no network and no other file; the picture holds one document and needs matplotlib.
"""

import itertools
import os
from collections.abc import Iterator, Sequence

from absl import flags

from axml_jax import flags as axml_flags
from axml_jax.data.corpus import Document
from axml_jax.data.readers.documents import Options
from axml_jax.data.readers.line_aligned import open_line_aligned
from axml_jax.errors import ConfigError, InputError
from axml_jax.jsonio import whole_file

_RUN = flags.DEFINE_string("run", "", "The run folder.")
_TEXT = flags.DEFINE_multi_string("text", [], "A text; may be given several times.")
_INPUT = flags.DEFINE_string("input", None, "Texts, one a line, .gz and .xz too.")
_LABELS = flags.DEFINE_string("labels", None, "True labels of each text, a line a text, if known.")
_SEPARATOR = flags.DEFINE_string("separator", None, "Between labels; white space by default.")
_TOP_K = flags.DEFINE_integer("top_k", None, "Labels predicted of each text; 5.", lower_bound=1)
_DOCUMENTS = flags.DEFINE_integer("documents", 20, "The most texts shown, the first ones.", 1)
_FORMAT = flags.DEFINE_enum(
    "format", None, ["html", "png"], "What is written; by default what --output ends in."
)
_OUTPUT = flags.DEFINE_string("output", "", "The page or the picture.")
axml_flags.require("run", "output")


def _documents() -> Iterator[Document]:
    if bool(_TEXT.value) == bool(_INPUT.value):
        raise ConfigError("Name either --text or --input; --help explains them.")
    if _LABELS.value and not _INPUT.value:
        raise ConfigError("--labels goes with --input: each line has the labels of a text there.")
    if _SEPARATOR.value == "":
        raise ConfigError("--separator is empty; without it, white space separates labels.")
    if _INPUT.value:
        options = Options(separator=_SEPARATOR.value)
        return iter(open_line_aligned(_INPUT.value, _LABELS.value, options=options))
    return map(Document, _TEXT.value)


def _refuse_strangers(documents: list[Document], names: list[str]) -> None:
    given = dict.fromkeys(name for document in documents for name in document.labels)
    if given and not given.keys() & set(names):
        raise InputError(
            f"none of its {len(given)} labels, such as {next(iter(given))!r}, is known to the "
            "model; is it the file of another data set, or does it need --separator?",
            file=_LABELS.value,
        )


def main(argv: Sequence[str]) -> None:
    del argv
    if _TOP_K.value:
        axml_flags.check_top_k(_TOP_K.value, _RUN.value)
    limit = _DOCUMENTS.value
    documents = list(itertools.islice(_documents(), limit + 1))  # one more tells of more
    is_cut, documents = len(documents) > limit, documents[:limit]
    output = _OUTPUT.value
    is_picture = (_FORMAT.value or os.path.splitext(output)[1][1:].lower()) == "png"
    if is_picture and len(documents) > 1:
        raise ConfigError("a picture holds one document: --documents 1 draws the first.")
    axml_flags.check_output("output", output, list(filter(None, (_INPUT.value, _LABELS.value))))
    # jax takes seconds to import; mistakes on the command line are told before that.
    from axml_jax.explain import explain
    from axml_jax.explain_page import write_page
    from axml_jax.explain_picture import draw_picture
    from axml_jax.model import load
    from axml_jax.progress import progress, say

    model = load(_RUN.value)
    _refuse_strangers(documents, model.label_names)
    texts = [document.text for document in documents]
    labels = [document.labels for document in documents] if _LABELS.value else None
    explained = progress(explain(model, texts, labels, _TOP_K.value), "explaining", len(texts))
    with whole_file(output) as partial:
        if is_picture:
            draw_picture(next(iter(explained)), partial)
        else:
            name = os.path.basename(os.path.abspath(_RUN.value))
            with open(partial, "w", encoding="utf-8") as file:
                file.writelines(write_page(explained, f"What the model in {name} attends to"))
    more = "; there are more, see --documents" if is_cut and not is_picture else ""
    say(f"{len(texts):,} {'document' if len(texts) == 1 else 'documents'} in {output}{more}")


if __name__ == "__main__":
    axml_flags.run(main)
