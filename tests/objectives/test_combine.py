"""Objectives add and scale as they read."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stillhouse.models.outputs import StudentOutput, TeacherOutput
from stillhouse.objectives.combine import WeightedSum
from stillhouse.objectives.response import CrossEntropy, DecoupledKD, ForwardKL
from stillhouse.signals.kinds import Kind
from tests.objectives.matters import language, leaves, matter


def test_a_sum_needs_what_its_terms_need():
    assert (ForwardKL() + CrossEntropy()).needs == {Kind.SOFT, Kind.WORDS}
    assert (2 * CrossEntropy()).needs == {Kind.WORDS}


def test_a_sum_keeps_each_terms_total_and_count():
    given = matter()
    loss = (0.7 * ForwardKL(2) + 0.3 * CrossEntropy())(*given)
    one, other = ForwardKL(2)(*given), CrossEntropy()(*given)
    assert torch.allclose(loss.total, torch.stack([0.7 * one.total, 0.3 * other.total]))
    assert torch.equal(loss.count, torch.stack([one.count, other.count]))


def test_sums_may_be_written_in_any_way():
    flat = WeightedSum(((1.0, ForwardKL()), (0.5, CrossEntropy()), (2.0, ForwardKL(4))))
    assert ForwardKL() + 0.5 * CrossEntropy() + 2 * ForwardKL(4) == flat
    assert ForwardKL() + (0.5 * CrossEntropy() + ForwardKL(4) * 2) == flat
    assert 2 * (0.5 * ForwardKL() + CrossEntropy() * 0.25 + ForwardKL(4)) == flat


def test_terms_through_a_head_keep_their_own_positions():
    student, teacher, batch = language()
    loss = (ForwardKL(2) + 0.5 * CrossEntropy() + DecoupledKD())(student, teacher, batch)
    counts = [teacher.told, batch.labels >= 0, teacher.told & (batch.labels >= 0)]
    assert loss.count.tolist() == [count.sum().item() for count in counts]
    alone = [ForwardKL(2), 0.5 * CrossEntropy(), DecoupledKD()]
    assert torch.allclose(loss.total, torch.cat([each(student, teacher, batch).total.view(-1) for each in alone]))


@pytest.mark.parametrize("projected", [True, False])
def test_terms_of_a_micro_batch_are_divided_by_the_counts_of_the_whole(projected):
    """Here both terms lie on the same positions; elsewhere in the batch one of them counted more."""
    student, teacher, batch = language()
    batch = replace(batch, labels=torch.where(teacher.told, 1, -1))
    objective, counts = ForwardKL() + 0.5 * CrossEntropy(), torch.tensor([700.0, 400.0])
    said = student if projected else StudentOutput(student.logits)
    found = torch.autograd.grad((objective(said, teacher, batch).total / counts).sum(), leaves(student.scores))
    parts = [(1 / 700, ForwardKL()), (0.5 / 400, CrossEntropy())]
    wanted = [
        torch.autograd.grad(weight * term(student, teacher, batch).total, leaves(student.scores))
        for weight, term in parts
    ]
    for own, *both in zip(found, *wanted, strict=True):
        assert torch.allclose(own, sum(both), rtol=1e-7, atol=1e-12)


def test_words_alone_need_no_teacher_at_all():
    student, teacher, batch = language()
    alone = CrossEntropy()(student, TeacherOutput(), batch)
    assert torch.equal(alone.total, CrossEntropy()(student, teacher, batch).total)


def test_objectives_of_answers_count_where_what_they_need_is_there():
    _, teacher, batch = language()
    assert torch.equal(ForwardKL().where(teacher, batch), teacher.told)
    assert torch.equal(CrossEntropy().where(teacher, batch), batch.labels >= 0)
    assert torch.equal(DecoupledKD().where(teacher, batch), teacher.told & (batch.labels >= 0))
    assert ForwardKL().where(TeacherOutput(teacher.scores), batch).all()
