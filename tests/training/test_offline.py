"""A source hands out each row's own teacher logits, and goes on from any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Layers
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.training.offline import Offline
from stillhouse.training.source import Share
from tests.training.pupils import ROWS, SIZE, pupil, source, task


def epoch(given: Offline, number: int = 0, start: int = 0):
    """The micro-batches of an epoch's steps, in order."""
    return [pair for step in range(start, given.steps) for pair in given.step(number, step, Share())]


def test_it_tells_what_it_was_given():
    assert source(soft=False).tells == {Kind.WORDS}
    assert source().tells == {Kind.WORDS} | EVERY_SCORE


def test_each_row_comes_with_its_own_answers():
    given = source()
    for batch, teacher in epoch(given):
        assert torch.equal(teacher.scores, given.logits[batch.rows])
        assert np.array_equal(batch.labels.numpy(), task().labels[batch.rows.numpy()])
        assert teacher.told.all()


def test_words_come_without_logits():
    assert all(teacher.scores is None and teacher.told is None for _, teacher in epoch(source(soft=False)))


def test_an_epoch_can_be_taken_up_in_the_middle():
    rows = [batch.rows.tolist() for batch, _ in epoch(source(), 2)]
    assert [batch.rows.tolist() for batch, _ in epoch(source(), 2, 3)] == rows[3:]
    assert len(rows) == source().steps == -(-ROWS // SIZE)


def test_only_the_rows_it_was_given_come():
    some = Offline(task(), [3, 9, 30], 2, 0)
    assert sorted(row for batch, _ in epoch(some) for row in batch.rows.tolist()) == [3, 9, 30]


def test_nothing_follows_from_a_step():
    given = source()
    given.stepped(pupil("words"))
    given.restore(given.state())
    assert given.state() == {}


def test_it_does_not_follow_the_student_and_has_kept_no_inside():
    given = source()
    assert not given.follows
    given.begin(pupil("words"), Layers())
    with pytest.raises(UsageError, match="Only a teacher's answers were kept"):
        given.begin(pupil("words"), Layers(frozenset({0})))
