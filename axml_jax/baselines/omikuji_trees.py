"""omikuji's label trees from sparse features: training, files, the best labels of a document.

omikuji (Rust, MIT) comes with the extra "baselines".  Knows nothing of texts, stores or runs.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import scipy.sparse

from axml_jax.errors import InputError


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keeps omikuji's log, thousands of lines from native code, off the terminal."""
    kept = os.dup(1), os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def write_examples(
    path: pathlib.Path, features: scipy.sparse.csr_matrix, labels: scipy.sparse.csr_matrix
) -> None:
    """Writes the Extreme Classification Repository's text format, which omikuji reads."""
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{features.shape[0]} {features.shape[1]} {labels.shape[1]}\n")
        for row in range(features.shape[0]):
            span = slice(features.indptr[row], features.indptr[row + 1])
            names = labels.indices[labels.indptr[row] : labels.indptr[row + 1]]
            pairs = zip(features.indices[span], features.data[span], strict=True)
            file.write(",".join(map(str, names)))
            file.write("".join(f" {index}:{value:.6g}" for index, value in pairs) + "\n")


def train(
    features: scipy.sparse.csr_matrix,
    labels: scipy.sparse.csr_matrix,
    save_to: pathlib.Path | None = None,
) -> Any:
    """Trains with omikuji's defaults, which are Parabel: three balanced trees, squared hinge loss.

    Args:
      features: [N, V], indices sorted.
      labels: [N, L], ones at the documents' labels.
      save_to: A folder for the trees; None keeps them in memory only.

    Returns:
      omikuji's model.
    """
    import omikuji

    # Beside the trees, what a signal leaves is removed with them.
    with tempfile.TemporaryDirectory(dir=save_to and save_to.parent) as folder:
        path = pathlib.Path(folder) / "train.txt"
        write_examples(path, features, labels)
        # Python hears signals in the main thread, and there only between two of its own lines.
        with silenced(), ThreadPoolExecutor(1) as other:
            trees = other.submit(omikuji.Model.train_on_data, str(path)).result()
            if save_to is not None:
                trees.save(str(save_to))
    return trees


def load(folder: pathlib.Path, num_features: int) -> Any:
    """Loads trees that `train` has saved.

    Raises:
      InputError: They are missing, damaged, or of other features.
    """
    import omikuji

    try:
        with silenced():
            trees = omikuji.Model.load(str(folder))
    except RuntimeError as error:
        raise InputError(f"omikuji cannot read these trees: {error}", file=folder) from error
    if trees.n_features != num_features:
        raise InputError(
            f"these trees are of {trees.n_features} features; expected {num_features}.", file=folder
        )
    return trees


def best_labels(
    trees: Any, features: scipy.sparse.csr_matrix, k: int
) -> Iterator[list[tuple[int, float]]]:
    """Yields at most k pairs of label and probability for each row of features [N, V]."""
    for row in range(features.shape[0]):
        span = slice(features.indptr[row], features.indptr[row + 1])
        indices, values = features.indices[span].tolist(), features.data[span].tolist()
        yield trees.predict(list(zip(indices, values, strict=True)), top_k=k)
