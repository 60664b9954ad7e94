"""Docstrings of the installed Python packages: what `make demo` trains.

    python launch/prepare.py --dataset pydocs --out STORE
    python launch/train.py --config launch/configs/pydocs.py --store STORE --run RUN

Two CPU cores; all of `make demo` took 3.9 minutes.  Test: P@1 75.53, P@3 57.55, P@5 41.67, where
the most frequent labels reach 28.82, 21.29 and 15.44 (benchmarks/results/demo.json).

Chosen on the validation split among learning rates 0.003, 0.006 and 0.01, dropout 0.2, 0.4 and 0.5,
and 4 to 8 epochs (6, so that all of `make demo` takes well under ten minutes on two CPU cores):
validation nDCG@5 68.25, P@1 75.80, P@5 42.16.
"""

from axml_jax.config import Config


def get_config() -> Config:
    config = Config()
    config.data.max_tokens = 128
    config.data.length_buckets = 3
    config.data.pool_batches = 20
    config.model.hidden = 64
    config.model.fully_connected = (64,)
    config.model.dropout = 0.4
    config.model.query_init = "label_state"
    config.train.learning_rate = 0.006
    config.train.warmup_steps = 50
    config.train.decay = "linear"
    # As measured above; where words are few, moving all of them at each step is cheap.
    config.train.lazy_words = False
    config.train.epochs = 6
    return config
