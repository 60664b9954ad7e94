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
