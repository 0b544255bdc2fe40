"""Every row once an epoch, batches of like length, the same order for the same seed and epoch."""

from __future__ import annotations

import pytest

from stillhouse.training.batch import epoch_batches

ROWS = list(range(5, 1_000, 3))


def length(row: int) -> int:
    return row * 7 % 40


@pytest.mark.parametrize("size", [1, 8, 1_000])
def test_every_row_comes_once(size):
    batches = epoch_batches(ROWS, length, size, 0, 0)
    assert sorted(row for batch in batches for row in batch) == ROWS
    assert {len(batch) for batch in batches} <= {size, len(ROWS) % size}
    assert len(batches) == -(-len(ROWS) // size)


def test_the_order_follows_from_seed_and_epoch_alone():
    assert epoch_batches(ROWS, length, 8, 3, 1) == epoch_batches(ROWS, length, 8, 3, 1)
    assert epoch_batches(ROWS, length, 8, 3, 1) != epoch_batches(ROWS, length, 8, 3, 2)
    assert epoch_batches(ROWS, length, 8, 3, 1) != epoch_batches(ROWS, length, 8, 4, 1)


def test_rows_of_like_length_go_together():
    batches = epoch_batches(ROWS, length, 16, 0, 0)
    padding = sum(max(map(length, batch)) * len(batch) - sum(map(length, batch)) for batch in batches)
    assert padding < 0.15 * sum(map(length, ROWS))
    lengths = [max(map(length, batch)) for batch in batches]
    assert lengths != sorted(lengths), "but batches come in any order"


def test_no_rows_make_no_batches():
    assert epoch_batches([], length, 8, 0, 0) == []
