"""RCV1 (103 topics), for one GPU: faster than the paper's setting.

    python launch/prepare.py --dataset rcv1 --manual_dir FOLDER --vectors GLOVE --out STORE
    python launch/train.py --config launch/configs/rcv1.py --store STORE --run RUN

Beside `paper_rcv1`: documents of like length together, bfloat16, queries that begin at their
labels' documents, a rate that warms up and falls, fewer epochs, averaged weights.  GLOVE is the
file of 300-dimensional GloVe vectors.  Not run yet: no time and no score can be given.
"""

from axml_jax.config import Config


def get_config() -> Config:
    config = Config()
    config.data.length_buckets = 6
    config.data.pool_batches = 50
    config.model.query_init = "label_state"
    config.model.precision = "bfloat16"
    config.train.epochs = 15
    config.train.warmup_steps = 200
    config.train.decay = "linear"
    config.train.average_steps = 500
    config.train.patience = 3
    return config
