"""axml_jax in the benchmark of training steps: as training and prediction really run it.

`Ours` is the only place that knows how `axml_jax.train` is called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from axml_jax.config import Config
from axml_jax.data.batches import Batch
from axml_jax.layout_choice import choose_layout
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.train.optimizer import make_optimizer
from axml_jax.train.step import make_train_step
from benchmarks.contenders import PRECISIONS
from benchmarks.train_step_data import Shape

# Labels that a prediction names.
TOP_K = 5
# Implementation of the recurrent layer by contender; None chooses, as training does by default.
RECURRENCES = {"axml": None, "axml-scan": "scan", "axml-cudnn": "cudnn"}
# More steps than any benchmark takes: the learning rate is constant.
_STEPS = 2**31 - 1


def make_model(
    shape: Shape, precision: str, dropout: float, recurrence: str | None = None
) -> AttentionXML:
    """The module of a shape; its recurrent layer by "scan", "cudnn" or what it chooses."""
    dtype, allowed = PRECISIONS[precision]
    return AttentionXML(
        num_words=shape.num_words,
        width=shape.word_width,
        num_labels=shape.num_labels,
        hidden=shape.hidden,
        fully_connected=shape.layers,
        dropout=dropout,
        recurrence=recurrence,
        precision=allowed if allowed == "highest" else None,
        dtype=None if dtype == "float32" else dtype,
    )


def initial_params(shape: Shape) -> Any:
    """Initial weights as NumPy arrays.

    The row of the padding is zeros, as PyTorch has it.  Biases are random: at zero, gates could be
    taken for one another, and an LSTM that reads padding would stand still there.
    """
    init = jax.jit(make_model(shape, "float32", 0.0).init)
    variables = init(jax.random.key(0), jnp.ones((1, 2), jnp.int32), jnp.full((1,), 2, jnp.int32))
    params = jax.tree.map(np.array, dict(variables)["params"])
    params["words"]["vectors"][0] = 0
    random = np.random.default_rng(0)
    for part in ("encoder", "labels"):
        for name, array in params[part].items():
            if name.startswith("bias"):
                array += random.standard_normal(array.shape, np.float32) / 2
    return params


def exactness(precision: str) -> Any:
    """A context in which JAX's matrix products are as exact as the precision says."""
    if PRECISIONS[precision][1] == "highest":
        return jax.default_matmul_precision("highest")
    return contextlib.nullcontext()


class Ours:
    """A model in training, dealt to devices as in `axml_jax.train.loop`.

    Args:
      shape: The model.
      precision: Key of PRECISIONS.
      params: Initial weights.
      dropout: Rate.
      recurrence: Implementation of the recurrent layer, as in `make_model`.
      devices: How many devices train.
      label_parts: Over how many of them the labels are split; see `config.parallel.labels`.
    """

    sparse = True  # `axml_jax.train.word_rows`, as by default

    def __init__(
        self,
        shape: Shape,
        precision: str,
        params: Any,
        dropout: float,
        *,
        recurrence: str | None = None,
        devices: int = 1,
        label_parts: int = 1,
    ) -> None:
        self.precision = precision
        self.model = make_model(shape, precision, dropout, recurrence)
        self.devices = jax.local_devices()[:devices]
        self.layout = choose_layout(self.devices, shape.num_labels, label_parts)
        self.optimizer = make_optimizer(Config(), _STEPS, self.layout.global_norm)
        state = self.optimizer.start(jax.tree.map(jnp.asarray, params))
        self._state, self._key = self.layout.placed((state, jax.random.key(0)), self.devices)
        step = make_train_step(
            self.model, self.optimizer, steps_per_epoch=_STEPS, layout=self.layout
        )
        self._step = self.layout.compiled(step, self.devices)
        self._top_k = self.layout.compiled_top_k(self.model, TOP_K, self.devices)

    def run(self, name: str, placed: Sequence[Batch]) -> Any:
        """Takes a step on each batch, or predicts it: the last loss, or all best labels."""
        with exactness(self.precision):
            if name == "training":
                for batch in placed:
                    dealt = self.layout.dealt(batch, self.devices)
                    self._state, measures = self._step(self._state, {}, dealt, self._key)
                return measures.loss
            variables = {"params": self._state.params}
            return [
                self._top_k(
                    variables, self.layout.dealt((batch.token_ids, batch.lengths), self.devices)
                )
                for batch in placed
            ]

    def wait(self, result: Any) -> None:
        jax.block_until_ready(result)

    def scores(self, batch: Batch) -> np.ndarray:
        """Logits [B, L] without dropout."""
        with exactness(self.precision):
            apply = jax.jit(self.model.apply)
            params = self.params()
            return np.asarray(apply({"params": params}, batch.token_ids, batch.lengths))

    def best(self, batch: Batch) -> np.ndarray:
        """The ids of the best labels [B, K], as `run` predicts them."""
        ((_, label_ids),) = self.run("prediction", [batch])
        return np.asarray(label_ids)[0]

    def params(self) -> Any:
        """The weights of the moment as NumPy arrays that outlive the next step."""
        return jax.tree.map(np.array, self.layout.gathered(self._state.params))

    def compiled_step(self, batch: Batch) -> str:
        """The program of a training step as it was compiled."""
        dealt = self.layout.dealt(batch, self.devices)
        step: Any = self._step
        with exactness(self.precision):
            return str(step.lower(self._state, {}, dealt, self._key).compile().as_text())

    def held_bytes(self, name: str) -> int:
        """What a pass starts from: weights, for training the optimizer's state as well."""
        held = self._state if name == "training" else self._state.params
        return sum(leaf.nbytes for leaf in jax.tree.leaves(held))
