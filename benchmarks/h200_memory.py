"""How much memory does the label head need on an H200, found without one?

    python benchmarks/h200_memory.py

Compiles `axml_kernels.label_scores`, forward and with its gradient, for an NVIDIA H200 all the
way to machine code and reads the compiler's own figures: the temporary memory beyond arguments,
outputs and gradients.  Nothing runs, so this says nothing of speed.  What does not fit the card
(blocks that overflow its shared memory, shapes that its kernels do not take) fails here.

What it needs: benchmarks/h200.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]  # run as a file
sys.path[1:1] = [f"{sys.path[0]}/kernels"]

from benchmarks.h200 import CARD, card, memory, require  # noqa: E402  # isort: skip  # sets flags before jax

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402
from absl import app, flags  # noqa: E402

from axml_jax import progress  # noqa: E402
from axml_jax.tables import show_table  # noqa: E402
from axml_kernels import Head, label_cross_entropy, label_scores  # noqa: E402
from axml_kernels.workloads import WORKLOADS, Workload  # noqa: E402
from benchmarks import report  # noqa: E402

SHAPES = ("rcv1", "eurlex", "wiki10-31k", "wikilshtc", "amazoncat-13k")
# All labels of one training step: B, T, D, L, F.
MILLION = Workload(16, 128, 512, 1_000_000, (256,))

OUT = flags.DEFINE_string("out", None, "folder of the results; benchmarks/results by default")
IMPLEMENTATIONS = flags.DEFINE_list(
    "implementations", ["pallas", "chunked", "reference"], "what is compiled"
)


class Case(NamedTuple):
    """One program."""

    workload: str
    dtype: str
    implementation: str
    backward: bool


def head_spec(workload: Workload, spec: Callable[..., Any]) -> Head:
    """The shared layers of a workload, float32."""
    widths = (workload.width, *workload.layers)
    return Head(
        tuple(spec((n, m)) for n, m in zip(widths, workload.layers, strict=False)),
        tuple(spec((m,)) for m in workload.layers),
        spec(workload.layers[-1:]),
        spec(()),
    )


def compiled_head(case: Case, spec: Callable[..., Any]) -> Any:
    """label_scores of a case or the gradient of a loss of it, compiled for the card."""
    workload = WORKLOADS[case.workload]
    batch, tokens, width, num_labels, _ = workload

    def scores(hidden: Any, queries: Any, lengths: Any, head: Head) -> Any:
        return label_scores(hidden, queries, lengths, head, implementation=case.implementation)

    def loss(*arguments: Any) -> Any:
        return jax.nn.softplus(scores(*arguments)).mean()

    function = jax.grad(loss, (0, 1, 3)) if case.backward else scores
    return (
        jax.jit(function)
        .lower(
            spec((batch, tokens, width), case.dtype),
            spec((num_labels, width), case.dtype),
            spec((batch,), jnp.int32),
            head_spec(workload, spec),
        )
        .compile()
    )


def compiled_step(workload: Workload, implementation: str, spec: Callable[..., Any]) -> Any:
    """A whole training step of queries and head in float32, with Adam, compiled for the card."""
    batch, tokens, width, num_labels, _ = workload
    parameters = (spec((num_labels, width)), head_spec(workload, spec))
    optimizer = optax.adam(1e-3)
    state = jax.tree.map(
        lambda x: spec(x.shape, x.dtype), jax.eval_shape(optimizer.init, parameters)
    )

    def step(parameters: Any, state: Any, hidden: Any, lengths: Any, labels: Any) -> Any:
        def loss(parameters: Any) -> Any:
            queries, head = parameters
            return label_cross_entropy(
                hidden, queries, lengths, head, labels, implementation=implementation
            )

        updates, new_state = optimizer.update(jax.grad(loss)(parameters), state, parameters)
        return optax.apply_updates(parameters, updates), new_state

    return (
        jax.jit(step, donate_argnums=(0, 1))
        .lower(
            parameters,
            state,
            spec((batch, tokens, width)),
            spec((batch,), jnp.int32),
            spec((batch, 16), jnp.int32),
        )
        .compile()
    )


def measure(implementations: list[str]) -> dict[str, Any]:
    """Compiles every case."""
    cases = [
        Case(workload, dtype, implementation, backward)
        for workload in SHAPES
        for dtype in ("float32", "bfloat16")
        for implementation in implementations
        for backward in (False, True)
    ]
    rows: list[dict[str, Any]] = []
    million = {}
    with card() as spec:
        for case in progress.progress(cases, "compiling", unit="programs"):
            begin = time.perf_counter()
            found = memory(compiled_head(case, spec))
            seconds = round(time.perf_counter() - begin, 1)
            rows.append({**case._asdict(), **found, "compile_seconds": seconds})
        for implementation in implementations:
            if implementation == "reference":
                continue  # B x T x L alone would be 8 GB
            million[implementation] = memory(compiled_step(MILLION, implementation, spec))
    return {"cases": rows, "million_labels_adam_step": million}


def main(_: Any) -> None:
    require()
    results = measure(IMPLEMENTATIONS.value)
    shapes = {name: WORKLOADS[name]._asdict() for name in SHAPES}
    path = report.write(
        "h200_memory",
        {"target": CARD, "shapes": {**shapes, "million": MILLION._asdict()}, **results},
        Path(OUT.value) if OUT.value else None,
    )
    show_table(
        f"Temporary memory, compiled for an {CARD} (not run)",
        ["shape", "dtype", "implementation", "pass", "MB"],
        [
            (
                row["workload"],
                row["dtype"],
                row["implementation"],
                "forward + backward" if row["backward"] else "forward",
                f"{row['temporary'] / 1e6:,.0f}",
            )
            for row in results["cases"]
        ],
    )
    for name, found in results["million_labels_adam_step"].items():
        print(f"1,000,000 labels, a step with Adam, {name}: {found['total'] / 1e9:.2f} GB in all")
    print(path.name)


if __name__ == "__main__":
    app.run(main)
