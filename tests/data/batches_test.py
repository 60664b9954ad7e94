"""Orders that a seed decides, few padded lengths, batches addressed by step."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from axml_jax.data.batches import (
    Batch,
    Padding,
    TrainBatches,
    epoch_order,
    pad_documents,
)
from axml_jax.data.store import Split

RANDOM = np.random.default_rng(0)
LENGTHS = RANDOM.integers(1, 30, 53)
LABELS = [RANDOM.choice(12, size=i % 4, replace=False) for i in range(len(LENGTHS))]


def make_split() -> Split:
    """Document i is i + 2, repeated LENGTHS[i] times; labels 10 and 11 are unseen in training."""
    tokens = np.repeat(np.arange(len(LENGTHS)) + 2, LENGTHS).astype(np.int32)
    labels = [np.sort(labels) for labels in LABELS]
    return Split(
        tokens=tokens,
        offsets=np.concatenate([[0], np.cumsum(LENGTHS)]),
        label_ids=np.concatenate(labels).astype(np.int32),
        label_offsets=np.concatenate([[0], np.cumsum([len(x) for x in labels])]),
        num_labels=12,
    )


def mapped(split: Split, folder: Path) -> Split:
    """The same with its arrays mapped into memory, as in a store."""
    arrays = {}
    for name in ("tokens", "offsets", "label_ids", "label_offsets"):
        np.save(folder / f"{name}.npy", getattr(split, name))
        arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
    return Split(**arrays, num_labels=split.num_labels)


def plain_batch(split: Split, documents: np.ndarray, first: int, width: int) -> Batch:
    """The batch of `batches` with these documents, token by token and label by label."""
    tokens = [split.document(i)[:20].tolist() for i in documents]
    longest = max(len(document) for document in tokens)
    padded = 8 if longest <= 8 else 16 if longest <= 16 else 20
    token_ids, label_ids = [[0] * padded for _ in range(8)], [[10] * width for _ in range(8)]
    for row, i in enumerate(documents):
        for place, token in enumerate(tokens[row]):
            token_ids[row][place] = token
        for place, label in enumerate(x for x in split.labels(i).tolist() if x < 10):
            label_ids[row][place] = label
    fillers = 8 - len(documents)
    return Batch(
        np.array(token_ids, np.int32),
        np.array([len(document) for document in tokens] + [1] * fillers, np.int32),
        np.array(label_ids, np.int32),
        np.array([1] * len(documents) + [0] * fillers, np.float32),
        np.array(range(first, first + 8), np.int32),
    )


def batches(
    members: np.ndarray | None = None,
    batch_size: int = 8,
    pool_batches: int = 1,
    rows: slice | None = None,
    split: Split | None = None,
) -> TrainBatches:
    return TrainBatches(
        split or make_split(),
        np.arange(len(LENGTHS)) if members is None else members,
        num_labels=10,
        batch_size=batch_size,
        pool_batches=pool_batches,
        buckets=(8, 16, 20),
        seed=3,
        rows=rows,
    )


@pytest.mark.parametrize("count", [0, 1, 7, 8, 53, 64])
@pytest.mark.parametrize("pool", [1, 2, 3, 1000])
def test_every_order_is_a_permutation(count: int, pool: int) -> None:
    lengths = np.arange(count) % 5
    orders = [epoch_order(lengths, 8, pool, seed=1, epoch=epoch) for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(count))
    if count > 8:
        assert not np.array_equal(orders[0], orders[1])
        assert not np.array_equal(orders[1], orders[2])


def test_an_order_depends_on_seed_and_epoch_alone() -> None:
    first = epoch_order(LENGTHS, 8, 3, seed=1, epoch=4)
    np.testing.assert_array_equal(first, epoch_order(LENGTHS, 8, 3, seed=1, epoch=4))
    assert not np.array_equal(first, epoch_order(LENGTHS, 8, 3, seed=2, epoch=4))


def test_pools_put_documents_of_one_padded_length_together() -> None:
    padded = -(-LENGTHS // 10)
    order = epoch_order(padded, 8, 1000, seed=1, epoch=0)
    spans = [(padded[b].min(), padded[b].max()) for b in order[:48].reshape(6, 8)]
    # One window: its batches, put in order, follow one another without overlap.
    spans.sort()
    assert all(low[1] <= high[0] for low, high in itertools.pairwise(spans))
    # And they do not come shortest first.
    longest = [padded[b].max() for b in order[:48].reshape(6, 8)]
    assert longest != sorted(longest)


def test_within_a_padded_length_the_order_is_the_random_one() -> None:
    padded = np.arange(48) % 2
    random = epoch_order(padded, 8, 1, seed=1, epoch=0)
    pooled = epoch_order(padded, 8, 1000, seed=1, epoch=0).reshape(6, 8)
    for kind in (0, 1):
        drawn = random[padded[random] == kind].reshape(3, 8).tolist()
        assert sorted(drawn) == sorted(b.tolist() for b in pooled if padded[b[0]] == kind)


def test_the_batch_that_is_not_full_is_a_random_one_and_last() -> None:
    for pool in (1, 3, 1000):
        lasts = [
            frozenset(epoch_order(LENGTHS, 8, pool, 1, epoch)[48:].tolist()) for epoch in range(5)
        ]
        assert {len(last) for last in lasts} == {5}
        assert len(set(lasts)) == 5


def test_padding_takes_the_smallest_bucket_and_cuts_at_the_largest() -> None:
    long, short = np.arange(2, 14, dtype=np.int32), np.array([5], np.int32)
    token_ids, lengths = pad_documents([short], 2, (4, 8))
    np.testing.assert_array_equal(token_ids, [[5, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(lengths, [1, 1])
    token_ids, lengths = pad_documents([short, long], 2, (4, 8))
    np.testing.assert_array_equal(token_ids, [[5, 0, 0, 0, 0, 0, 0, 0], [2, 3, 4, 5, 6, 7, 8, 9]])
    np.testing.assert_array_equal(lengths, [1, 8])
    assert token_ids.dtype == np.int32
    assert lengths.dtype == np.int32


@pytest.mark.parametrize("pool", [1, 2])
def test_an_epoch_shows_every_member_once_with_its_own_labels(pool: int) -> None:
    members = np.arange(1, 53, 2)  # 26 documents: 4 batches, the last of 2
    train = batches(members, pool_batches=pool)
    assert train.steps_per_epoch == 4
    seen = []
    for index, batch in enumerate(train.from_step(0, 4)):
        real = batch.weights == 1
        assert real.sum() == (2 if index == 3 else 8)
        np.testing.assert_array_equal(batch.positions, index * 8 + np.arange(8))
        for row in np.flatnonzero(real):
            document = batch.token_ids[row, 0] - 2
            seen.append(int(document))
            length = min(LENGTHS[document], 20)
            assert batch.lengths[row] == length
            np.testing.assert_array_equal(batch.token_ids[row, :length], document + 2)
            np.testing.assert_array_equal(batch.token_ids[row, length:], 0)
            # Labels 10 and 11 have no output; 10, the number of outputs, pads.
            labels = batch.label_ids[row]
            assert set(labels[labels != 10].tolist()) == {x for x in LABELS[document] if x < 10}
        # A row that only fills is one PAD token without labels.
        assert not batch.token_ids[~real].any()
        assert (batch.lengths[~real] == 1).all()
        assert (batch.label_ids[~real] == 10).all()
    assert sorted(seen) == members.tolist()


@pytest.mark.parametrize("pool", [1, 3])
def test_a_batch_is_bit_for_bit_what_the_plain_way_makes(pool: int, tmp_path: Path) -> None:
    split = mapped(make_split(), tmp_path)
    assert isinstance(split.tokens, np.memmap)
    members = np.arange(3, 53)  # 50 documents: 7 batches, the last of 2
    width = max(len(LABELS[i]) for i in members)
    made = list(batches(members, pool_batches=pool, split=split).from_step(0, 14))
    padded = np.array([8 if n <= 8 else 16 if n <= 16 else 20 for n in LENGTHS[members]])
    for epoch in range(2):
        order = epoch_order(padded, 8, pool, 3, epoch)
        for index in range(7):
            documents = members[order[8 * index : 8 * index + 8]]
            batch = made[7 * epoch + index]
            for name, one in plain_batch(split, documents, 8 * index, width)._asdict().items():
                other = getattr(batch, name)
                assert (one.shape, one.dtype) == (other.shape, other.dtype)
                assert one.tobytes() == other.tobytes(), name
                assert type(other) is np.ndarray
                assert other.flags.owndata


@pytest.mark.parametrize("pool", [1, 3])
def test_the_padding_that_is_told_is_that_of_the_batches(pool: int) -> None:
    train = batches(pool_batches=pool)
    made = list(train.from_step(0, 7))
    real = sum(int(batch.lengths[batch.weights == 1].sum()) for batch in made)
    computed = sum(batch.token_ids.size for batch in made)
    assert train.padding() == pytest.approx(Padding(1 - real / computed, 1 - real / (7 * 8 * 20)))
    assert computed < 7 * 8 * 20 or pool == 1


def test_shapes_are_few() -> None:
    shapes = {batch.token_ids.shape for batch in batches(pool_batches=1000).from_step(0, 14)}
    assert shapes <= {(8, 8), (8, 16), (8, 20)}
    assert len(shapes) > 1
    widths = {batch.label_ids.shape for batch in batches().from_step(0, 14)}
    assert widths == {(8, 3)}


def test_a_run_continues_at_any_step_without_replaying() -> None:
    train = batches(pool_batches=2)  # 7 steps an epoch
    whole = list(train.from_step(0, 15))
    for step in (0, 5, 7, 13, 15):
        rest = list(batches(pool_batches=2).from_step(step, 15))
        assert len(rest) == 15 - step
        for one, other in zip(whole[step:], rest, strict=True):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)
    # Another epoch has another order.
    assert not np.array_equal(whole[0].token_ids, whole[7].token_ids)


def test_documents_without_any_label_make_a_batch_too() -> None:
    (batch,) = batches(np.array([0, 4, 8])).from_step(0, 1)
    assert batch.label_ids.shape == (8, 1)
    assert (batch.label_ids == 10).all()


def test_some_rows_are_those_of_the_whole_batch() -> None:
    whole = list(batches(pool_batches=2).from_step(0, 14))
    parts = [
        list(batches(pool_batches=2, rows=rows).from_step(0, 14))
        for rows in (slice(0, 2), slice(2, 6), slice(6, 8))
    ]
    for batch, *shares in zip(whole, *parts, strict=True):
        for name, values in batch._asdict().items():
            joined = np.concatenate([getattr(share, name) for share in shares])
            np.testing.assert_array_equal(joined, values, name)
    # The last batch holds five documents: of one process's rows only three are real.
    assert [share.weights.sum() for share in (parts[0][6], parts[1][6])] == [2, 3]
