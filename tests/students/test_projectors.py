"""Projectors bring a student's vectors to its teacher's width, each from its own start."""

from __future__ import annotations

import pytest
import torch

from stillhouse.models.outputs import Batch, Features, StudentOutput, TeacherOutput
from stillhouse.objectives.feature import HiddenStates
from stillhouse.students import projectors

MINE, ITS = (torch.randn(50, width, generator=torch.Generator().manual_seed(width)) for width in (4, 6))


@pytest.mark.parametrize("name", projectors.__all__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_joins_two_widths_and_learns(name, dtype):
    projector = getattr(projectors, name)(MINE.to(dtype), ITS.to(dtype))
    found = projector(MINE.to(dtype))
    assert found.shape == ITS.shape
    assert found.dtype == dtype
    found.square().sum().backward()
    assert all(weight.grad is not None for weight in projector.parameters())


@pytest.mark.parametrize("name", projectors.__all__)
def test_each_serves_an_objective(name):
    objective = HiddenStates({0: 0}, projector=getattr(projectors, name))
    student = StudentOutput(features=Features({0: MINE.view(5, 10, 4)}))
    teacher = TeacherOutput(features=Features({0: ITS.view(5, 10, 6)}))
    batch = Batch({}, torch.full((5, 1), -1), torch.arange(5))
    (learnt,) = objective.learns(student, teacher)
    optimizer = torch.optim.Adam(learnt.parameters(), 1e-2)
    before = objective(student, teacher, batch).total.item()
    for _ in range(30):
        objective(student, teacher, batch).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = objective(student, teacher, batch).total.item()
    assert after <= before * 1.0001
    assert name == "fitted" or after < 0.99 * before


@pytest.mark.parametrize(("inside", "outside"), [(4, 6), (6, 4), (5, 5)])
def test_the_orthogonal_one_stays_so_while_it_learns(inside, outside):
    mine, its = torch.randn(20, inside), torch.randn(20, outside)
    projector = projectors.orthogonal(mine, its)
    optimizer = torch.optim.SGD(projector.parameters(), 0.1)
    start = projector.weight.detach().clone()
    for _ in range(5):
        (projector(mine) - its).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    weight = projector.weight.detach()
    small = min(inside, outside)
    products = weight @ weight.T if outside <= inside else weight.T @ weight
    assert torch.allclose(products, torch.eye(small), atol=1e-5)
    assert not torch.allclose(weight, start, atol=1e-3)


def test_the_fitted_one_starts_at_the_best_fit():
    truth = torch.randn(6, 4, generator=torch.Generator().manual_seed(9))
    projector = projectors.fitted(MINE, MINE @ truth.T + 3)
    assert torch.allclose(projector(MINE), MINE @ truth.T + 3, atol=0.05)
    assert projectors.fitted(MINE[:2], ITS[:2])(MINE).isfinite().all()
    assert projectors.fitted(torch.zeros(9, 4), ITS[:9])(MINE).isfinite().all()
