"""AmazonCat-13K in the paper's setting for large data sets (Experimental Settings).

    python launch/prepare.py --dataset amazoncat_13k --manual_dir FOLDER --vectors GLOVE --out STORE
    python launch/train.py --config launch/configs/paper_amazoncat_13k.py --store STORE --run RUN

GLOVE is the file of 300-dimensional GloVe vectors, as the paper has it.  Not run yet: no time and
no score of ours can be given.
"""

from axml_jax.config import Config


def get_config() -> Config:
    config = Config()
    config.model.hidden = 512
    config.model.fully_connected = (512, 256)
    config.train.epochs = 10
    return config
