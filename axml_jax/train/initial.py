"""Initial values: the model of a configuration, its word vectors, its label queries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from axml_jax.config import Config
from axml_jax.data.batches import pad_documents
from axml_jax.data.store import Store
from axml_jax.errors import ConfigError
from axml_jax.models import XMLCNN, XMLRNN, AttentionXML, TextModel
from axml_jax.progress import bar

if TYPE_CHECKING:
    from axml_jax.train.plan import Plan


def make_model(config: Config, num_words: int, num_labels: int, word_width: int) -> TextModel:
    """The module that a configuration describes; its parameters come from elsewhere.

    Raises:
      ConfigError: config.model.name is no Flax module's.
    """
    model = config.model
    common: dict[str, Any] = {
        "num_words": num_words,
        "width": word_width,
        "num_labels": num_labels,
        "dropout": model.dropout,
        "embedding_dropout": model.embedding_dropout,
        "precision": "highest" if model.precision == "float32" else None,
        "trainable_words": model.train_words,
        "dtype": jnp.bfloat16 if model.precision == "bfloat16" else None,
    }
    if model.name == "xml_cnn":
        return XMLCNN(
            filter_widths=tuple(model.filter_widths),
            filters=model.filters,
            chunks=model.chunks,
            bottleneck=model.bottleneck,
            **common,
        )
    common |= {
        "hidden": model.hidden,
        "fully_connected": tuple(model.fully_connected),
        "recurrence": None if model.recurrence == "auto" else model.recurrence,
    }
    if model.name == "xml_rnn":
        return XMLRNN(**common)
    if model.name == "attention_xml":
        attention = None if model.attention == "auto" else model.attention
        return AttentionXML(attention=attention, **common)
    raise ConfigError(f"config.model.name is {model.name}, which axml_jax.train.door trains.")


def word_width(config: Config, store: Store) -> int:
    """E: the width of the store's vectors, or the configured one where they are random."""
    if config.model.word_vectors == "random":
        return config.model.word_width
    if store.vectors is None:
        raise ConfigError(
            f"the store {store.path} has no word vectors, and config.model.word_vectors is "
            "'store'. Prepare it with --vectors ppmi, or set "
            "--config.model.word_vectors=random; prepared with --base RUN, train it with "
            "--init_from RUN."
        )
    return int(store.vectors.shape[1])


def log_odds_of_mean(num_label_pairs: int, num_documents: int, num_labels: int) -> float:
    """log(p / (1 - p)) of the mean label frequency p: where the output bias starts.

    With it the first steps need not teach the model that nearly every label is absent.
    """
    share = num_label_pairs / max(num_documents * num_labels, 1)
    share = min(max(share, 1e-7), 1 - 1e-7)
    return math.log(share / (1 - share))


def initial_variables(
    model: TextModel, key: jax.Array, store: Store, config: Config, output_bias: float
) -> dict[str, Any]:
    """Draws all parameters by `key`, then puts the store's vectors in place."""
    tokens = jnp.ones((1, 2), jnp.int32)
    model = model.clone(initial_output_bias=output_bias)
    variables: dict[str, Any] = jax.jit(model.init)(key, tokens, jnp.full((1,), 2, jnp.int32))
    variables = jax.tree.map(lambda leaf: leaf, dict(variables))
    if config.model.word_vectors == "store":
        collection = "params" if config.model.train_words else "constants"
        variables[collection]["words"]["vectors"] = jnp.asarray(store.vectors, jnp.float32)
    return variables


def initial_values(plan: Plan, key: jax.Array, label_states: bool) -> tuple[Any, Any]:
    """The parameters before the first step, and the frozen tables.

    Args:
      plan: The experiment.
      key: Decides them.
      label_states: Whether to read the documents for queries that start as label states; without,
        such queries are noise.
    """
    store = plan.store
    split = store.splits["train"]
    truth = split.label_matrix(store.num_train_labels)[plan.parts.train]
    bias = log_odds_of_mean(truth.nnz, *truth.shape)
    # By what runs wherever this does, which need not be where training does; and in float32,
    # since label states are small differences of large means.
    model = plan.model.portable().clone(dtype=None)
    variables = initial_variables(model, key, store, plan.config, bias)
    wanted = label_states and plan.config.model.query_init == "label_state"
    if wanted and isinstance(model, AttentionXML):
        variables["params"]["labels"]["queries"] = label_state_queries(
            model,
            variables,
            [split.document(int(i)) for i in plan.parts.train],
            truth,
            buckets=plan.buckets,
            batch_size=plan.batch_size,
        )
    return variables.pop("params"), variables


def label_state_queries(
    model: AttentionXML,
    variables: Any,
    documents: Sequence[np.ndarray],
    labels: scipy.sparse.csr_matrix,
    *,
    buckets: Sequence[int],
    batch_size: int,
) -> jax.Array:
    """Label queries that start as the normalised mean encoder state of their documents.

    Each document's states are averaged over its tokens, each label's documents averaged,
    what all documents share is subtracted (it would make all queries alike), and each
    query is scaled to length 1, about that of a Xavier-uniform one.  A label without
    documents keeps its initial query.

    Args:
      model, variables: With their initial values.
      documents: int32 token ids of the training documents.
      labels: [N, L], ones at the documents' labels.
      buckets: Increasing padded lengths.
      batch_size: Documents at a time.

    Returns:
      queries, float32 [L, D].
    """

    @jax.jit
    def mean_states(variables: Any, token_ids: jax.Array, lengths: jax.Array) -> jax.Array:
        hidden = jnp.asarray(model.apply(variables, token_ids, lengths, method="encode"))
        return hidden.sum(axis=1) / lengths[:, None].astype(hidden.dtype)

    initial = variables["params"]["labels"]["queries"]
    width = initial.shape[1]
    # float64, so that the sums do not depend on how documents fall into batches.
    sums, total = np.zeros((labels.shape[1], width)), np.zeros(width)
    order = np.argsort([min(len(d), buckets[-1]) for d in documents], kind="stable")
    with bar("initial label queries", len(documents)) as advance:
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            batch = pad_documents([documents[row] for row in rows], batch_size, buckets)
            means = np.asarray(mean_states(variables, *batch), np.float64)[: len(rows)]
            sums += labels[rows].T @ means
            total += means.sum(axis=0)
            advance(len(rows))
    counts = np.asarray(labels.sum(axis=0), np.float64).reshape(-1, 1)
    queries = sums / np.maximum(counts, 1) - total / max(len(documents), 1)
    norms = np.linalg.norm(queries, axis=1, keepdims=True)
    known = (counts > 0) & (norms > 1e-12)
    scaled = (queries / np.maximum(norms, 1e-12)).astype(np.float32)
    return jnp.where(known, scaled, initial)
