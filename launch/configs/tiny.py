"""The smallest model that learns: for trying things out and for tests.

    python launch/train.py --config launch/configs/tiny.py --store STORE --run RUN

Seconds per thousand documents on two CPU cores.
"""

from axml_jax.config import Config


def get_config() -> Config:
    config = Config()
    config.data.max_tokens = 64
    config.data.length_buckets = 2
    config.data.pool_batches = 10
    config.model.hidden = 32
    config.model.fully_connected = (32,)
    config.model.dropout = 0.2
    config.model.query_init = "label_state"
    config.model.word_width = 50
    config.train.learning_rate = 0.005
    config.train.epochs = 5
    return config
