"""How good is Parabel on the documents that a run was trained on, and how far apart are the two?

    python benchmarks/parabel.py --run RUN --split test --train_texts TEXTS --test_texts TEXTS

Parabel (Prabhu et al., 2018) is trained by omikuji with its defaults (three trees) on
sublinear TF-IDF features of the raw texts (scikit-learn); both come with the extra
"baselines".  It sees exactly the training documents of the run, and both are scored on
the same split by the same code.  The differences have paired bootstrap intervals.
"""

import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))  # as a file

from axml_jax import flags as axml_flags
from axml_jax.baselines import omikuji_trees

_RUN = flags.DEFINE_string("run", None, "A trained run.", required=True)
_STORE = flags.DEFINE_string("store", None, "Its store; by default the one it was trained on.")
_SPLIT = flags.DEFINE_string("split", "test", "The split of the store to score.")
_TRAIN_TEXTS = flags.DEFINE_string(
    "train_texts", None, "The texts of the store's split 'train', one a line.", required=True
)
_TEST_TEXTS = flags.DEFINE_string(
    "test_texts", None, "The texts of the scored split, one a line.", required=True
)
_NAME = flags.DEFINE_string("name", None, "Results go to results/parabel_NAME.json.", required=True)
_KS = (1, 3, 5)


def parabel_top_k(
    train_texts: list[str],
    labels: scipy.sparse.csr_matrix,
    test_texts: list[str],
    k: int,
) -> tuple[np.ndarray, dict[str, float]]:
    """Trains Parabel and returns its best labels, int32 [N, k] padded with -1, and seconds."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    begin = time.perf_counter()
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32)
    train = vectorizer.fit_transform(train_texts).sorted_indices()
    test = vectorizer.transform(test_texts).sorted_indices()
    featured = time.perf_counter()
    trees = omikuji_trees.train(train, labels)
    trained = time.perf_counter()
    label_ids = np.full((test.shape[0], k), -1, np.int32)
    for row, found in enumerate(omikuji_trees.best_labels(trees, test, k)):
        best = [label for label, _ in found]
        label_ids[row, : len(best)] = best
    seconds = {
        "features": featured - begin,
        "training": trained - featured,
        "prediction": time.perf_counter() - trained,
    }
    return label_ids, seconds


def main(argv: Sequence[str]) -> None:
    del argv
    from axml_jax import metrics
    from axml_jax.analysis import bootstrap_intervals
    from axml_jax.config import from_dict
    from axml_jax.data.corpus import read_lines
    from axml_jax.data.store import open_store
    from axml_jax.errors import InputError
    from axml_jax.model import load
    from axml_jax.train.plan import choose_parts
    from benchmarks import report

    model = load(_RUN.value)
    store = open_store(_STORE.value or model.description["data"]["path"])
    members = choose_parts(from_dict(model.description["config"]), store).train
    train, split = store.splits["train"], store.splits[_SPLIT.value]
    texts = {path: list(read_lines(path)) for path in (_TRAIN_TEXTS.value, _TEST_TEXTS.value)}
    for path, documents in ((_TRAIN_TEXTS.value, train), (_TEST_TEXTS.value, split)):
        if len(texts[path]) != len(documents):
            raise InputError(
                f"it has {len(texts[path])} texts, but the store's split has {len(documents)} "
                "documents: they must be the texts that the store was made from.",
                file=path,
            )
    num_labels = len(store.label_names)
    k = max(_KS)
    parabel, seconds = parabel_top_k(
        [texts[_TRAIN_TEXTS.value][i] for i in members],
        train.label_matrix(num_labels)[members],
        texts[_TEST_TEXTS.value],
        k,
    )
    ours = np.stack(
        [ids for _, ids in model.predict_ids(map(split.document, range(len(split))), k)]
    )
    truth = split.label_matrix(num_labels)
    terms = {
        "axml_jax": metrics.per_document(ours, truth, _KS),
        "parabel": metrics.per_document(parabel, truth, _KS),
    }
    terms["difference"] = {
        name: terms["axml_jax"][name] - terms["parabel"][name] for name in terms["parabel"]
    }
    scores: dict[str, Any] = {
        system: {
            name: dict(zip(("value", "low", "high"), interval, strict=True))
            for name, interval in bootstrap_intervals(values).items()
        }
        for system, values in terms.items()
    }
    written = report.write(
        f"parabel_{_NAME.value}",
        {
            "split": _SPLIT.value,
            "train_documents": len(members),
            "documents": len(split),
            "labels": num_labels,
            "scores": scores,
            "parabel_seconds": seconds,
            "data_fingerprint": store.fingerprint,
            "config": model.description["config"],
            "trained_at_commit": model.description["commit"],
        },
    )
    for name in scores["parabel"]:
        print(
            name.ljust(8),
            "  ".join(
                f"{system} {s[name]['value']:.2f} [{s[name]['low']:.2f}, {s[name]['high']:.2f}]"
                for system, s in scores.items()
            ),
        )
    print(written)


if __name__ == "__main__":
    axml_flags.run(main)
