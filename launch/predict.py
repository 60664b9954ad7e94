"""Predicts the labels of texts, one text a line, as JSON lines in input order.

    python launch/predict.py --run RUN --input texts.txt --output predictions.jsonl
    cat texts.txt | python launch/predict.py --run RUN
"""

import contextlib
import json
import sys
from collections.abc import Sequence

from absl import flags

from axml_jax import flags as axml_flags

_RUN = flags.DEFINE_string("run", None, "The run folder.", required=True)
_INPUT = flags.DEFINE_string(
    "input", "-", "Texts, one a line, .gz and .xz too; - is standard input."
)
_OUTPUT = flags.DEFINE_string("output", "-", "Where JSON lines go; - is standard output.")
_TOP_K = flags.DEFINE_integer("top_k", 5, "Labels per text.", lower_bound=1)
_MIN_PROBABILITY = flags.DEFINE_float(
    "min_probability", 0.0, "Leave out labels less probable than this.", 0.0, 1.0
)


def main(argv: Sequence[str]) -> None:
    del argv
    from axml_jax.data.corpus import read_lines
    from axml_jax.errors import ConfigError
    from axml_jax.model import load
    from axml_jax.progress import progress

    model = load(_RUN.value)
    if _TOP_K.value > len(model.label_names):
        raise ConfigError(
            f"--top_k is {_TOP_K.value}, but the model has {len(model.label_names)} labels."
        )
    with contextlib.ExitStack() as stack:
        if _INPUT.value == "-":
            texts = (line.rstrip("\r\n") for line in sys.stdin)
        else:
            texts = read_lines(_INPUT.value)
        output = sys.stdout
        if _OUTPUT.value != "-":
            output = stack.enter_context(open(_OUTPUT.value, "w", encoding="utf-8"))
        answers = model.predict_stream(texts, _TOP_K.value, _MIN_PROBABILITY.value)
        for line, labels in enumerate(progress(answers, "predicting"), 1):
            record = {"line": line, "labels": [label._asdict() for label in labels]}
            output.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    axml_flags.run(main)
