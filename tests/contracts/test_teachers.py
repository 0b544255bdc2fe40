"""What holds for every teacher that is asked batch by batch."""

from __future__ import annotations

import pytest
import torch

from stillhouse.models.outputs import Layers
from stillhouse.models.rows import take_rows
from stillhouse.models.scores import Projection, Sampled, TopK, everywhere, flat
from stillhouse.objectives.response import ForwardKL, ReverseKL
from stillhouse.signals.kinds import Kind
from tests.teachers.judges import batch, kinds, task
from tests.training import writers

KINDS = ("local", "ensemble", "routed", "cached top", "cached draws")


@pytest.fixture(scope="module")
def teachers(tmp_path_factory) -> dict:
    return {name: make() for name, make in kinds(tmp_path_factory.mktemp("signals")).items()}


@pytest.fixture(params=KINDS)
def teacher(request, teachers):
    return teachers[request.param]


def values(scores) -> list[torch.Tensor]:
    """The tensors by which scores of any form can be compared, position by position."""
    if isinstance(scores, TopK):
        return [scores.ids, scores.log_probs, *scores.shifts.values()]
    if isinstance(scores, Sampled):
        return [scores.ids, scores.counts]
    return [scores if isinstance(scores, torch.Tensor) else scores.logits()]


def test_it_says_what_it_tells(teacher):
    assert teacher.tells
    assert teacher.tells <= set(Kind)
    assert Kind.SOFT in teacher.tells


def test_it_tells_about_every_position_that_is_asked_and_no_other(teacher):
    given = batch()
    told = teacher.observe(given, Layers())
    assert torch.equal(told.told, task().asked(given))
    assert everywhere(told.scores).shape == given.labels.shape


def test_nothing_it_says_takes_a_gradient(teacher):
    assert not any(value.requires_grad for value in values(teacher.observe(batch(), Layers()).scores))


def test_it_says_the_same_twice(teacher):
    one, two = (values(teacher.observe(batch(), Layers()).scores) for _ in range(2))
    assert all(torch.equal(first, second) for first, second in zip(one, two, strict=True))


def test_rows_do_not_depend_on_their_neighbours(teacher):
    given = batch(range(8))
    where = task().asked(given)
    whole = values(teacher.observe(given, Layers()).scores)
    order = torch.tensor([5, 2, 7])
    some = values(teacher.observe(take_rows(given, order), Layers()).scores)
    for mine, all_of_them in zip(some, whole, strict=True):
        assert torch.allclose(mine[where[order]].double(), all_of_them[order][where[order]].double(), atol=1e-5)


def test_a_student_can_learn_from_it(teacher):
    given = batch()
    student = writers.writer()
    said = task().output(student, given, Layers())
    assert isinstance(said.scores, Projection)
    objective = ReverseKL() if Kind.TOP in teacher.tells else ForwardKL()
    loss = objective(said, teacher.observe(given, Layers()), given)
    loss.total.backward()
    assert loss.total > 0
    assert int(loss.count) == int(task().asked(given).sum())
    assert all(weight.grad is not None for weight in student.parameters())


def test_its_likeliest_is_found_in_what_it_tells(teacher, teachers):
    """Whoever answers, the scores lead to labels of the vocabulary."""
    scores = flat(teacher.observe(batch(), Layers()).scores)
    picked = scores.ids if isinstance(scores, TopK | Sampled) else values(scores)[0].argmax(-1)
    assert picked.min() >= 0
    assert picked.max() < writers.TOKENS
