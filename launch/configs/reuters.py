"""Reuters-21578, ModApte split."""

from axml_jax.config import Config


def get_config() -> Config:
    config = Config()
    config.data.max_tokens = 256
    config.data.length_buckets = 4
    config.data.pool_batches = 20
    config.model.hidden = 128
    config.model.fully_connected = (128,)
    config.model.embedding_dropout = 0.2
    config.model.query_init = "label_state"
    config.train.learning_rate = 0.004
    config.train.warmup_steps = 100
    config.train.decay = "linear"
    config.train.epochs = 14
    config.train.average_steps = 300
    config.train.patience = 0
    return config
