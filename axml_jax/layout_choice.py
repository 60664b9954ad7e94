"""Which layout deals the work, and whether these devices can share it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from axml_jax.config import Config
from axml_jax.errors import ConfigError
from axml_jax.label_layout import ByDocumentsAndLabels
from axml_jax.layout import ByDocuments, Layout


def check_devices(config: Config, devices: Sequence[Any]) -> None:
    """Refuses settings that these devices cannot share.

    Args:
      config: The experiment.
      devices: All that take part.

    Raises:
      ConfigError: A batch that cannot be dealt to them evenly, or as `choose_layout`.
    """
    batch_size, number = config.data.batch_size, len(devices)
    if batch_size % number:
        raise ConfigError(
            f"config.data.batch_size is {batch_size}, which {number} devices cannot share evenly; "
            f"the next that they can is {-(-batch_size // number) * number}."
        )
    _check_parts(devices, config.parallel.labels)


def choose_layout(devices: Sequence[Any], num_labels: int, parts: int) -> Layout:
    """By documents; by labels too where their queries are split into several parts.

    Args:
      devices: All that take part.
      num_labels: L.
      parts: `config.parallel.labels`.

    Raises:
      ConfigError: parts that these devices cannot hold.
    """
    _check_parts(devices, parts)
    return ByDocuments() if parts == 1 else ByDocumentsAndLabels(num_labels, parts)


def _check_parts(devices: Sequence[Any], parts: int) -> None:
    if len(devices) % parts:
        raise ConfigError(
            f"config.parallel.labels is {parts}, but "
            f"{'there is 1 device' if len(devices) == 1 else f'there are {len(devices)} devices'}; "
            f"their number must be a multiple of {parts}."
        )
    if parts > 1 and len({device.process_index for device in devices}) > 1:
        raise ConfigError(
            f"config.parallel.labels is {parts}: labels are split over the devices of one process, "
            "and there are several."
        )
