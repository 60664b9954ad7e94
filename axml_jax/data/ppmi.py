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

from collections.abc import Iterator

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float32, Int32, Int64

from axml_jax.data.text import PAD, UNK
from axml_jax.progress import progress

BLOCK_TOKENS = 1 << 21
MAX_PAIRS = 50_000_000
_LANCZOS_BLOCK = 32
_KRYLOV = 4  # dimensions of the Krylov space for each vector asked for
_LEAST_STEPS = 12
_NOISE = 1e-5
_TINY = np.finfo(np.float32).tiny
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
      so few words can have, hold small random values.  Row UNK is the mean of the others where the
      text has no UNK, and otherwise no longer than they are in the mean: rare words stand together
      in lists and foreign passages, and would make it the longest of all.

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
    vectors = random.standard_normal((num_words, width), dtype=np.float32) * np.float32(_SMALL)
    known = np.diff(matrix.indptr) > 0
    words = np.flatnonzero(known[UNK + 1 :]) + UNK + 1
    if len(words):
        scaled = basis * np.sqrt(np.abs(values))[None, :]
        scaled /= scaled[words].std()
        vectors[known, : len(values)] = scaled[known]
        if known[UNK]:
            longest = np.linalg.norm(vectors[words], axis=1).mean()
            vectors[UNK] *= min(1, longest / np.linalg.norm(vectors[UNK]))
        else:
            vectors[UNK] = vectors[words].mean(0)
    vectors *= np.float32(std)
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
    blocks = list(_blocks(offsets, block_tokens))
    for begin, end in progress(blocks, "word vectors: counting pairs", unit="blocks"):
        first, last = int(offsets[begin]), int(offsets[end])
        block = _count_block(
            np.asarray(tokens[first:last]), offsets[begin : end + 1] - first, num_words, window
        )
        sums += np.asarray(block.sum(0, dtype=np.float64)).ravel()
        sums += np.asarray(block.sum(1, dtype=np.float64)).ravel()
        total = total + block
        if total.nnz > max_pairs:
            surplus = total.nnz - max_pairs * 3 // 4  # a quarter free: or every block would prune
            total.data[np.argpartition(total.data, surplus)[:surplus]] = 0
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
    pair, place = np.divmod(key, window)
    weights = 1.0 / np.arange(1, window + 1)
    starts = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]])[: len(pair)])
    data = np.add.reduceat(weights[place], starts) if len(starts) else np.empty(0)
    rows, columns = np.divmod(pair[starts], num_words)
    indptr = np.searchsorted(rows, np.arange(num_words + 1))
    return scipy.sparse.csr_matrix(
        (data.astype(np.float32), columns.astype(np.int32), indptr.astype(np.int32)),
        shape=(num_words, num_words),
    )


def _ppmi(pairs: scipy.sparse.csr_matrix, sums: np.ndarray) -> scipy.sparse.csr_matrix:
    """The whole symmetric matrix M from the upper half of the counts, which it overwrites."""
    matrix = pairs
    # float32 throughout: there are many pairs, and an error of 1e-6 in a logarithm is none.
    log_sums = np.log(np.maximum(sums, _TINY)).astype(np.float32)
    np.log(matrix.data, out=matrix.data)
    matrix.data += np.float32(np.log(max(sums.sum(), _TINY)))
    matrix.data -= np.repeat(log_sums, np.diff(matrix.indptr))
    matrix.data -= log_sums[matrix.indices]
    np.maximum(matrix.data, 0, out=matrix.data)
    matrix.eliminate_zeros()
    matrix = matrix + scipy.sparse.triu(matrix, k=1, format="csr").T.tocsr()
    matrix.sort_indices()
    return matrix


def _truncated_eigen(
    matrix: scipy.sparse.csr_matrix, count: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of largest magnitude and their vectors, by block Lanczos from a random start.

    A symmetric matrix's singular values are the magnitudes of its eigenvalues, its left singular
    vectors its eigenvectors.  These matrices' spectra fall off slowly: subspace iteration takes
    many times as long to come as near, ARPACK's single vectors ten times as long.

    Returns:
      float32 [k] and [V, k], magnitudes descending.
    """
    size = matrix.shape[0]
    steps = max(_LEAST_STEPS, -(-_KRYLOV * count // _LANCZOS_BLOCK))
    if size <= 2 * steps * _LANCZOS_BLOCK:  # the whole of it is as cheap
        values, vectors = scipy.linalg.eigh(matrix.toarray())
    else:
        basis, small = _krylov(matrix, steps, random)
        values, rotation = scipy.linalg.eigh(small)
        order = _strongest(values, count)
        values, vectors = values[order], basis @ rotation[:, order]
    order = _strongest(values, count)
    values, vectors = values[order], vectors[:, order]
    # Eigenvectors have no sign of their own: the largest entry is made positive.
    signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(len(order))])
    return values, vectors * np.where(signs == 0, 1, signs)[None, :].astype(np.float32)


def _krylov(
    matrix: scipy.sparse.csr_matrix, steps: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal basis Q [V, steps * block] of a Krylov space, and Q' M Q."""
    size, width = matrix.shape[0], _LANCZOS_BLOCK
    basis = np.empty((size, steps * width), np.float32, order="F")
    small = np.zeros((steps * width, steps * width), np.float32)
    block = random.standard_normal((size, width), dtype=np.float32)
    block = scipy.linalg.qr(block, mode="economic", overwrite_a=True)[0]
    for step in progress(range(steps), "word vectors: decomposing", unit="steps"):
        begin, end = step * width, (step + 1) * width
        basis[:, begin:end] = block
        known = basis[:, :end]
        block = matrix @ np.ascontiguousarray(block)
        inner = known.T @ block
        small[:end, begin:end] = inner
        small[begin:end, :end] = inner.T
        # Where the matrix's rank is used up only rounding errors remain, which point back into the
        # space: a little noise, larger than they are, leads out of it.  The space grows by noise
        # then; `small` stays right, for it holds products of what the basis really is.
        noise = random.standard_normal((size, width), dtype=np.float32)
        noise *= np.float32(_NOISE) * np.linalg.norm(block) / np.linalg.norm(noise) + _TINY
        block = block - known @ inner + noise
        block = scipy.linalg.qr(block, mode="economic", overwrite_a=True)[0]
        block -= known @ (known.T @ block)  # in float32 once is too little
        block = scipy.linalg.qr(block, mode="economic", overwrite_a=True)[0]
    return basis, small


def _strongest(values: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(-np.abs(values), kind="stable")[:count]
