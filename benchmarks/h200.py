"""Programs for an NVIDIA H200, compiled without one: what their schedules hold and need.

XLA compiles all the way to machine code from a description of the card.  Nothing runs, so this says
nothing of speed.  It needs XLA's CUDA compiler, without CUDA libraries or a driver: the wheels
jax-cuda13-plugin and jax-cuda13-pjrt of the installed jax's version in the folder `cuda-plugin` of
the virtual environment, where `make test` puts them.

Imported before jax: it sets the compiler's flags.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PLUGIN = Path(sys.prefix) / "cuda-plugin"
sys.path.append(str(PLUGIN))
os.environ["JAX_PLATFORMS"] = "cpu"
# Without a card there is no autotuner, and XLA's untuned Triton products can fail to tile.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_enable_triton_gemm=false"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from jax.experimental import topologies  # noqa: E402

from axml_kernels import compiling_for  # noqa: E402

CARD = "NVIDIA H200"
# What a line of a computation does without starting a kernel.
_FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant"}
_OPERATION = re.compile(r"^(?:ROOT )?%\S+ = (\(.*?\)|\S+) ([a-z][\w\-]*)\(")
_SHAPE = re.compile(r"\b([a-z]+\d+|pred)\[([\d,]*)\]")
_COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


def require() -> None:
    """Ends the program where the compiler is missing."""
    if not (PLUGIN / "jax_plugins").is_dir():
        sys.exit(f"There is no {PLUGIN.name}/ in the virtual environment: make test installs it.")


def cards(count: int) -> list[Any]:
    """The devices of a host with so many H200s."""
    topology = topologies.get_topology_desc(
        platform="cuda",
        target_config=(HERE / "h200_target.txtpb").read_text(encoding="utf-8"),
        topology=f"1x1x{count}",
    )
    return list(topology.devices)


@contextlib.contextmanager
def card() -> Iterator[Callable[..., Any]]:
    """Makes programs for one H200; gives spec(shape, dtype), an array that lives there."""
    mesh = jax.sharding.Mesh(cards(1), ("device",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())

    def spec(shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh), compiling_for(CARD):
        yield spec


def memory(compiled: Any) -> dict[str, int]:
    """The compiler's figures for one device in bytes; `total` counts what is donated once."""
    found = compiled.memory_analysis()
    return {
        "temporary": found.temp_size_in_bytes,
        "arguments": found.argument_size_in_bytes,
        "outputs": found.output_size_in_bytes,
        "total": found.temp_size_in_bytes
        + found.argument_size_in_bytes
        + found.output_size_in_bytes
        - found.alias_size_in_bytes,
    }


def loop_kernels(text: str) -> list[int]:
    """How many kernels one turn of each loop starts, by the schedule of a compiled program."""
    bodies = set(re.findall(r"\bbody=%?([\w.\-]+)", text))
    counts = []
    for computation in re.split(r"\n(?=%|ENTRY)", text):
        name = re.match(r"%(\S+) ", computation)
        if name is None or name.group(1) not in bodies:
            continue
        operations = [_OPERATION.match(line.strip()) for line in computation.splitlines()]
        counts.append(
            sum(found is not None and found.group(2) not in _FREE for found in operations)
        )
    return counts


def collectives(text: str) -> list[dict[str, Any]]:
    """What devices tell each other: the kind, shapes and bytes of each collective's result."""
    found = []
    for line in text.splitlines():
        operation = _OPERATION.match(line.strip())
        if operation is None:
            continue
        kind = operation.group(2).removesuffix("-start")
        if kind in _COLLECTIVES:
            shapes = _SHAPE.findall(operation.group(1))
            if operation.group(2).endswith("-start") and kind == "all-gather":
                shapes = shapes[len(shapes) // 2 :]  # operands come first
            found.append(
                {
                    "kind": kind,
                    "shapes": [f"{dtype}[{sizes}]" for dtype, sizes in shapes],
                    "bytes": sum(_bytes(dtype, sizes) for dtype, sizes in shapes),
                }
            )
    return found


def _bytes(dtype: str, sizes: str) -> int:
    bits = 8 if dtype == "pred" else int(re.sub(r"\D", "", dtype))
    count = 1
    for size in filter(None, sizes.split(",")):
        count *= int(size)
    return count * bits // 8
