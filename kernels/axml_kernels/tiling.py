"""Block sizes and the order of projection: every measured constant of this package in one place.

Knows nothing of arrays: integers in, integers out.
"""

# The most elements a [B, T, C] block of scores may hold.
MAX_SCORES_PER_BLOCK = 40 * 256 * 512
# A block of labels is a whole number of vectors of this many labels (16 float32 fill an AVX-512 register).
LABEL_MULTIPLE = 16
MIN_LABELS_PER_BLOCK = 64


def label_block(batch: int, tokens: int, num_labels: int) -> int:
    """Labels of one block: equal blocks, as few as the bound on a block's scores allows."""
    most = max(MIN_LABELS_PER_BLOCK, MAX_SCORES_PER_BLOCK // max(1, batch * tokens))
    if num_labels <= most:
        return num_labels
    blocks = -(-num_labels // most)
    labels = -(-num_labels // blocks)
    return -(-labels // LABEL_MULTIPLE) * LABEL_MULTIPLE


def tile(batch,tokens,num_labels):
    g=FORCE[0]; return (min(batch,g),min(num_labels,FORCE[1]))
FORCE=[2,256]
def project_first(tokens: int, width: int, features: int, num_labels: int) -> bool:
    """Whether averaging hidden K1 takes fewer operations than averaging hidden and then applying K1.

    Per document L T (D + F) + T D F against L (2 T D + D F) multiplications.
    """
    first = num_labels * tokens * (width + features) + tokens * width * features
    last = num_labels * (2 * tokens * width + width * features)
    return first < last
