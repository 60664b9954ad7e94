"""What can be a GPU's default compiles for an H200, fits its shared memory, stays within bounds.

One subprocess compiles everything: the compiler's flags are read when JAX is imported.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import Any

import pytest

from tests.h200 import PLUGIN, ROOT, needs_plugin, results_of

MEGABYTE = 1_000_000


def run(source: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", source],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("h200")
    return results_of("h200_memory", out, "--implementations=pallas,chunked")


@pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() != "x86_64",
    reason="the compiler's wheels are for Linux on x86-64",
)
def test_the_compiler_is_installed_where_it_can_be() -> None:
    """So that nobody takes a skipped proof for a passed one."""
    assert PLUGIN.is_dir()


ODD = """
from benchmarks import h200_memory as bench  # sets the compiler's flags before JAX is imported
from axml_kernels.workloads import WORKLOADS, Workload

shapes = [(8, 17, (3,)), (100, 1, (33,)), (300, 257, (300,)), (600, 40, (600,)), (1000, 40, (8, 3))]
with bench.card() as spec:
    for width, num_labels, layers in shapes:
        WORKLOADS["odd"] = Workload(3, 70, width, num_labels, layers)
        for dtype in ("float32", "bfloat16", "float16"):
            bench.compiled_head(bench.Case("odd", dtype, "pallas", True), spec)
            print("compiled", width, dtype)
"""


@needs_plugin
@pytest.mark.parametrize("precision", [None, "highest"])
def test_shapes_that_no_block_divides_compile(
    precision: str | None, user_environment: dict[str, str]
) -> None:
    # With "highest" float32 has tiles of its own.
    environment = {**user_environment, "JAX_DEFAULT_MATMUL_PRECISION": precision or "default"}
    done = run(ODD, environment)
    assert done.stdout.count("compiled") == 15, done.stdout + done.stderr


@needs_plugin
def test_temporary_memory_does_not_grow_with_tokens_times_labels(compiled: dict[str, Any]) -> None:
    cases = [case for case in compiled["cases"] if case["implementation"] == "pallas"]
    assert len(cases) == 5 * 2 * 2
    for case in cases:
        shape = compiled["shapes"][case["workload"]]
        states = shape["batch"] * shape["tokens"] * (shape["width"] + shape["layers"][0])
        if case["workload"] == "wiki10-31k" and case["dtype"] == "bfloat16":
            allowed = 256 * MEGABYTE if case["backward"] else 32 * MEGABYTE
        elif case["backward"]:
            allowed = 96 * MEGABYTE + 16 * states + 4 * shape["batch"] * shape["num_labels"]
        else:
            allowed = 16 * MEGABYTE + 8 * states
        assert case["temporary"] <= allowed, case


@needs_plugin
def test_temporary_memory_of_chunked_is_a_fraction_of_the_attention_weights(
    compiled: dict[str, Any],
) -> None:
    """Looser bounds than the kernels': tiles and copies of the queries are XLA's."""
    cases = [case for case in compiled["cases"] if case["implementation"] == "chunked"]
    assert len(cases) == 5 * 2 * 2
    for case in cases:
        shape = compiled["shapes"][case["workload"]]
        item = 2 if case["dtype"] == "bfloat16" else 4
        states = shape["batch"] * shape["tokens"] * (shape["width"] + shape["layers"][0])
        queries = shape["num_labels"] * shape["width"]
        scores = shape["batch"] * shape["num_labels"]
        if case["backward"]:
            # Gradients of the queries are summed in float32, in two copies of a loop's.
            allowed = 96 * MEGABYTE + 3 * item * states + (8 + item) * queries + 40 * scores
        else:
            allowed = 64 * MEGABYTE + 2 * item * states + item * queries + 8 * scores
        assert case["temporary"] <= allowed, case


MAPPED = """
from benchmarks import h200_memory as bench  # sets the compiler's flags before JAX is imported
import jax
from axml_kernels import label_attention, label_scores, label_top_k
from axml_kernels.workloads import Workload

shape = Workload(3, 70, 64, 300, (32,))
chosen = {"implementation": "pallas"}
with bench.card() as spec:
    hidden, lengths = spec((2, 3, 70, 64)), spec((2, 3), "int32")
    queries, head = spec((300, 64)), bench.head_spec(shape, spec)

    def scores(hidden, lengths, queries, head):
        return label_scores(hidden, queries, lengths, head, **chosen).sum()

    def averages(hidden, lengths, queries, head):
        return label_attention(hidden, queries, lengths, **chosen).sum()

    def best(hidden, lengths, queries, head):
        return label_top_k(hidden, queries, lengths, head, 5, **chosen)

    for name, function in {
        "scores": jax.grad(scores, (0, 2)), "attention": jax.grad(averages, (0, 2)), "best": best
    }.items():
        mapped = jax.jit(jax.vmap(function, (0, 0, None, None)))
        text = mapped.lower(hidden, lengths, queries, head).compile().as_text()
        assert "__gpu$xla.gpu.triton" in text, name
        print("compiled", name)
"""


@needs_plugin
def test_mapped_kernels_compile_with_their_gradients(user_environment: dict[str, str]) -> None:
    done = run(MAPPED, user_environment)
    assert done.stdout.count("compiled") == 3, done.stdout + done.stderr


@needs_plugin
def test_a_step_with_a_million_labels_takes_at_most_10_gigabytes(compiled: dict[str, Any]) -> None:
    assert compiled["million_labels_adam_step"]["pallas"]["total"] <= 10_000 * MEGABYTE
