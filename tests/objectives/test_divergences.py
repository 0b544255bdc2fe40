"""Distances between distributions, position by position, against values worked out to thirty digits."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

from stillhouse.objectives import divergences as maths
from tests.objectives.matters import double, exact

HALVES, FLAT = [1 / 2, 1 / 4, 1 / 8, 1 / 8], [1 / 4] * 4
P, Q = [0.7, 0.2, 0.1], [0.2, 0.5, 0.3]
LN2 = math.log(2)


def log(probabilities: list[float]) -> Tensor:
    return double(probabilities).log()


def gradient(divergence, student: Tensor, teacher: Tensor) -> list[float]:
    """Along the student's logits, by automatic differentiation."""
    logits = student.clone().requires_grad_()
    return torch.autograd.grad(divergence(maths.log_softmax(logits), teacher).sum(), logits)[0].tolist()


@pytest.mark.parametrize(
    ("divergence", "nats"),
    [
        (maths.forward_kl, LN2 / 4),
        (maths.reverse_kl, LN2 / 4),
        (maths.jensen_shannon, 0.0424747591988),
        (partial(maths.jensen_shannon, beta=0.1), 0.0154826949019),
        (partial(maths.jensen_shannon, beta=0.9), 0.0154826949019),
        (maths.skewed_forward_kl, 0.138455028835),
        (maths.total_variation, 0.25),
    ],
)
def test_halves_against_a_flat_student(divergence, nats):
    assert divergence(log(FLAT), log(HALVES)).item() == exact(nats)


@pytest.mark.parametrize(
    ("divergence", "nats"),
    [
        (maths.forward_kl, 0.583814702705),
        (maths.reverse_kl, 0.537176458838),
        (partial(maths.jensen_shannon, beta=0.1), 0.0509950262058),
        (maths.jensen_shannon, 0.132918006055),
        (partial(maths.jensen_shannon, beta=0.9), 0.0478639942222),
        (maths.skewed_forward_kl, 0.446888584677),
        (maths.skewed_reverse_kl, 0.427420615043),
        (maths.total_variation, 0.5),
    ],
)
def test_a_student_that_leans_elsewhere(divergence, nats):
    assert divergence(log(Q), log(P)).item() == exact(nats)


@pytest.mark.parametrize(
    ("divergence", "slopes"),
    [
        (maths.forward_kl, [-0.5, 0.3, 0.2]),
        (maths.reverse_kl, [-0.357987885467, 0.189557136518, 0.168430748949]),
        (maths.jensen_shannon, [-0.0948721177375, 0.054720995695, 0.0401511220424]),
        (maths.skewed_forward_kl, [-0.345616413374, 0.204469604863, 0.141146808511]),
        (maths.skewed_reverse_kl, [-0.289399068765, 0.160783184218, 0.128615884548]),
        (maths.total_variation, [-0.16, 0.1, 0.06]),
    ],
)
def test_it_is_drawn_towards_the_teacher(divergence, slopes):
    found = gradient(divergence, log(Q), log(P))
    assert found == exact(slopes)
    assert sum(found) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("temperature", "nats", "first"),
    [
        (1, 1.15042076521, -0.575210382604),
        (2, 1.28062667132, -0.64031333566),
        (4, 1.31962991215, -0.659814956077),
    ],
)
def test_temperature_squared_keeps_the_gradient_at_its_scale(temperature, nats, first):
    student = double([0, 1, 2]).requires_grad_()
    teacher = maths.log_softmax(double([2, 1, 0]), temperature)
    scaled = temperature**2 * maths.forward_kl(maths.log_softmax(student, temperature), teacher)
    assert scaled.item() == exact(nats)
    slope = torch.autograd.grad(scaled, student)[0]
    assert slope[0].item() == exact(first)
    by_hand = temperature * (maths.log_softmax(student, temperature).exp() - teacher.exp())
    assert torch.allclose(slope, by_hand, atol=1e-12)


@pytest.mark.parametrize(("temperature", "nats"), [(1, 0.0538081763), (2, 0.0209452372), (4, 0.0061630436)])
def test_softened_answers_lie_closer(temperature, nats):
    sides = (maths.log_softmax(double(logits), temperature) for logits in ([1, 0, 0], [2, 1, 0]))
    assert maths.forward_kl(*sides).item() == exact(nats)


def test_cross_entropy_is_entropy_and_forward_kl():
    student, teacher = log(Q), log(P)
    soft = sum(teacher.exp()[label] * maths.cross_entropy(student, torch.tensor(label)) for label in range(3))
    assert soft.item() == exact(1.38563325525)
    entropy = -(teacher.exp() * teacher).sum()
    assert (soft - entropy).item() == exact(0.583814702705)
    assert -(log(HALVES).exp() * log(HALVES)).sum().item() == exact(1.21300756598)


def test_smoothing_mixes_in_a_flat_answer_over_the_labels_that_exist():
    nats = maths.cross_entropy(log(Q), torch.tensor(0), smoothing=0.1)
    assert nats.item() == exact(-0.9 * math.log(0.2) - 0.1 * sum(map(math.log, Q)) / 3)
    absent = double([[1, 2, 3, -1e4], [1, 2, 3, -math.inf]])
    smoothed = maths.cross_entropy(maths.log_softmax(absent), torch.tensor([0, 0]), 0.1)
    without = maths.cross_entropy(maths.log_softmax(absent[:1, :3]), torch.tensor([0]), 0.1)
    assert smoothed.tolist() == pytest.approx(without.tolist() * 2, abs=1e-12)


@pytest.mark.parametrize(
    ("temperature", "label_against_rest", "among_rest", "weighted"),
    [(1, 0.0166686449220, 0.1109440716717, 0.9042212182958), (4, 0.0265755624960, 0.1240301744408, 1.0188169580225)],
)
def test_decoupled_parts_have_their_known_values(temperature, label_against_rest, among_rest, weighted):
    student, teacher = (maths.log_softmax(double([logits]), temperature) for logits in ([1.0, 0, 0], [2.0, 1, 0]))
    label = torch.tensor([0])

    def scaled(alpha: float, beta: float) -> float:
        return temperature**2 * maths.decoupled(student, teacher, label, alpha, beta).item()

    assert scaled(1, 0) == exact(label_against_rest)
    assert scaled(0, 1) == exact(among_rest)
    assert scaled(1, 8) == exact(weighted)
    whole = temperature**2 * maths.forward_kl(student, teacher).item()
    assert scaled(1, 1 - teacher.exp()[0, 0].item()) == exact(whole)


def test_of_two_labels_nothing_is_left_among_the_rest():
    logits = torch.tensor([[0.3, -0.2]], requires_grad=True)
    nats = maths.decoupled(maths.log_softmax(logits), log([[0.9, 0.1]]).float(), torch.tensor([0]), 0, 8)
    assert nats.item() == 0
    assert torch.autograd.grad(nats.sum(), logits)[0].tolist() == [[0, 0]]


def test_standardised_logits_have_their_known_values():
    assert maths.standardise(double([1, 0, 0])).tolist() == exact([1.154700538, -0.577350269, -0.577350269])
    assert maths.standardise(double([2, 1, 0])).tolist() == exact([1, 0, -1])
    assert maths.standardise(double([13, 10, 7])).tolist() == exact([1, 0, -1])


def test_correlations_have_their_known_values():
    student, teacher = double([[2, 1, 0], [0, 1, 3]]), double([[3, 1, 0], [0, 2, 2]])
    rows = maths.pearson(*(maths.log_softmax(side).exp() for side in (student, teacher)))
    assert rows.tolist() == exact([0.983591119501, 0.568813138494])
    columns = maths.pearson(*(maths.log_softmax(side).exp().T for side in (student, teacher)))
    assert columns.tolist() == exact([1, -1, 1])


def test_what_does_not_vary_correlates_only_with_its_like():
    flat, slope = torch.ones(2, 3), torch.tensor([[1.0, 1, 1], [1, 2, 3]])
    assert maths.pearson(flat, slope).tolist() == [1, 0]


FIVE = [0.5, 0.2, 0.15, 0.1, 0.05], [0.3, 0.1, 0.2, 0.25, 0.15]


def binned(kept: int) -> tuple[Tensor, Tensor]:
    """Student and teacher of five labels, over the teacher's likeliest and a bin for the rest."""
    student, teacher = (maths.with_rest(log(side[:kept])) for side in reversed(FIVE))
    return student, teacher


def test_a_bin_for_the_rest_has_its_known_values():
    assert maths.forward_kl(*binned(2)).item() == exact(0.186098093827)
    assert maths.reverse_kl(*binned(2)).item() == exact(0.19332590315)
    assert maths.forward_kl(log(FIVE[1]), log(FIVE[0])).item() == exact(0.204330249506)
    assert maths.reverse_kl(log(FIVE[1]), log(FIVE[0])).item() == exact(0.228838535573)


def test_the_more_bins_the_more_is_seen_and_all_of_it_in_the_end():
    seen = [maths.forward_kl(*binned(kept)).item() for kept in range(1, 6)]
    assert seen == sorted(seen)
    assert seen[-1] == exact(0.204330249506)


def test_values_are_unreduced():
    logits = torch.zeros(4, 3, 5)
    assert maths.forward_kl(maths.log_softmax(logits), maths.log_softmax(logits)).shape == (4, 3)
    assert maths.cross_entropy(maths.log_softmax(logits), torch.zeros(4, 3, dtype=torch.long)).shape == (4, 3)


def test_halves_are_compared_in_float32_and_doubles_in_double():
    assert maths.log_softmax(torch.ones(3, dtype=torch.bfloat16)).dtype == torch.float32
    assert maths.log_softmax(torch.ones(3, dtype=torch.float64)).dtype == torch.float64


def test_squared_errors_leave_out_what_is_not_there():
    student, teacher = torch.tensor([1.0, 2.0, -math.inf]), torch.tensor([0.0, 4.0, -math.inf])
    assert maths.squared_error(student, teacher).item() == 2.5


@some.composite
def pairs(draw, largest: float = 30) -> tuple[Tensor, Tensor]:
    """Log-probs of a student and a teacher over as many labels."""
    labels = draw(some.integers(2, 9))
    numbers = some.lists(some.floats(-largest, largest), min_size=labels, max_size=labels)
    sides = [draw(numbers) for _ in range(2)]
    student, teacher = (torch.tensor(side, dtype=torch.float64).log_softmax(-1) for side in sides)
    return student, teacher


shares = some.floats(1e-3, 0.999)
SLACK = 1e-9


@settings(deadline=None, max_examples=60)
@given(pairs(), shares)
def test_bounds_hold_for_any_two_distributions(sides, share):
    kl = maths.forward_kl(*sides).item()
    variation = maths.total_variation(*sides).item()
    entropy = -share * math.log(share) - (1 - share) * math.log1p(-share)
    assert kl >= -SLACK
    assert maths.reverse_kl(*sides).item() >= -SLACK
    assert -SLACK <= variation <= 1 + SLACK
    assert variation**2 <= kl / 2 + SLACK
    assert -SLACK <= maths.jensen_shannon(*sides, share).item() <= entropy + SLACK
    assert -SLACK <= maths.skewed_forward_kl(*sides, share).item() <= -math.log(share) + SLACK
    assert -SLACK <= maths.skewed_reverse_kl(*sides, share).item() <= -math.log(share) + SLACK


@settings(deadline=None, max_examples=60)
@given(pairs(largest=8))
def test_merging_labels_never_raises_a_divergence(sides):
    for divergence in (maths.forward_kl, maths.reverse_kl, maths.jensen_shannon, maths.total_variation):
        labels = sides[0].shape[-1]
        merged = [divergence(*(maths.with_rest(side[:kept]) for side in sides)).item() for kept in range(1, labels)]
        seen = [*merged, divergence(*sides).item()]
        assert all(fewer <= more + 1e-6 for fewer, more in pairwise(seen))


@settings(deadline=None, max_examples=30)
@given(pairs())
def test_jensen_shannon_divided_by_beta_becomes_forward_kl(sides):
    student, teacher = sides
    beta = 1e-7
    student = torch.logaddexp(student, teacher + math.log(1e-2)).log_softmax(-1)  # so that the limit is near
    found = maths.jensen_shannon(student, teacher, beta).item() / beta
    assert found == pytest.approx(maths.forward_kl(student, teacher).item(), abs=2e-5, rel=2e-5)
