"""What holds for every objective of answers, and for sums of them."""

from __future__ import annotations

import pytest
import torch

from stillhouse.models.outputs import ABSENT, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection
from stillhouse.objectives.catalog import CATALOG
from stillhouse.objectives.combine import Response
from stillhouse.objectives.response import (
    DIST,
    CrossEntropy,
    DecoupledKD,
    ForwardKL,
    JensenShannon,
    ReverseKL,
    SkewedForwardKL,
    TotalVariation,
)
from stillhouse.signals.kinds import Kind
from tests.objectives.matters import LABELS, POSITIONS, ROWS, batch, forms, language, leaves, matter, rows_of

ANSWERS = {name: made() for name, (made, _) in CATALOG.items() if issubclass(made, Response | DIST)}
OBJECTIVES = ANSWERS | {
    "cross_entropy smoothed": CrossEntropy(0.1),
    "forward_kl at 2": ForwardKL(temperature=2),
    "reverse_kl at 4": ReverseKL(temperature=4),
    "jensen_shannon at 2": JensenShannon(0.1, 2),
    "skewed_forward_kl at 2": SkewedForwardKL(0.3, 2),
    "a sum": 0.7 * ForwardKL(temperature=2) + 0.3 * CrossEntropy(),
    "a longer sum": ReverseKL() + 0.3 * DecoupledKD(temperature=2) + 2 * TotalVariation() + CrossEntropy(),
}
NEVER_ZERO = ("cross_entropy smoothed",)


def every(but: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    chosen = {name: objective for name, objective in OBJECTIVES.items() if name not in but}
    return pytest.mark.parametrize("objective", chosen.values(), ids=chosen.keys())


def gradient(objective, student, teacher, batch) -> torch.Tensor:
    loss = objective(student, teacher, batch).total.sum()
    return torch.autograd.grad(loss, student.scores)[0]


def test_the_catalogue_has_objectives_of_answers():
    assert len(ANSWERS) == 11


@every()
def test_it_says_what_it_needs(objective):
    assert objective.needs
    assert objective.needs <= set(Kind)
    assert not objective.taps.student
    assert not objective.taps.teacher


@every()
def test_what_counts_is_known_beforehand(objective):
    student, teacher, given = matter()
    assert torch.equal(objective.count(teacher, given), objective(student, teacher, given).count)
    assert objective.learns(student, teacher) == []


@every(but=NEVER_ZERO)
def test_agreement_costs_nothing(objective):
    labels = torch.randint(LABELS, (ROWS, POSITIONS), generator=torch.Generator().manual_seed(0))
    certain = torch.nn.functional.one_hot(labels, LABELS) * 100.0
    told = torch.ones(ROWS, POSITIONS, dtype=torch.bool)
    loss = objective(StudentOutput(certain), TeacherOutput(certain, told), batch(labels))
    assert loss.total.abs().max() < 1e-6
    assert (loss.count == ROWS * POSITIONS).all()


@every()
def test_disagreement_costs_something(objective):
    assert (objective(*matter()).total > 0).all()


@every()
@pytest.mark.parametrize("garbage", [1e6, float("inf"), float("nan")])
def test_masked_positions_do_not_count(objective, garbage):
    student, teacher, given = matter()
    untold = ~teacher.told
    rubbish = teacher.scores.masked_fill(untold.unsqueeze(-1), garbage)
    spoilt = StudentOutput(student.logits.detach().masked_fill(untold.unsqueeze(-1), garbage).requires_grad_())
    clean, dirty = objective(*matter()), objective(spoilt, TeacherOutput(rubbish, teacher.told), given)
    assert torch.equal(clean.total, dirty.total)
    assert torch.equal(clean.count, dirty.count)
    slopes = gradient(objective, spoilt, TeacherOutput(rubbish, teacher.told), given)
    assert (slopes[untold] == 0).all()
    assert torch.equal(slopes, gradient(objective, *matter()))


@every(but=("dist",))
def test_two_halves_add_up_to_the_whole(objective):
    whole = objective(*matter())
    half = ROWS // 2
    halves = objective(*rows_of(list(range(half)), *matter())) + objective(*rows_of(list(range(half, ROWS)), *matter()))
    assert torch.allclose(whole.total, halves.total, rtol=1e-6)
    assert torch.equal(whole.count, halves.count)


def test_one_objective_says_that_its_halves_do_not():
    assert "halves of a batch do\n    not add up" in DIST.__doc__


@every()
def test_the_order_of_rows_does_not_matter(objective):
    order = [3, 0, 5, 1, 4, 2]
    straight, mixed = objective(*matter()), objective(*rows_of(order, *matter()))
    assert torch.allclose(straight.total, mixed.total, rtol=1e-6)
    assert torch.equal(straight.count, mixed.count)
    assert torch.allclose(gradient(objective, *matter())[order], gradient_of_mixed(objective, order), atol=1e-6)


def gradient_of_mixed(objective, order: list[int]) -> torch.Tensor:
    student, teacher, given = rows_of(order, *matter())
    return gradient(objective, StudentOutput(student.logits.detach().requires_grad_()), teacher, given)


@every()
@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_extreme_logits_give_finite_values_and_gradients(objective, scale):
    assert objective(*matter(scale=scale)).total.isfinite().all()
    assert gradient(objective, *matter(scale=scale)).isfinite().all()


@every()
def test_a_label_that_does_not_exist_draws_no_gradient(objective):
    assert matter()[0].logits[:, 1, -1].eq(ABSENT).all()
    assert gradient(objective, *matter())[:, 1, -1].abs().max() == 0


@every()
def test_minus_infinity_rules_a_label_out(objective):
    student, teacher, given = matter()

    def without(scores: torch.Tensor) -> torch.Tensor:
        return scores.detach().masked_fill(scores == ABSENT, -torch.inf)

    ruled = (
        StudentOutput(without(student.scores).requires_grad_()),
        TeacherOutput(without(teacher.scores), teacher.told),
    )
    apart = 1e-6 if "LogitMSE" not in repr(objective) else 1  # which has one label less to average over
    assert torch.allclose(objective(*ruled, given).total, objective(*matter()).total, rtol=apart)
    slopes = gradient(objective, *ruled, given)
    assert slopes.isfinite().all()
    assert slopes[:, 1, -1].abs().max() == 0


@every()
def test_nothing_told_costs_nothing_and_teaches_nothing(objective):
    student, teacher, _ = matter()
    silent = TeacherOutput(teacher.scores, torch.zeros_like(teacher.told))
    nothing = batch(torch.full((ROWS, POSITIONS), -1))
    loss = objective(student, silent, nothing)
    assert (loss.total == 0).all()
    assert (loss.count == 0).all()
    assert (gradient(objective, student, silent, nothing) == 0).all()


@every()
def test_the_teacher_gets_no_gradient(objective):
    student, teacher, given = matter()
    asked = teacher.scores.clone().requires_grad_()
    loss = objective(student, TeacherOutput(asked, teacher.told), given).total.sum()
    assert torch.autograd.grad(loss, asked, allow_unused=True) == (None,)


@every()
def test_the_value_is_the_integral_of_the_gradient(objective):
    """Along a straight line between two students, by Simpson's rule; a distance with corners needs smaller pieces."""
    pieces = 200 if "TotalVariation" in repr(objective) else 20
    start, teacher, given = matter()
    way = matter(seed=1)[0].logits.detach() - start.logits.detach()

    def at(share: float) -> StudentOutput:
        return StudentOutput((start.logits.detach() + share * way).requires_grad_())

    steps = 2 * pieces
    slopes = [(gradient(objective, at(step / steps), teacher, given) * way).sum().item() for step in range(steps + 1)]
    weights = [1, *([4, 2] * pieces)[:-1], 1]
    climbed = sum(weight * slope for weight, slope in zip(weights, slopes, strict=True)) / (6 * pieces)
    rise = objective(at(1), teacher, given).total.sum() - objective(at(0), teacher, given).total.sum()
    assert climbed == pytest.approx(rise.item(), rel=5e-3 if pieces == 200 else 1e-4)


@every()
def test_half_precision_logits_are_compared_in_full(objective):
    student, teacher, given = matter()
    low = objective(
        StudentOutput(student.logits.to(torch.bfloat16)),
        TeacherOutput(teacher.scores.to(torch.bfloat16), teacher.told),
        given,
    )
    assert low.total.dtype == torch.float32
    assert torch.allclose(low.total, objective(*matter()).total, rtol=2e-2)


SHOWN = [(name, form) for name, objective in OBJECTIVES.items() for form in forms(objective)]


@pytest.mark.parametrize(("name", "form"), SHOWN)
@pytest.mark.parametrize("labels", [(2000, 2000), (2000, 1700), (1700, 2000)], ids="{0[0]} of {0[1]}".format)
def test_a_head_not_applied_yet_gives_what_its_logits_give(name, form, labels):
    objective = OBJECTIVES[name]
    student, teacher, given = language(form, labels)
    through, plain = (objective(answer, teacher, given) for answer in (student, StudentOutput(student.logits)))
    assert torch.allclose(through.total, plain.total, rtol=1e-9)
    assert torch.equal(through.count, plain.count)
    own, wanted = (torch.autograd.grad(1.7 * loss.total.sum(), leaves(student.scores)) for loss in (through, plain))
    for found, right in zip(own, wanted, strict=True):
        assert torch.allclose(found, right, rtol=1e-7, atol=1e-9 * right.abs().max())


@every()
def test_a_teachers_head_may_be_applied_or_not(objective):
    applied, not_yet = objective(*language("dense")), objective(*language())
    assert torch.allclose(applied.total, not_yet.total, rtol=1e-9)


@every()
def test_nothing_told_sends_nothing_through_the_head(objective):
    student, teacher, given = language()
    silent = TeacherOutput(teacher.scores, torch.zeros_like(teacher.told))
    nothing = batch(torch.full_like(given.labels, -1))
    loss = objective(student, silent, nothing)
    assert (loss.total == 0).all()
    assert (loss.count == 0).all()
    assert all((slope == 0).all() for slope in torch.autograd.grad(loss.total.sum(), leaves(student.scores)))


@every()
def test_single_precision_through_the_head_is_close_to_double(objective):
    student, teacher, given = language(dtype=torch.float32)
    loss = objective(student, teacher, given)
    assert loss.total.dtype == torch.float32

    def wide(head: Projection) -> Projection:
        doubles = [leaf.detach().double().requires_grad_() for leaf in leaves(head)]
        return Projection(*doubles, head.scale, head.softcap)

    doubled = wide(student.scores)
    right = objective(StudentOutput(doubled), TeacherOutput(wide(teacher.scores), teacher.told), given)
    assert torch.allclose(loss.total.double(), right.total, rtol=1e-5)
    own = torch.autograd.grad(loss.total.sum(), leaves(student.scores))
    for found, wanted in zip(own, torch.autograd.grad(right.total.sum(), leaves(doubled)), strict=True):
        assert (found - wanted).norm() < 2e-5 * wanted.norm()
