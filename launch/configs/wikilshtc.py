"""WikiLSHTC (36,504 labels, short documents), for one GPU: faster than the paper's setting.

    python launch/prepare.py --dataset wikilshtc --manual_dir FOLDER --vectors GLOVE --out STORE
    python launch/train.py --config launch/configs/wikilshtc.py --store STORE --run RUN

Beside `paper_wikilshtc`: documents of like length together, bfloat16, queries that begin at their
labels' documents, a rate that warms up and falls, larger batches, fewer epochs, averaged
weights.  GLOVE is the file of 300-dimensional GloVe vectors.  Not run yet: no time and no score can
be given.
"""

from axml_jax.config import Config


def get_config() -> Config:
    config = Config()
    config.data.max_tokens = 300
    config.data.batch_size = 128
    config.data.length_buckets = 6
    config.data.pool_batches = 50
    config.model.hidden = 512
    config.model.fully_connected = (512, 256)
    config.model.query_init = "label_state"
    config.model.precision = "bfloat16"
    config.train.epochs = 5
    config.train.learning_rate = 0.002
    config.train.warmup_steps = 1000
    config.train.decay = "linear"
    config.train.average_steps = 2000
    config.train.patience = 3
    return config
