"""What holds for every source of batches and of a teacher's word on them."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from stillhouse.models.outputs import Layers, TeacherOutput
from stillhouse.objectives.response import CrossEntropy
from stillhouse.signals.kinds import Kind
from stillhouse.training.loop import Schedule, train
from stillhouse.training.source import Share
from tests.training.pupils import watch
from tests.training.sources import SOURCES, Made

every_source = pytest.mark.parametrize("name", SOURCES)


def begun(name: str) -> Made:
    made = SOURCES[name]()
    made.source.begin(made.student, Layers())
    return made


def rows(made: Made, epoch: int, number: int, share: Share) -> list[int]:
    return [row for batch, _ in made.source.step(epoch, number, share) for row in batch.rows.tolist()]


@every_source
def test_it_tells_what_the_objective_needs(name):
    made = SOURCES[name]()
    assert made.source.tells <= set(Kind)
    assert made.objective.needs <= made.source.tells
    assert made.source.steps > 1


@every_source
def test_an_epoch_holds_every_row_equally_often(name):
    made = begun(name)
    seen = [row for number in range(made.source.steps) for row in rows(made, 0, number, Share())]
    counts = {seen.count(row) for row in seen}
    assert len(counts) == 1
    assert set(seen) == set(range(max(seen) + 1))


@every_source
@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_share_a_step_without_loss(name, ranks):
    made = begun(name)
    whole = sorted(rows(made, 1, 0, Share()))
    shared = sorted(row for rank in range(ranks) for row in rows(made, 1, 0, Share(rank, ranks, 2)))
    assert shared == whole


@every_source
def test_asked_again_it_gives_the_same(name):
    made = begun(name)
    for (one, told), (two, again) in zip(made.source.step(1, 1, Share()), made.source.step(1, 1, Share()), strict=True):
        assert torch.equal(one.labels, two.labels)
        assert all(torch.equal(value, two.inputs[key]) for key, value in one.inputs.items())
        count = made.objective.count(told, one)
        assert torch.equal(count, made.objective.count(again, two))


@every_source
def test_what_counts_is_known_before_the_student_speaks(name):
    made = begun(name)
    for batch, told in made.source.step(0, 0, Share()):
        said = made.task.output(made.student, batch, Layers())
        loss = made.objective(said, told, batch)
        assert torch.equal(loss.count, made.objective.count(told, batch))
        assert loss.total.isfinite().all()


@every_source
def test_nothing_it_gives_takes_a_gradient(name):
    made = begun(name)
    for batch, told in made.source.step(0, 0, Share()):
        loss = made.objective(made.task.output(made.student, batch, Layers()), told, batch)
        loss.total.sum().backward()
    assert all(weight.requires_grad for weight in made.student.parameters())


@every_source
def test_its_state_is_written_and_read_as_plain_data(name, tmp_path):
    made = begun(name)
    list(made.source.step(0, 0, Share()))
    made.source.stepped(made.student)
    torch.save(made.source.state(), tmp_path / "state")
    other = begun(name)
    other.source.restore(torch.load(tmp_path / "state", weights_only=True))
    given, again = made.source.state(), other.source.state()
    assert given.keys() == again.keys()
    for key, value in given.items():
        pairs = value.items() if isinstance(value, dict) else [(key, value)]
        others = again[key] if isinstance(again[key], dict) else {key: again[key]}
        assert all(torch.equal(torch.as_tensor(mine), torch.as_tensor(others[part])) for part, mine in pairs)


@every_source
def test_it_leaves_the_student_in_training(name):
    made = begun(name)
    made.student.train()
    before = deepcopy(made.student.state_dict())
    list(made.source.step(0, 0, Share()))
    assert all(part.training for part in made.student.modules() if name not in ("online", "language", "ensemble"))
    assert all(torch.equal(value, before[key]) for key, value in made.student.state_dict().items())


@every_source
def test_a_student_learns_from_it(name):
    """By the words of the dataset, which every one of these objectives has in it."""
    made = SOURCES[name]()
    batch = made.task.batch(list(range(20)))

    def surprise() -> float:
        with torch.no_grad():
            said = made.task.output(made.student.eval(), batch, Layers())
            loss = CrossEntropy()(said, TeacherOutput(), batch)
        return float(loss.total / loss.count)

    before = surprise()
    schedule = Schedule(epochs=12, rate=10, evaluations=1)
    train(made.lesson(), schedule, watch(score=made.score))
    assert surprise() < before
