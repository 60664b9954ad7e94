"""EURLEX57K (Chalkidis et al., 2019) on two CPU cores within an hour."""

from axml_jax.config import Config


def get_config() -> Config:
    config = Config()
    config.data.max_tokens = 128
    config.data.length_buckets = 2
    config.data.pool_batches = 50
    config.data.valid_fraction = 0.05
    config.model.hidden = 96
    config.model.fully_connected = (96,)
    config.model.dropout = 0.3
    config.model.embedding_dropout = 0.1
    config.model.query_init = "label_state"
    config.train.learning_rate = 0.004
    config.train.warmup_steps = 200
    config.train.decay = "linear"
    config.train.epochs = 7
    config.train.average_steps = 500
    return config
