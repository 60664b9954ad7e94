"""XML-RNN and XML-CNN for one document at a time in plain NumPy, float64.

Written from the modules' documentation and Liu et al. (2017) alone; shares no code with the
package.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.models.oracle import Tree, bilstm


def embedded(params: Tree, token_ids: Sequence[int]) -> np.ndarray:
    vectors = params["words"]["vectors"]
    rows = [vectors[t] if t != 0 else np.zeros(vectors.shape[1]) for t in token_ids]
    return np.array(rows).reshape(len(token_ids), vectors.shape[1])


def dense(z: np.ndarray, layer: Tree) -> np.ndarray:
    return np.maximum(z @ layer["kernel"] + layer["bias"], 0)


def outputs(params: Tree, z: np.ndarray) -> np.ndarray:
    return params["labels"]["label_weights"] @ z + params["labels"]["label_biases"]


def xml_rnn(params: Tree, token_ids: Sequence[int]) -> np.ndarray:
    """Logits [L]."""
    encoder = params["encoder"]
    x = embedded(params, token_ids)
    hidden = bilstm(x, encoder["input_kernel"], encoder["recurrent_kernel"], encoder["bias"])
    z = hidden.max(axis=0) if len(token_ids) else np.zeros(hidden.shape[1])
    layer = 0
    while f"layers_{layer}" in params:
        z = dense(z, params[f"layers_{layer}"])
        layer += 1
    return outputs(params, z)


def pooled(features: np.ndarray, chunks: int) -> np.ndarray:
    """Features [m, C] to the maxima [p, C] of chunks t p // m; zeros where there is none."""
    maxima = np.zeros((chunks, features.shape[1]))
    for t, row in enumerate(features):
        chunk = t * chunks // len(features)
        maxima[chunk] = np.maximum(maxima[chunk], np.maximum(row, 0))
    return maxima


def xml_cnn(params: Tree, token_ids: Sequence[int], chunks: int) -> np.ndarray:
    """Logits [L]."""
    x = embedded(params, token_ids)
    maps: list[np.ndarray] = []
    while f"convolutions_{len(maps)}" in params:
        filters = params[f"convolutions_{len(maps)}"]  # kernel [w, E, C]
        width = len(filters["kernel"])
        behind = np.concatenate([x, np.zeros((width, x.shape[1]))])
        features = [
            np.einsum("we,wec->c", behind[t : t + width], filters["kernel"]) + filters["bias"]
            for t in range(len(x))
        ]
        number = filters["kernel"].shape[2]
        maps.append(pooled(np.array(features).reshape(len(x), number), chunks))
    z = dense(np.concatenate(maps, axis=1).reshape(-1), params["layer"])
    return outputs(params, z)
