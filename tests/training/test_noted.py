"""What passes through a training is noted, and passes unchanged."""

from __future__ import annotations

import pytest
import torch

from stillhouse.models.outputs import Layers, TeacherOutput
from stillhouse.objectives.response import CrossEntropy
from stillhouse.training.noted import CountedSource, HeardObjective, SomeBatches, add, means
from stillhouse.training.offline import Offline
from stillhouse.training.source import Share
from tests.training.writers import ROWS, task, writer


def test_a_counted_source_knows_its_step_and_is_the_same_source():
    source = Offline(task(), range(ROWS), 8, 0)
    counted = CountedSource(source)
    counted.begin(writer(), Layers())
    [(batch, _)] = counted.step(1, 2, Share())
    [(same, _)] = source.step(1, 2, Share())
    assert counted.step_number == counted.steps + 3
    assert torch.equal(batch.rows, same.rows)
    assert (counted.tells, counted.follows, counted.state()) == (source.tells, False, {})


def test_an_objective_is_heard_and_means_the_same():
    student, asks = writer(), task()
    batch = asks.batch(range(6))
    said = asks.output(student, batch, Layers())
    heard = HeardObjective(CrossEntropy(), pairs=False)
    assert torch.equal(heard(said, TeacherOutput(), batch).total, CrossEntropy()(said, TeacherOutput(), batch).total)
    right = (said.scores.logits().argmax(-1) == batch.labels)[batch.labels >= 0].float().mean()
    assert heard.taken() == {"mean_token_accuracy": pytest.approx(float(right))}
    assert heard.taken() == {}


def test_some_batches_of_a_source_are_always_the_same():
    source = Offline(task(), range(ROWS), 8, 0)
    some = SomeBatches(source, [1])
    assert some.steps == 1
    first, again = (next(iter(some.step(epoch, 0, Share())))[0].rows for epoch in (0, 5))
    assert torch.equal(first, again)


def test_sums_and_counts_make_means():
    sums: dict[str, list[float]] = {}
    add(sums, {"a": (1.0, 2.0), "b": (0.0, 0.0)})
    add(sums, {"a": (3.0, 2.0)})
    assert means(sums) == {"a": 1.0, "b": 0.0}
