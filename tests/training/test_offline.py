"""A source hands out each row's own teacher logits, and goes on from any batch."""

from __future__ import annotations

import numpy as np
import torch

from stillhouse.signals.kinds import Kind
from stillhouse.training.offline import Offline
from tests.training.pupils import ROWS, SIZE, source, task


def test_it_tells_what_it_was_given():
    assert source(soft=False).tells == {Kind.WORDS}
    assert source().tells == {Kind.WORDS, Kind.LOGITS}


def test_each_row_comes_with_its_own_answers():
    given = source()
    for batch, teacher in given.epoch(0):
        assert torch.equal(teacher.logits, given.logits[batch.rows])
        assert np.array_equal(batch.labels.numpy(), task().labels[batch.rows.numpy()])
        assert teacher.told.all()


def test_words_come_without_logits():
    assert all(teacher.logits is None and teacher.told is None for _, teacher in source(soft=False).epoch(0))


def test_an_epoch_can_be_taken_up_in_the_middle():
    rows = [batch.rows.tolist() for batch, _ in source().epoch(2)]
    assert [batch.rows.tolist() for batch, _ in source().epoch(2, 3)] == rows[3:]
    assert len(rows) == source().batches == -(-ROWS // SIZE)


def test_only_the_rows_it_was_given_come():
    some = Offline(task(), [3, 9, 30], 2, 0)
    assert sorted(row for batch, _ in some.epoch(0) for row in batch.rows.tolist()) == [3, 9, 30]
