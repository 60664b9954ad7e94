"""The paper's setting for WikiLSHTC and AmazonCat-13K (Experimental Settings).

    python launch/train.py --config launch/configs/paper_large.py --store STORE --run RUN

Prepare the store with --vectors naming the 300-dimensional GloVe file, as the paper did.
"""

from axml_jax.config import Config


def get_config() -> Config:
    config = Config()
    config.model.hidden = 512
    config.model.fully_connected = (512, 256)
    config.train.epochs = 10
    return config
