"""About how long the steps of a study take on this machine."""

from __future__ import annotations

import time
from itertools import pairwise

from axml_jax.config import Config
from benchmarks.paper_plan import Size

# Shares of the rate of a large matrix product that trainings here have reached, and words that
# Parabel takes in a second of a core or two (results/parabel_eurlex57k_cpu.json): a guess is all
# that is wanted.
_SHARE = 0.1
_PARABEL_WORDS = 400_000
_STEP_SECONDS = 0.002
_COMPILE_SECONDS = 20.0
_PREPARED_WORDS = 300_000  # of a second, word vectors included


def matrix_rate(size: int = 1024, rounds: int = 5) -> float:
    """Operations a second of a product of two square matrices, the best of some rounds."""
    import jax
    import jax.numpy as jnp

    multiply = jax.jit(jnp.matmul)
    x = jnp.ones((size, size), jnp.float32)
    multiply(x, x).block_until_ready()
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        multiply(x, x).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    return 2 * size**3 / min(seconds)


def operations(config: Config, words: float, labels: int) -> float:
    """Additions and multiplications of a document's way forward, the large ones."""
    model, words = config.model, min(words, config.data.max_tokens)
    d, n = model.word_width, model.hidden
    if model.name == "xml_cnn":
        filters = sum(2 * width * d * model.filters for width in model.filter_widths)
        pooled = model.filters * model.chunks * len(model.filter_widths)
        return filters * words + 2 * model.bottleneck * (pooled + labels)
    recurrent = 16 * n * (d + n) * words
    widths = (2 * n, *model.fully_connected)
    layers = sum(2 * a * b for a, b in pairwise(widths))
    if model.name == "xml_rnn":
        return recurrent + layers + 2 * widths[-1] * labels
    return recurrent + (8 * n * words + layers + 2 * widths[-1]) * labels


def preparing_seconds(size: Size) -> float:
    """Reading, encoding and making word vectors."""
    return (size.train + size.test) * size.words / _PREPARED_WORDS


def training_seconds(config: Config, size: Size, rate: float) -> float:
    """All epochs: early stopping may end it before."""
    documents = min(config.data.train_documents or size.train, size.train)
    if config.model.name == "parabel":
        return documents * size.words / _PARABEL_WORDS
    work = 3 * documents * operations(config, size.words, size.labels) / (_SHARE * rate)
    steps = documents / config.data.batch_size
    return config.train.epochs * (work + steps * _STEP_SECONDS) + _COMPILE_SECONDS


def predicting_seconds(config: Config, size: Size, rate: float) -> float:
    """Once over the test split."""
    if config.model.name == "parabel":
        return size.test * size.words / _PARABEL_WORDS
    work = size.test * operations(config, size.words, size.labels) / (_SHARE * rate)
    return work + _COMPILE_SECONDS / 4
