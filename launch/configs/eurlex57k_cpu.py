"""EURLEX57K (Chalkidis et al., 2019) on two CPU cores within an hour: a small model, whole train.

    python launch/prepare.py --train_texts train_texts.txt --train_labels train_labels.txt \\
        --test_texts dev_texts.txt --test_labels dev_labels.txt --out STORE \\
        --vector_width 128 --min_documents 3 --vocabulary_size 50000
    python launch/train.py --config launch/configs/eurlex57k_cpu.py --store STORE --run RUN

Two CPU cores, some 40 minutes beside other work.  Dev, scored once: P@1 91.93,
P@3 80.42, P@5 66.58, nDCG@5 80.22 (benchmarks/results/parabel_eurlex57k_cpu.json).
"""

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
    # As measured above; where words are few, moving all of them at each step is cheap.
    config.train.lazy_words = False
    config.train.epochs = 4
    config.train.average_steps = 500
    return config
