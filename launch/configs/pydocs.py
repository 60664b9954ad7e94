"""Docstrings of the installed Python packages: what `make demo` trains."""

from axml_jax.config import Config


def get_config() -> Config:
    config = Config()
    config.data.max_tokens = 128
    config.data.length_buckets = 3
    config.data.pool_batches = 20
    config.model.hidden = 64
    config.model.fully_connected = (64,)
    config.model.dropout = 0.2
    config.model.query_init = "label_state"
    config.train.learning_rate = 0.006
    config.train.warmup_steps = 50
    config.train.decay = "linear"
    config.train.epochs = 4
    return config
