"""The device that programs are made for: found, or named by the caller.

Knows nothing of kernels.  What is named here is part of the key of every `jax.jit` cache, so the
same function traced for two devices is traced twice.
"""

import functools
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import jax

# Of the cards that can be named: the compute capability.
CARDS = {
    "NVIDIA A100-SXM4-80GB": (8, 0),
    "NVIDIA A10G": (8, 6),
    "NVIDIA L4": (8, 9),
    "NVIDIA GeForce RTX 4090": (8, 9),
    "NVIDIA H100 80GB HBM3": (9, 0),
    "NVIDIA H200": (9, 0),
    "NVIDIA B200": (10, 0),
}
# Where Linux describes the first core's caches, and what is taken for the second where it does not.
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
USUAL_CACHE = 2 << 20


class Target(NamedTuple):
    """A kind of device.

    Attributes:
      platform: "cpu", "gpu", "tpu": JAX's name.
      card: `jax.Device.device_kind`.
      capability: NVIDIA's compute capability; None where the device has none.
      interpret: Whether Pallas kernels are interpreted, operation by operation, in XLA.
    """

    platform: str
    card: str
    capability: tuple[int, int] | None
    interpret: bool = False


_named = jax.make_user_context(None)


def compiling_for(card: str) -> AbstractContextManager[None]:
    """Chooses implementations and tiles as on a GPU that is not here, to compile for it.

    What is compiled for is said to JAX: by shapes that live on a device of
    `jax.experimental.topologies`, as benchmarks/h200_memory.py does, or by
    `jitted.trace(...).lower(lowering_platforms=("cuda",))`.

    Args:
      card: Its `jax.Device.device_kind`, one of `CARDS`.

    Returns:
      A context manager.

    Raises:
      ValueError: The card is not known.
    """
    if card not in CARDS:
        raise ValueError(
            f"card should be one of {', '.join(map(repr, CARDS))}, but it is {card!r}."
        )
    return _named(Target("gpu", card, CARDS[card]))


def interpreted() -> AbstractContextManager[None]:
    """Runs Pallas kernels on any device, interpreted: for tests, far too slow for work.

    Returns:
      A context manager.
    """
    return _named(Target("gpu", "interpreter", max(CARDS.values()), interpret=True))


def current() -> Target:
    """The named target, or JAX's default device (`jax.default_device`, else the first one)."""
    if _named.value is not None:
        return _named.value
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    if device is None or isinstance(device, str):
        device = jax.local_devices(backend=device)[0]
    capability = getattr(device, "compute_capability", None)  # of an NVIDIA card like "9.0"
    parts = str(capability).split(".")
    known = len(parts) == 2 and all(part.isdigit() for part in parts)
    return Target(
        device.platform,
        device.device_kind,
        (int(parts[0]), int(parts[1])) if known else None,
    )


@functools.cache
def second_level_cache(caches: Path = CACHES) -> int:
    """Bytes of a core's second-level cache: this machine's, or USUAL_CACHE where it does not say.

    Args:
      caches: Linux's description: a folder `index*` for each cache.
    """
    for cache in sorted(caches.glob("index*")):
        try:
            level = (cache / "level").read_text(encoding="ascii").strip()
            size = (cache / "size").read_text(encoding="ascii").strip()
        except (OSError, UnicodeError):
            continue
        if level == "2" and (found := re.fullmatch(r"(\d+)([KM])", size)) and int(found[1]):
            return int(found[1]) << {"K": 10, "M": 20}[found[2]]
    return USUAL_CACHE
