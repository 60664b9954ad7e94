"""The paper's setting for RCV1, EUR-Lex and Wiki10-31K (Experimental Settings).

    python launch/train.py --config launch/configs/paper_medium.py --store STORE --run RUN

Prepare the store with --vectors naming the 300-dimensional GloVe file, as the paper did.
"""

from axml_jax.config import Config


def get_config() -> Config:
    return Config()  # its defaults are this setting
