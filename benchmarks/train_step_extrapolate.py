"""How long the paper's large data sets would take: from a few hundred steps on random documents.

The documents have the data sets' shapes and mean lengths (the spread is assumed, see
`train_step_data.SPREAD`); training and prediction run as they do for real: batches are made while
the device computes, documents of like length together, and the host runs ahead.  Left out:
compilation, validation, checkpoints, reading from a disk.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import jax
import numpy as np

from axml_jax.predict import Predictor
from benchmarks.contenders import Entry
from benchmarks.train_step_data import Shape, bucketed, draw_documents
from benchmarks.train_step_measure import OURS, Case
from benchmarks.train_step_ours import TOP_K, make_model

# Tables 1 and 7 of the paper: documents to train and to test, words of a test document, minutes of
# both on four Nvidia GTX TITAN X; 10 epochs (Experimental Settings).
DATA_SETS: dict[str, dict[str, Any]] = {
    "amazoncat": {
        "train": 1_186_239,
        "test": 306_782,
        "words": 245.98,
        "minutes": (2938.54, 41.75),
    },
    "wikilshtc": {"train": 456_886, "test": 81_262, "words": 122.87, "minutes": (1297.75, 15.65)},
}
EPOCHS = 10
# As launch/configs/eurlex57k.py has it.
BUCKETS, POOL_BATCHES = 6, 50
_AHEAD = 8


def extrapolate(name: str, shape: Shape, precision: str, steps: int) -> dict[str, Any]:
    """Trains and predicts for a while, and multiplies.

    Args:
      name: Of the data set.
      shape: Its shape, or a smaller one.
      precision: Name of the precision.
      steps: Training steps, and batches to predict.

    Returns:
      documents_per_s of both, minutes an epoch, minutes of all epochs, minutes to test, beside the
      paper's.
    """
    about = DATA_SETS[name]
    case = Case(shape, ragged=True, batches=1, buckets=BUCKETS, checked=False)
    trained = training_rate(case, precision, steps)
    predicted = prediction_rate(
        case.params, shape._replace(mean_words=about["words"]), precision, steps
    )
    epoch = about["train"] / trained / 60
    return {
        "data_set": about,
        "shape": shape._asdict(),
        "precision": precision,
        "steps": steps,
        "epochs": EPOCHS,
        "training_documents_per_s": trained,
        "prediction_documents_per_s": predicted,
        "minutes_an_epoch": epoch,
        "minutes_to_train": EPOCHS * epoch,
        "minutes_to_test": about["test"] / predicted / 60,
        "minutes_of_the_paper": dict(zip(("train", "test"), about["minutes"], strict=True)),
    }


def training_rate(case: Case, precision: str, steps: int) -> float:
    """Documents a second, over so many steps after each padded length was compiled."""
    shape = case.shape
    batches = bucketed(
        draw_documents(shape, steps * shape.batch, ragged=True), shape, BUCKETS, POOL_BATCHES
    )
    ours = case.contender(Entry(OURS, precision))
    compiled: set[int] = set()
    for batch in batches.from_step(0, steps):
        if batch.token_ids.shape[1] not in compiled:
            compiled.add(batch.token_ids.shape[1])
            ours.wait(ours.run("training", [batch]))
    pending: deque[Any] = deque()
    begin = time.perf_counter()
    for batch in batches.from_step(0, steps):
        pending.append(ours.run("training", [batch]))
        if len(pending) > _AHEAD:
            ours.wait(pending.popleft())
    ours.wait(list(pending))
    return steps * shape.batch / (time.perf_counter() - begin)


def prediction_rate(params: Any, shape: Shape, precision: str, batches: int) -> float:
    """Documents a second, the best five labels of each, by `axml_jax.predict.Predictor`."""
    split = draw_documents(shape, batches * shape.batch, ragged=True, seed=3)
    documents = [split.document(i) for i in range(len(split))]
    predictor = Predictor(
        make_model(shape, precision, 0.0),
        {"params": params},
        max_tokens=shape.tokens,
        batch_size=shape.batch,
        devices=jax.local_devices()[:1],
    )
    k = min(TOP_K, shape.num_labels)
    # Once before, for each padded length: the shortest and the longest documents.
    order = np.argsort(split.lengths, kind="stable")
    for part in np.array_split(order, min(8, batches)):
        predictor.top_k_arrays([documents[i] for i in part[: shape.batch]], k)
        predictor.top_k_arrays([documents[i] for i in part[-shape.batch :]], k)
    begin = time.perf_counter()
    predictor.top_k_arrays(documents, k)
    return len(documents) / (time.perf_counter() - begin)


COLUMNS = ("data set", "training documents/s", "minutes an epoch", f"minutes, {EPOCHS} epochs",
           "in the paper", "test documents/s", "minutes", "in the paper")  # fmt: skip


def rows_of(results: Any) -> list[list[str]]:
    """The table: a line for each data set."""
    return [
        [
            name,
            format(one["training_documents_per_s"], ",.0f"),
            format(one["minutes_an_epoch"], ",.1f"),
            format(one["minutes_to_train"], ",.1f"),
            format(one["minutes_of_the_paper"]["train"], ",.0f"),
            format(one["prediction_documents_per_s"], ",.0f"),
            format(one["minutes_to_test"], ",.2f"),
            format(one["minutes_of_the_paper"]["test"], ",.0f"),
        ]
        for name, one in (results["extrapolated"] or {}).items()
        if "minutes_an_epoch" in one
    ]
