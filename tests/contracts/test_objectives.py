"""What holds for every objective, and for sums of them."""

from __future__ import annotations

import pytest
import torch

from stillhouse.models.outputs import ABSENT, StudentOutput, TeacherOutput
from stillhouse.objectives.catalog import CATALOG
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.signals.kinds import Kind
from tests.objectives.matters import LABELS, POSITIONS, ROWS, batch, matter, rows_of

OBJECTIVES = {name: made() for name, (made, _) in CATALOG.items()} | {
    "forward_kl at 2": ForwardKL(temperature=2),
    "a sum": 0.7 * ForwardKL(temperature=2) + 0.3 * CrossEntropy(),
}
every_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())


def gradient(objective, student, teacher, batch) -> torch.Tensor:
    loss = objective(student, teacher, batch).total.sum()
    return torch.autograd.grad(loss, student.logits)[0]


@every_objective
def test_it_says_what_it_needs(objective):
    assert objective.needs
    assert objective.needs <= set(Kind)


@every_objective
def test_agreement_costs_nothing(objective):
    labels = torch.randint(LABELS, (ROWS, POSITIONS), generator=torch.Generator().manual_seed(0))
    certain = torch.nn.functional.one_hot(labels, LABELS) * 100.0
    told = torch.ones(ROWS, POSITIONS, dtype=torch.bool)
    loss = objective(StudentOutput(certain), TeacherOutput(certain, told), batch(labels))
    assert loss.total.abs().max() < 1e-6
    assert (loss.count == ROWS * POSITIONS).all()


@every_objective
def test_disagreement_costs_something(objective):
    assert (objective(*matter()).total > 0).all()


@every_objective
@pytest.mark.parametrize("garbage", [1e6, float("inf"), float("nan")])
def test_masked_positions_do_not_count(objective, garbage):
    student, teacher, given = matter()
    untold = ~teacher.told
    rubbish = teacher.logits.masked_fill(untold.unsqueeze(-1), garbage)
    spoilt = StudentOutput(student.logits.detach().masked_fill(untold.unsqueeze(-1), garbage).requires_grad_())
    clean, dirty = objective(*matter()), objective(spoilt, TeacherOutput(rubbish, teacher.told), given)
    assert torch.equal(clean.total, dirty.total)
    assert torch.equal(clean.count, dirty.count)
    slopes = gradient(objective, spoilt, TeacherOutput(rubbish, teacher.told), given)
    assert (slopes[untold] == 0).all()
    assert torch.equal(slopes, gradient(objective, *matter()))


@every_objective
def test_two_halves_add_up_to_the_whole(objective):
    whole = objective(*matter())
    half = ROWS // 2
    halves = objective(*rows_of(list(range(half)), *matter())) + objective(*rows_of(list(range(half, ROWS)), *matter()))
    assert torch.allclose(whole.total, halves.total, rtol=1e-6)
    assert torch.equal(whole.count, halves.count)


@every_objective
def test_the_order_of_rows_does_not_matter(objective):
    order = [3, 0, 5, 1, 4, 2]
    straight, mixed = objective(*matter()), objective(*rows_of(order, *matter()))
    assert torch.allclose(straight.total, mixed.total, rtol=1e-6)
    assert torch.equal(straight.count, mixed.count)
    assert torch.allclose(gradient(objective, *matter())[order], gradient_of_mixed(objective, order), atol=1e-7)


def gradient_of_mixed(objective, order: list[int]) -> torch.Tensor:
    student, teacher, given = rows_of(order, *matter())
    return gradient(objective, StudentOutput(student.logits.detach().requires_grad_()), teacher, given)


@every_objective
@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_extreme_logits_give_finite_values_and_gradients(objective, scale):
    assert objective(*matter(scale=scale)).total.isfinite().all()
    assert gradient(objective, *matter(scale=scale)).isfinite().all()


@every_objective
def test_a_label_that_does_not_exist_draws_no_gradient(objective):
    assert matter()[0].logits[:, 1, -1].eq(ABSENT).all()
    assert gradient(objective, *matter())[:, 1, -1].abs().max() == 0


@every_objective
def test_nothing_told_costs_nothing_and_teaches_nothing(objective):
    student, teacher, _ = matter()
    silent = TeacherOutput(teacher.logits, torch.zeros_like(teacher.told))
    nothing = batch(torch.full((ROWS, POSITIONS), -1))
    loss = objective(student, silent, nothing)
    assert (loss.total == 0).all()
    assert (loss.count == 0).all()
    assert (gradient(objective, student, silent, nothing) == 0).all()


@every_objective
def test_the_value_is_the_integral_of_the_gradient(objective):
    """Along a straight line between two students, by Simpson's rule on twenty pieces."""
    start, teacher, given = matter()
    way = matter(seed=1)[0].logits.detach() - start.logits.detach()

    def at(share: float) -> StudentOutput:
        return StudentOutput((start.logits.detach() + share * way).requires_grad_())

    slopes = [(gradient(objective, at(step / 40), teacher, given) * way).sum().item() for step in range(41)]
    weights = [1, *([4, 2] * 20)[:-1], 1]
    climbed = sum(weight * slope for weight, slope in zip(weights, slopes, strict=True)) / 120
    rise = objective(at(1), teacher, given).total.sum() - objective(at(0), teacher, given).total.sum()
    assert climbed == pytest.approx(rise.item(), rel=1e-4)


@every_objective
def test_half_precision_logits_are_compared_in_full(objective):
    student, teacher, given = matter()
    low = objective(
        StudentOutput(student.logits.to(torch.bfloat16)),
        TeacherOutput(teacher.logits.to(torch.bfloat16), teacher.told),
        given,
    )
    assert low.total.dtype == torch.float32
    assert torch.allclose(low.total, objective(*matter()).total, rtol=2e-2)
