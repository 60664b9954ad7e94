"""EUR-Lex in the paper's setting for medium data sets (Experimental Settings).

    python launch/prepare.py --dataset eurlex4k --manual_dir FOLDER --vectors GLOVE --out STORE
    python launch/train.py --config launch/configs/paper_eurlex4k.py --store STORE --run RUN

GLOVE is the file of 300-dimensional GloVe vectors, as the paper has it.  Not run yet: no time and
no score of ours can be given.
"""

from axml_jax.config import Config


def get_config() -> Config:
    return Config()  # its defaults are the paper's setting for data sets of medium size
