"""The losses of answers, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import TeacherOutput
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.signals.kinds import Kind
from tests.objectives.matters import one

STUDENT, TEACHER = [1.0, 0.0, 0.0], [2.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("temperature", "value", "slopes"),
    [
        (1, 0.053808, [-0.089124, -0.032787, 0.121911]),
        (2, 0.083781, [-0.109235, -0.066255, 0.175490]),
        (4, 0.0986085, [-0.112951, -0.087966, 0.200917]),
    ],
)
def test_forward_kl_has_its_known_value_and_gradient(temperature, value, slopes):
    student, teacher, batch = one(STUDENT, TEACHER)
    loss = ForwardKL(temperature)(student, teacher, batch)
    assert loss.total.item() == pytest.approx(value, abs=1e-5)
    assert loss.count.item() == 1
    loss.total.backward()
    assert student.logits.grad.flatten().tolist() == pytest.approx(slopes, abs=1e-5)


def test_cross_entropy_has_its_known_value_and_gradient():
    student, teacher, batch = one(STUDENT, TEACHER, label=1)
    loss = CrossEntropy()(student, teacher, batch)
    assert loss.total.item() == pytest.approx(-math.log(0.211942), abs=1e-5)
    loss.total.backward()
    assert student.logits.grad.flatten().tolist() == pytest.approx([0.576117, 0.211942 - 1, 0.211942], abs=1e-5)


def test_forward_kl_does_not_mind_a_constant_added_to_logits():
    student, _, batch = one(STUDENT, TEACHER)
    moved = one(STUDENT, [value + 7 for value in TEACHER])[1]
    assert ForwardKL()(student, moved, batch).total.item() == pytest.approx(0.053808, abs=1e-5)


@pytest.mark.parametrize("temperature", [0, -1, math.nan, math.inf])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(UsageError, match="temperature must be a number above 0"):
        ForwardKL(temperature)


def test_forward_kl_refuses_a_teacher_without_logits():
    student, _, batch = one(STUDENT, TEACHER)
    with pytest.raises(UsageError, match="needs a teacher that tells logits"):
        ForwardKL()(student, TeacherOutput(), batch)


def test_they_need_what_they_say():
    student, _, batch = one(STUDENT, TEACHER)
    assert ForwardKL().needs == {Kind.LOGITS}
    assert CrossEntropy().needs == {Kind.WORDS}
    assert torch.isfinite(CrossEntropy()(student, TeacherOutput(), batch).total)
