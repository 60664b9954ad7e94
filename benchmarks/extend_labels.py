"""Are known labels unharmed when a run is extended with new ones, and how good are these?

    python benchmarks/extend_labels.py --config launch/configs/reuters.py --name reuters \\
        --train_texts TEXTS --train_labels LABELS --test_texts TEXTS --test_labels LABELS

A share of the labels, drawn by seed with equal chances among those with at least --least training
documents, is taken out of the documents, and documents left without labels are dropped.  A first
run is trained on what remains; a store of all documents and labels is prepared with its words and
ids; from it the run is fine-tuned for --epochs.  Each --candidate is one way to do so; the one with
the best validation nDCG@5 over all labels is scored on the test documents, once.  The validation
part, a tenth of the training documents, takes part in no training.  --scratch trains on all labels
anew for as many epochs in all.
"""

import pathlib
import sys
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))  # as a file

from axml_jax import flags as axml_flags

for _split in ("train", "test"):
    flags.DEFINE_string(f"{_split}_texts", None, "Texts, one a line.", required=True)
    flags.DEFINE_string(f"{_split}_labels", None, "Their labels, line by line.", required=True)
_NAME = flags.DEFINE_string(
    "name", None, "Results go to results/extend_labels_NAME.json.", required=True
)
_OUT = flags.DEFINE_string("out", None, "Another folder for the results.")
_FOLDER = flags.DEFINE_string(
    "folder", None, "Where stores and runs stay; a run that is there already is continued."
)
_SHARE = flags.DEFINE_float("share", 0.1, "Share of the labels that are new.")
_LEAST = flags.DEFINE_integer("least", 5, "Training documents that a new label has at least.")
_SEED = flags.DEFINE_integer("seed", 0, "Draws the new labels and the validation part.")
_WIDTH = flags.DEFINE_integer("vector_width", 200, "Width of the word vectors.")
_EPOCHS = flags.DEFINE_integer("epochs", 1, "Epochs of fine-tuning.")
_CANDIDATES = flags.DEFINE_multi_string(
    "candidate",
    ["learning_rate=0.001"],
    "Settings of config.train for the fine-tuning, such as learning_rate=0.001,warmup_steps=50; "
    "may be given several times.",
)
_SCRATCH = flags.DEFINE_boolean("scratch", False, "Train on all labels anew, too.")
axml_flags.define_config()

KS = (1, 3, 5)
CUT = max(KS)
SELECTION = "nDCG@5"


def draw_labels(counts: dict[str, int], share: float, least: int, seed: int) -> list[str]:
    """The labels to take out, by name: `share` of all, of those with `least` documents or more."""
    wanted = max(1, round(share * len(counts)))
    able = sorted(name for name, count in counts.items() if count >= least)
    if len(able) <= wanted:
        raise ValueError(f"{wanted} labels are to be drawn, but {len(able)} have {least} documents")
    drawn = np.random.default_rng(seed).choice(len(able), wanted, replace=False)
    return [able[i] for i in np.sort(drawn)]


def without(documents: Iterable[Any], removed: Iterable[str]) -> list[Any]:
    """Documents without these labels; those left without any are dropped."""
    gone = set(removed)
    fewer = (
        document._replace(labels=tuple(name for name in document.labels if name not in gone))
        for document in documents
    )
    return [document for document in fewer if document.labels]


def among(ranking: np.ndarray, group: np.ndarray, k: int) -> np.ndarray:
    """The first k labels of a group, int [N, k], from rankings of all labels, int [N, L]."""
    kept = ranking[np.isin(ranking, group)].reshape(len(ranking), len(group))
    return kept[:, :k]


def macro_recall(top: np.ndarray, truth: Any) -> float:
    """The mean over labels of the share of a label's documents whose `top` holds it, in percent."""
    rows = np.repeat(np.arange(len(top)), top.shape[1])
    predicted = np.zeros(truth.shape, bool)
    predicted[rows, top.ravel()] = True
    relevant = truth.toarray() > 0
    present = relevant.any(0)
    hits = (predicted & relevant)[:, present].sum(0)
    return float(100 * np.mean(hits / relevant[:, present].sum(0)))


def terms_of(ranking: np.ndarray, split: Any, group: np.ndarray, alone: bool) -> dict[str, Any]:
    """Scores of the labels of a group, over the documents that have any of them.

    Args:
      ranking: Labels of every document, best first, int [N, L].
      split: Its documents.
      group: Label ids.
      alone: Whether only these labels compete, or all of the ranking.

    Returns:
      per_document: metrics by name, [documents]; macro: recall at CUT.
    """
    from axml_jax import metrics

    truth = split.label_matrix()
    others = np.setdiff1d(np.arange(truth.shape[1]), group)
    truth = truth.tolil()
    truth[:, others] = 0
    truth = truth.tocsr()
    rows = np.flatnonzero(np.diff(truth.indptr))
    top = among(ranking, group, CUT) if alone else ranking[:, :CUT]
    return {
        "per_document": metrics.per_document(top[rows], truth[rows], KS),
        "macro": macro_recall(top[rows], truth[rows]),
    }


def intervals(terms: dict[str, Any]) -> dict[str, Any]:
    """Values with bootstrap intervals, fit for JSON."""
    from axml_jax.analysis import bootstrap_intervals

    found: dict[str, Any] = {
        name: dict(zip(("value", "low", "high"), interval, strict=True))
        for name, interval in bootstrap_intervals(terms["per_document"]).items()
    }
    return {**found, f"macro R@{CUT}": terms["macro"]}


def difference(after: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Paired differences of the same documents, with intervals."""
    pairs = {
        name: values - before["per_document"][name]
        for name, values in after["per_document"].items()
    }
    return intervals({"per_document": pairs, "macro": after["macro"] - before["macro"]})


def ranking_of(folder: pathlib.Path, split: Any) -> np.ndarray:
    """All labels that a run knows, best first, for each document of a split."""
    from axml_jax.model import load

    model = load(folder)
    rows = model.predict_ids(map(split.document, range(len(split))), len(model.label_names))
    return np.stack([ids for _, ids in rows])


class Extension:
    """The two stores, and the runs on them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.commits: dict[str, str | None] = {}

    def prepare(self) -> None:
        from axml_jax.data.readers.line_aligned import open_line_aligned
        from axml_jax.data.store import is_store, open_store, write_store

        values = flags.FLAGS.flag_values_dict()
        train, test = (
            list(open_line_aligned(values[f"{split}_texts"], values[f"{split}_labels"]))
            for split in ("train", "test")
        )
        order = np.random.default_rng((_SEED.value, 1)).permutation(len(train))
        valid = [train[i] for i in np.sort(order[: len(train) // 10])]
        train = [train[i] for i in np.sort(order[len(train) // 10 :])]
        counts: dict[str, int] = {}
        for name in (name for document in train for name in document.labels):
            counts[name] = counts.get(name, 0) + 1
        self.removed = draw_labels(counts, _SHARE.value, _LEAST.value, _SEED.value)
        self.removed_counts = {name: counts[name] for name in self.removed}
        splits = {"train": train, "valid": valid, "test": test}
        first, second = self.folder / "first.store", self.folder / "extended.store"
        if not is_store(second):
            fewer = {name: without(documents, self.removed) for name, documents in splits.items()}
            write_store(
                first, fewer, source="first", min_documents=2, vector_width=_WIDTH.value,
                overwrite=True,
            )  # fmt: skip
            write_store(second, splits, source="extended", base=first, overwrite=True)
        self.first, self.second = open_store(first), open_store(second)
        known = self.first.num_train_labels
        self.old, self.new = np.arange(known), np.arange(known, self.second.num_train_labels)

    def train(self, name: str, store: Any, config: Any, init_from: str | None = None) -> None:
        from axml_jax.runs import read_description
        from axml_jax.train.loop import train

        folder = self.folder / name
        train(config, store, folder, init_from=init_from and self.folder / init_from)
        self.commits[name] = read_description(folder)["commit"]

    def terms(self, name: str, split_name: str) -> dict[str, dict[str, Any]]:
        """Scores of a run on a split of the extended store, by group and competitors."""
        split = self.second.splits[split_name]
        ranking = ranking_of(self.folder / name, split)
        found = {"old among old": terms_of(ranking, split, self.old, True)}
        if ranking.shape[1] > len(self.old):
            every = np.concatenate([self.old, self.new])
            found["old among all"] = terms_of(ranking, split, self.old, False)
            found["new among new"] = terms_of(ranking, split, self.new, True)
            found["new among all"] = terms_of(ranking, split, self.new, False)
            found["all"] = terms_of(ranking, split, every, False)
        return found


def means(terms: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Scores without intervals, for the choice."""
    return {
        group: {
            **{name: float(values.mean()) for name, values in found["per_document"].items()},
            f"macro R@{CUT}": found["macro"],
        }
        for group, found in terms.items()
    }


def tuned(config: Any, candidate: str) -> Any:
    """The configuration of a fine-tuning."""
    from axml_jax.config import from_dict, set_field

    changed = from_dict(config.to_dict())
    changed.train.epochs = _EPOCHS.value
    for setting in candidate.split(","):
        name, _, value = setting.partition("=")
        set_field(changed, f"train.{name}", value)
    return changed.validate()


def main(argv: Sequence[str]) -> None:
    del argv
    from axml_jax.config import from_dict
    from benchmarks import report

    config = axml_flags.read_config()
    with tempfile.TemporaryDirectory() as temporary:
        work = Extension(pathlib.Path(_FOLDER.value or temporary))
        work.prepare()
        work.train("first", work.first, config)
        validation = {"first": means(work.terms("first", "valid"))}
        for candidate in _CANDIDATES.value:
            work.train(candidate, work.second, tuned(config, candidate), "first")
            validation[candidate] = means(work.terms(candidate, "valid"))
            print(candidate, {g: round(v[SELECTION], 2) for g, v in validation[candidate].items()})
        chosen = max(_CANDIDATES.value, key=lambda name: validation[name]["all"][SELECTION])
        terms = {"before": work.terms("first", "test"), "after": work.terms(chosen, "test")}
        if _SCRATCH.value:
            longer = from_dict(config.to_dict())
            longer.train.epochs += _EPOCHS.value
            work.train("scratch", work.second, longer)
            terms["scratch"] = work.terms("scratch", "test")
    before = terms["before"]["old among old"]
    written = report.write(
        f"extend_labels_{_NAME.value}",
        {
            "new_labels": work.removed_counts,
            "old_labels": len(work.old),
            "labels_drawn": f"uniformly among labels with at least {_LEAST.value} documents",
            "label_seed": _SEED.value,
            "documents": {
                name: {split: len(documents) for split, documents in store.splits.items()}
                for name, store in (("first", work.first), ("extended", work.second))
            },
            "validation": validation,
            "chosen": chosen,
            "test": {
                name: {group: intervals(t) for group, t in groups.items()}
                for name, groups in terms.items()
            },
            "old_labels_after_less_before": {
                group: difference(terms["after"][group], before)
                for group in ("old among old", "old among all")
            },
            "trained_at_commit": work.commits,
            "data_fingerprint": work.second.fingerprint,
            "config": config.to_dict(),
        },
        pathlib.Path(_OUT.value) if _OUT.value else None,
    )
    for name, groups in terms.items():
        for group, t in groups.items():
            shown = means({group: t})[group]
            print(name.ljust(8), group.ljust(14), *(f"{k} {v:.2f} " for k, v in shown.items()))
    print(written)


if __name__ == "__main__":
    axml_flags.run(main)
