"""A step's rows are shared out among processes and micro-batches, each row once."""

from __future__ import annotations

import pytest

from stillhouse.signals.kinds import Kind
from stillhouse.tasks.preference import PreferenceTask
from stillhouse.training.source import Share, told_by_data
from tests.training import pupils, writers


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("parts", [1, 2, 8])
@pytest.mark.parametrize("rows", [1, 7, 8, 64])
def test_every_row_is_in_one_micro_batch(rows, ranks, parts):
    pieces = [piece for rank in range(ranks) for piece in Share(rank, ranks, parts).of(range(rows))]
    assert [row for piece in pieces for row in piece] == list(range(rows))
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


def test_one_process_alone_has_the_whole_step():
    assert Share().of([4, 2, 9]) == [[4, 2, 9]]


def test_pairs_say_which_answer_is_better():
    assert told_by_data(pupils.task()) == {Kind.WORDS}
    assert told_by_data(PreferenceTask(writers.task())) == {Kind.WORDS, Kind.PREFERENCE}
