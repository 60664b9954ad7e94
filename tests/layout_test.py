"""Settings that devices cannot share are refused by name, whoever asks."""

import types

import pytest

from axml_jax.config import Config
from axml_jax.errors import ConfigError
from axml_jax.layout_choice import check_devices, choose_layout


@pytest.mark.parametrize(
    ("batch_size", "labels", "owners", "told"),
    [
        (41, 1, [0, 0], r"config\.data\.batch_size is 41, which 2 devices cannot .* can is 42\."),
        (2, 1, [0, 0, 0, 0], r"config\.data\.batch_size is 2, .* the next that they can is 4\."),
        (8, 3, [0, 0, 0, 0], r"config\.parallel\.labels is 3, but there are 4 devices; their num"),
        (8, 2, [0, 0, 1, 1], r"config\.parallel\.labels is 2: labels are split .* one process"),
        (8, 2, [0, 0, 0, 0], None),
        (8, 1, [0, 0, 1, 1], None),
    ],
)
def test_what_devices_cannot_share_is_refused(
    batch_size: int, labels: int, owners: list[int], told: str | None
) -> None:
    config = Config()
    config.data.batch_size, config.parallel.labels = batch_size, labels
    devices = [types.SimpleNamespace(process_index=owner) for owner in owners]
    if told is None:
        check_devices(config, devices)
        return
    with pytest.raises(ConfigError, match=told):
        check_devices(config, devices)
    if labels > 1:
        with pytest.raises(ConfigError, match=told):
            choose_layout(devices, 10, labels)
