"""EURLEX57K (Chalkidis et al., 2019), whole, for one GPU.

    python launch/train.py --config launch/configs/eurlex57k.py --store STORE --run RUN

Not run yet: no time and no score can be given.
"""

from axml_jax.config import Config


def get_config() -> Config:
    config = Config()
    config.data.length_buckets = 6
    config.data.pool_batches = 50
    config.model.query_init = "label_state"
    config.train.epochs = 20
    config.train.warmup_steps = 500
    config.train.decay = "linear"
    config.train.average_steps = 1000
    config.train.patience = 3
    return config
