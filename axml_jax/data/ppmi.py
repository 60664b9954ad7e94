"""Word vectors from the text itself: positive pointwise mutual information and a truncated SVD.

Two words that stand at most `window` places apart in one document are counted, with weight one over
their distance.  With c(i, j) the sums of these weights, both orders counted, c(i) = sum_j c(i, j)
and c = sum_i c(i),

    M(i, j) = max(0, log(c(i, j) c / (c(i) c(j))))  ~=  U S V',

and the vector of word i is row i of U S^(1/2), all of them scaled to one standard deviation.
Knows nothing about words as text, files or models.

Reference: Levy, Goldberg and Dagan, Improving Distributional Similarity with Lessons Learned from
Word Embeddings, TACL 2015.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float32, Int32, Int64

from axml_jax.data.text import PAD, UNK
from axml_jax.progress import progress

BLOCK_TOKENS = 1 << 21
MAX_PAIRS = 100_000_000
_OVERSAMPLES = 32
_ITERATIONS = 4
_SMALL = 0.1  # spread of words without a vector, as a share of the spread of the others


def ppmi_vectors(
    tokens: Int32[np.ndarray, " tokens"],
    offsets: Int64[np.ndarray, " N+1"],
    num_words: int,
    width: int,
    *,
    window: int = 5,
    seed: int = 0,
    std: float = 0.5,
    block_tokens: int = BLOCK_TOKENS,
    max_pairs: int = MAX_PAIRS,
) -> Float32[np.ndarray, "V E"]:
    """Makes word vectors from documents; the module's docstring has the equation.

    The same arguments give the same bits on the same machine.

    Args:
      tokens: Word ids of all documents, one after another; UNK counts as a word.
      offsets: Where each document begins, and the end of the last.
      num_words: V.
      width: E.
      window: The largest distance of two words that are counted together.
      seed: Of the SVD's random start and of the rows of words without neighbours.
      std: Standard deviation over all entries of words that have neighbours.
      block_tokens: Tokens counted at a time; bounds the memory that counting takes.
      max_pairs: Distinct pairs of words kept while counting; beyond, those of least weight are
        dropped, so that very large texts need no more memory.  Words' own sums stay exact.

    Returns:
      The vectors.  Row PAD is zeros; words without neighbours, and dimensions beyond the rank that
      so few words can have, hold small random values; UNK, where the text has none, the others' mean.

    Raises:
      ValueError: `width`, `window` or `num_words` is below 1.
    """
    if min(num_words, width, window) < 1:
        raise ValueError(
            f"num_words {num_words}, width {width}, window {window}: all must be positive"
        )
    pairs, sums = count_pairs(tokens, offsets, num_words, window, block_tokens, max_pairs)
    matrix = _ppmi(pairs, sums)
    random = np.random.default_rng(seed)
    values, basis = _truncated_eigen(matrix, min(width, num_words), random)
    vectors = np.zeros((num_words, width), np.float32)
    vectors[:, : len(values)] = basis * np.sqrt(np.abs(values))[None, :]
    known = np.diff(matrix.indptr) > 0
    known[PAD] = False
    spread = vectors[known].std() if known.any() else 0.0
    vectors *= std / spread if spread > 0 else 0.0
    noise = random.standard_normal((num_words, width), dtype=np.float32) * np.float32(_SMALL * std)
    vectors[~known] = noise[~known]
    vectors[:, len(values) :] = noise[:, len(values) :]
    if not known[UNK] and known.any():
        vectors[UNK] = vectors[known].mean(0)
    vectors[PAD] = 0
    return vectors


def count_pairs(
    tokens: Int32[np.ndarray, " tokens"],
    offsets: Int64[np.ndarray, " N+1"],
    num_words: int,
    window: int,
    block_tokens: int = BLOCK_TOKENS,
    max_pairs: int = MAX_PAIRS,
) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
    """Sums one over the distance of words at most `window` apart, never across documents.

    Args:
      tokens: Word ids of all documents.
      offsets: Where each document begins, and the end of the last.
      num_words: V.
      window: The largest distance.
      block_tokens: Tokens counted at a time.
      max_pairs: Distinct pairs kept.

    Returns:
      float32 [V, V]: on and above the diagonal c(i, j), twice the sum for i = j; empty below it.
      float64 [V]: c(i), over all pairs, dropped ones too.
    """
    total = scipy.sparse.csr_matrix((num_words, num_words), dtype=np.float32)
    sums = np.zeros(num_words)
    threshold = 0.0
    blocks = list(_blocks(offsets, block_tokens))
    for begin, end in progress(blocks, "counting pairs of words", unit="blocks"):
        first, last = int(offsets[begin]), int(offsets[end])
        block = _count_block(
            np.asarray(tokens[first:last]), offsets[begin : end + 1] - first, num_words, window
        )
        sums += np.asarray(block.sum(0, dtype=np.float64)).ravel()
        sums += np.asarray(block.sum(1, dtype=np.float64)).ravel()
        total = total + block
        while total.nnz > max_pairs:
            threshold = max(2 * threshold, 1 / window)
            total.data[total.data <= threshold] = 0
            total.eliminate_zeros()
    # Row and column sums meet the diagonal twice, and so it is already in `sums`.
    diagonal = total.diagonal()
    return total + scipy.sparse.diags(diagonal, dtype=np.float32, format="csr"), sums


def _blocks(offsets: np.ndarray, block_tokens: int) -> Iterator[tuple[int, int]]:
    """Runs of whole documents of about `block_tokens` tokens."""
    begin, count = 0, len(offsets) - 1
    while begin < count:
        end = int(np.searchsorted(offsets, offsets[begin] + block_tokens, side="right")) - 1
        end = min(max(end, begin + 1), count)
        yield begin, end
        begin = end


def _count_block(
    tokens: np.ndarray, offsets: np.ndarray, num_words: int, window: int
) -> scipy.sparse.csr_matrix:
    tokens = tokens.astype(np.int64)
    owner = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    keys = []
    for distance in range(1, window + 1):
        together = owner[distance:] == owner[:-distance]
        left, right = tokens[:-distance][together], tokens[distance:][together]
        pair = np.minimum(left, right) * num_words + np.maximum(left, right)
        keys.append(pair * window + (distance - 1))
    key = np.sort(np.concatenate(keys))
    pair, distance = np.divmod(key, window)
    weights = 1.0 / np.arange(1, window + 1)
    starts = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]])[: len(pair)])
    data = np.add.reduceat(weights[distance], starts) if len(starts) else np.empty(0)
    rows, columns = np.divmod(pair[starts], num_words)
    indptr = np.searchsorted(rows, np.arange(num_words + 1))
    return scipy.sparse.csr_matrix(
        (data.astype(np.float32), columns.astype(np.int32), indptr.astype(np.int32)),
        shape=(num_words, num_words),
    )


def _ppmi(pairs: scipy.sparse.csr_matrix, sums: np.ndarray) -> scipy.sparse.csr_matrix:
    """The whole symmetric matrix M from the upper half of the counts."""
    matrix = pairs.tocsr()
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    log_sums = np.log(np.maximum(sums, 1e-300))
    information = np.log(matrix.data, dtype=np.float64) + np.log(max(sums.sum(), 1e-300))
    information -= log_sums[rows]
    information -= log_sums[matrix.indices]
    matrix.data = np.maximum(information, 0).astype(np.float32)
    matrix.eliminate_zeros()
    matrix = matrix + scipy.sparse.triu(matrix, k=1, format="csr").T.tocsr()
    matrix.sort_indices()
    return matrix


def _truncated_eigen(
    matrix: scipy.sparse.csr_matrix, count: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of largest magnitude and their vectors, by subspace iteration from a random start.

    A symmetric matrix's singular values are its eigenvalues' magnitudes, its left singular vectors
    its eigenvectors.  (Halko, Martinsson and Tropp, SIAM Review 2011, algorithm 4.4.)

    Returns:
      float32 [k] and [V, k], magnitudes descending.
    """
    size = matrix.shape[0]
    columns = min(size, count + _OVERSAMPLES)
    threads = len(os.sched_getaffinity(0))
    edges = np.searchsorted(matrix.indptr, np.linspace(0, matrix.nnz, threads + 1)[1:-1])
    bounds = [0, *(int(edge) for edge in edges), size]
    parts = [matrix[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True) if b > a]
    basis = random.standard_normal((size, columns), dtype=np.float32)
    with ThreadPoolExecutor(threads) as pool:

        def times(block: np.ndarray) -> np.ndarray:
            # SciPy lets go of the interpreter's lock; rows do not depend on how they are parted.
            block = np.ascontiguousarray(block)
            return np.concatenate(list(pool.map(lambda part: part @ block, parts)))

        steps = progress(range(_ITERATIONS), "decomposing", unit="iterations")
        for _ in steps:
            basis = scipy.linalg.qr(times(basis), mode="economic", overwrite_a=True)[0]
        projected = basis.T @ times(basis)
    values, rotation = scipy.linalg.eigh((projected + projected.T) / 2)
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    vectors = basis @ rotation[:, order]
    strongest = np.abs(vectors).argmax(0)
    signs = np.sign(vectors[strongest, np.arange(len(order))])  # as eigenvectors have none of their own
    return values[order], vectors * np.where(signs == 0, 1, signs)[None, :].astype(np.float32)
