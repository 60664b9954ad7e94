"""What does a training step hold on H200s: kernels, memory, and what the cards tell each other?

    python benchmarks/h200_step.py

Compiled without a card (benchmarks/h200.py), nothing runs:

- `recurrence`: how many kernels one time step of the BiLSTM starts, forward and with its gradient.
  At a batch of 40 they are the floor of a step: 500 times some microseconds each.
- `word_table`: temporary memory of a whole step with few and with many words, by the word table's
  Adam.
- `four_cards`: the collectives of a step over four cards, and their bytes.
- `split_labels`: memory of a card, of eight, for three million labels.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]  # run as a file
sys.path[1:1] = [f"{sys.path[0]}/kernels"]

from benchmarks import h200  # noqa: E402  # isort: skip  # sets flags before jax

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from absl import app, flags  # noqa: E402
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402

from axml_jax.config import Config  # noqa: E402
from axml_jax.data.batches import Batch  # noqa: E402
from axml_jax.label_layout import DATA, LABELS, ByDocumentsAndLabels  # noqa: E402
from axml_jax.layout import ByDocuments  # noqa: E402
from axml_jax.models.attention_xml import AttentionXML  # noqa: E402
from axml_jax.models.bilstm import bilstm  # noqa: E402
from axml_jax.models.bilstm_parameters import BiLSTMParameters  # noqa: E402
from axml_jax.tables import show_table  # noqa: E402
from axml_jax.train.optimizer import make_optimizer  # noqa: E402
from axml_jax.train.step import make_train_step  # noqa: E402
from axml_kernels import compiling_for  # noqa: E402
from benchmarks import report  # noqa: E402
from benchmarks.schedules import collectives, loop_kernels  # noqa: E402
from benchmarks.train_step_data import SHAPES, Shape  # noqa: E402
from benchmarks.train_step_measure import DROPOUT  # noqa: E402
from benchmarks.train_step_ours import make_model  # noqa: E402

OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")

TRUE_LABELS = 16
WORDS = 500_000
TABLES = (50_000, 2_000_000)
# Labels of which no card could hold the queries, their moments and gradients together with ease.
MANY_LABELS = SHAPES["wikilshtc"]._replace(num_labels=3_000_000, num_words=WORDS)


def recurrence(hidden: int, dtype: str) -> dict[str, Any]:
    """Kernels of a time step: forward, and of both loops with gradient."""
    batch, tokens, width = 40, 500, 300
    found: dict[str, Any] = {"hidden": hidden, "dtype": dtype}
    with h200.card() as spec:
        parameters = BiLSTMParameters(
            spec((2, width, 4 * hidden)), spec((2, hidden, 4 * hidden)), spec((2, 4 * hidden))
        )

        def total(x: Any, lengths: Any, parameters: Any) -> Any:
            return bilstm(x, lengths, parameters).astype(jnp.float32).sum()

        given = spec((batch, tokens, width), dtype), spec((batch,), jnp.int32), parameters
        for name, function in (("forward", bilstm), ("with_gradient", jax.grad(total, (0, 2)))):
            compiled = jax.jit(function).lower(*given).compile()
            found[name] = sum(loop_kernels(str(compiled.as_text())))
    return found


def batch_of(shape: Shape) -> Batch:
    """The shapes of a batch."""

    def spec(*sizes: int, dtype: Any = jnp.int32) -> Any:
        return jax.ShapeDtypeStruct((shape.batch, *sizes), dtype)

    return Batch(spec(shape.tokens), spec(), spec(TRUE_LABELS), spec(dtype=jnp.float32), spec())


def key_shape() -> Any:
    return jax.eval_shape(lambda: jax.random.key(0))


def state_of(model: AttentionXML, optimizer: Any) -> Any:
    """The shapes of a state."""
    given = jnp.ones((1, 2), jnp.int32), jnp.full((1,), 2, jnp.int32)
    params = jax.eval_shape(model.init, jax.random.key(0), *given)["params"]
    return jax.eval_shape(optimizer.start, params)


def compiled_step(shape: Shape, cards: int, lazy: bool, dtype: str = "bfloat16") -> Any:
    """A training step over the documents of a batch, compiled for so many cards."""
    config = Config()
    config.train.lazy_words = lazy
    layout, model = ByDocuments(), make_model(shape, dtype, DROPOUT)
    optimizer = make_optimizer(config, 1000, layout.global_norm)
    step: Any = layout.compiled(
        make_train_step(model, optimizer, steps_per_epoch=1000, layout=layout), h200.cards(cards)
    )
    rows = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((cards, x.shape[0] // cards, *x.shape[1:]), x.dtype),
        batch_of(shape),
    )
    with compiling_for(h200.CARD):
        return step.lower(state_of(model, optimizer), {}, rows, key_shape()).compile()


def compiled_split_step(shape: Shape, cards: int, dtype: str = "bfloat16") -> Any:
    """A training step whose labels are split over all cards."""
    layout, model = ByDocumentsAndLabels(shape.num_labels, cards), make_model(shape, dtype, DROPOUT)
    optimizer = make_optimizer(Config(), 1000, layout.global_norm)
    devices = h200.cards(cards)
    step: Any = layout.compiled(
        make_train_step(model, optimizer, steps_per_epoch=1000, layout=layout), devices
    )
    dealt = NamedSharding(layout.mesh(devices), PartitionSpec((DATA, LABELS)))
    state = layout.placed_shapes(state_of(model, optimizer), devices)
    rows = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=dealt), batch_of(shape)
    )
    key = layout.placed_shapes(key_shape(), devices)
    with compiling_for(h200.CARD):
        return step.lower(state, {}, rows, key).compile()


def measure() -> dict[str, Any]:
    """Compiles everything."""
    many_words = SHAPES["eurlex"]._replace(num_words=WORDS)
    adam = {
        name: {
            words: h200.memory(compiled_step(many_words._replace(num_words=words), 1, lazy))
            for words in TABLES
        }
        for name, lazy in (("touched rows", True), ("all rows", False))
    }
    four = collectives(compiled_step(many_words, 4, True).as_text())
    split = compiled_split_step(MANY_LABELS, 8)
    per_label = 4 * MANY_LABELS.num_labels * 2 * MANY_LABELS.hidden
    return {
        "recurrence": [
            recurrence(hidden, dtype) for hidden in (256, 512) for dtype in ("float32", "bfloat16")
        ],
        "word_table": {"word_width": many_words.word_width, "steps": adam},
        "four_cards": {"shape": many_words._asdict(), "collectives": four},
        "split_labels": {
            "shape": MANY_LABELS._asdict(),
            "queries_bytes": per_label,
            "per_card": h200.memory(split),
            "collectives": collectives(split.as_text()),
        },
    }


def main(_: Sequence[str]) -> None:
    h200.require()
    results = measure()
    path = report.write(
        "h200_step", {"target": h200.CARD, **results}, Path(OUT.value) if OUT.value else None
    )
    show_table(
        "Kernels of a time step of the BiLSTM",
        ["units", "dtype", "forward", "with gradient"],
        [
            (str(row["hidden"]), row["dtype"], str(row["forward"]), str(row["with_gradient"]))
            for row in results["recurrence"]
        ],
    )
    for name, by_words in results["word_table"]["steps"].items():
        for words, found in by_words.items():
            print(f"{words:,} words, Adam on {name}: {found['temporary'] / 1e6:,.0f} MB temporary")
    told = sum(one["bytes"] for one in results["four_cards"]["collectives"])
    print(f"four cards tell each other {told / 1e6:,.1f} MB a step")
    total = results["split_labels"]["per_card"]["total"]
    print(f"3,000,000 labels on eight cards: {total / 1e9:.1f} GB on each")
    print(path.name)


if __name__ == "__main__":
    app.run(main)
