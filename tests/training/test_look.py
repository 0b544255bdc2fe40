"""What an objective costs over a source's rows."""

from __future__ import annotations

import pytest

from stillhouse.objectives import CrossEntropy, ForwardKL
from stillhouse.training.look import loss_of
from stillhouse.training.online import Online
from tests.recipes.test_figures import pair

__all__ = ["pair"]


def test_an_objectives_loss_is_over_what_it_counts(pair):
    student, task, teacher = pair
    look = Online(task, teacher, range(10), 4, 0)
    apart = [loss_of(student, task, look, term) for term in (ForwardKL(), CrossEntropy())]
    assert loss_of(student, task, look, 0.5 * ForwardKL() + 2 * CrossEntropy()) == pytest.approx(
        0.5 * apart[0] + 2 * apart[1], rel=1e-5
    )
