"""Distances between distributions whose vocabularies differ."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.objectives.divergences import forward_kl, jensen_shannon
from stillhouse.objectives.universal import shared_and_rest, universal_distance, universal_distance_of_largest

KNOWN = [(0.6, 0.3, 0.1), (0.2, 0.5, 0.2, 0.1)]


def wide(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities], dtype=torch.float64).log()


def rows(size: int, seed: int, count: int = 5, scale: float = 3.0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return (torch.randn(count, size, generator=random, dtype=torch.float64) * scale).log_softmax(-1)


sizes = st.integers(1, 40)
seeds = st.integers(0, 10_000)
scales = st.sampled_from([0.1, 1.0, 3.0, 30.0])


@pytest.mark.parametrize("distance", [universal_distance, universal_distance_of_largest])
def test_the_known_value(distance):
    assert distance(wide(*KNOWN[0]), wide(*KNOWN[1])).tolist() == pytest.approx([0.4], abs=1e-12)
    assert distance(wide(*KNOWN[1]), wide(*KNOWN[0])).tolist() == pytest.approx([0.4], abs=1e-12)


def test_the_known_value_by_its_two_largest():
    assert universal_distance_of_largest(wide(*KNOWN[0]), wide(*KNOWN[1]), kept=2).tolist() == pytest.approx([0.4])
    assert universal_distance_of_largest(wide(*KNOWN[0]), wide(*KNOWN[1]), kept=1).tolist() == pytest.approx([0.2])


@settings(max_examples=100, deadline=None)
@given(sizes, sizes, seeds, scales)
def test_it_lies_between_zero_and_two_and_which_token_is_which_does_not_matter(mine, its, seed, scale):
    student, teacher = rows(mine, seed, scale=scale), rows(its, seed + 1, scale=scale)
    value = universal_distance(student, teacher)
    shuffled = student[:, torch.randperm(mine, generator=torch.Generator().manual_seed(seed))]
    assert value.min() >= 0
    assert value.max() <= 2 + 1e-12
    assert torch.allclose(universal_distance(shuffled, teacher), value)
    assert universal_distance(shuffled, student).max() < 1e-12


@settings(max_examples=60, deadline=None)
@given(sizes, seeds, scales)
def test_no_matching_of_tokens_is_closer(size, seed, scale):
    """Sorting is the best matching: at most twice the total variation under any other."""
    student, teacher = rows(size, seed, scale=scale), rows(size, seed + 1, scale=scale)
    assert (universal_distance(student, teacher) <= (student.exp() - teacher.exp()).abs().sum(-1) + 1e-12).all()


@settings(max_examples=200, deadline=None)
@given(sizes, sizes, seeds, scales, st.integers(1, 45))
def test_the_largest_give_a_bound_from_below_and_the_error_is_known(mine, its, seed, scale, kept):
    student, teacher = rows(mine, seed, scale=scale), rows(its, seed + 1, scale=scale)
    exact = universal_distance(student, teacher)
    fast = universal_distance_of_largest(student, teacher, kept)
    used = min(kept, mine, its)
    rests = [1 - side.topk(used).values.exp().sum(-1) for side in (student, teacher)]
    assert (exact - fast >= -1e-12).all()
    assert (exact - fast <= 2 * torch.minimum(*rests) + 1e-12).all()
    if kept >= min(mine, its):
        assert torch.allclose(exact, fast, atol=1e-12)


def test_a_teacher_may_tell_its_largest_alone():
    student, teacher = rows(40, 0), rows(30, 1)
    told = teacher.topk(8).values.flip(-1)
    assert torch.equal(
        universal_distance_of_largest(student, told), universal_distance_of_largest(student, teacher, kept=8)
    )


def gradient_of(distance, logits, teacher):
    logits = logits.clone().requires_grad_()
    return torch.autograd.grad(distance(logits.log_softmax(-1), teacher).sum(), logits)[0]


def test_gradients_by_hand():
    """d/dz = q (s - <q, s>), s the sign of each probability's distance to its partner."""
    logits = wide(*KNOWN[0])
    signs = torch.tensor([[1.0, 1.0, -1.0]], dtype=torch.float64)
    q = logits.exp()
    expected = q * (signs - (q * signs).sum(-1, keepdim=True))
    for distance in (universal_distance, universal_distance_of_largest):
        assert torch.allclose(gradient_of(distance, logits, wide(*KNOWN[1])), expected, atol=1e-12)


@pytest.mark.parametrize("kept", [1, 4, 16])
def test_gradients_of_the_fast_form_are_its_own(kept):
    logits, teacher = rows(24, 3), rows(30, 4)

    def of_logits(z):
        return universal_distance_of_largest(z.log_softmax(-1), teacher, kept)

    assert torch.autograd.gradcheck(of_logits, logits.clone().requires_grad_())
    assert (
        gradient_of(lambda *sides: universal_distance_of_largest(*sides, kept), logits, teacher).sum(-1).abs().max()
        < 1e-12
    )


def test_gradients_are_finite_at_large_logits_and_ids_that_do_not_exist():
    student = torch.tensor([[1e4, 0.0, -1e4, -torch.inf], [-1e4, -1e4, 1e4, -torch.inf]], requires_grad=True)
    for distance in (universal_distance, universal_distance_of_largest):
        value = distance(student.log_softmax(-1), torch.tensor([[0.5, 0.5]]).log())
        (gradient,) = torch.autograd.grad(value.sum(), student)
        assert value.isfinite().all()
        assert gradient.isfinite().all()


def test_values_are_unreduced():
    for distance in (universal_distance, universal_distance_of_largest):
        assert distance(rows(7, 0).expand(2, 5, 7), rows(9, 1).expand(2, 5, 9)).shape == (2, 5)


def test_something_must_be_kept():
    with pytest.raises(UsageError, match="kept is 0"):
        universal_distance_of_largest(rows(3, 0), rows(3, 1), kept=0)


def test_shared_tokens_and_the_rest_are_a_distribution():
    student = wide(0.4, 0.3, 0.2, 0.1)
    assert shared_and_rest(student, torch.tensor([2, 0])).exp().tolist() == [pytest.approx([0.2, 0.4, 0.4])]
    assert shared_and_rest(student, torch.tensor([], dtype=torch.long)).exp().tolist() == [
        pytest.approx([1.0], abs=1e-6)
    ]


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 30), seeds, scales, st.data())
def test_over_what_is_shared_two_are_never_further_apart(size, seed, scale, data):
    student, teacher = rows(size, seed, scale=scale), rows(size, seed + 1, scale=scale)
    ids = torch.tensor(data.draw(st.lists(st.integers(0, size - 1), min_size=1, unique=True)))
    mine, its = shared_and_rest(student, ids), shared_and_rest(teacher, ids)
    for divergence in (forward_kl, jensen_shannon):
        apart = divergence(student, teacher)
        assert (divergence(mine, its) <= apart + 1e-5 + 1e-3 * apart).all()  # a rest near 1e-15 is mostly rounding
        assert divergence(mine, mine).abs().max() < 1e-9


def test_sharing_everything_changes_nothing():
    student, teacher = rows(12, 0), rows(12, 1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    shared = forward_kl(shared_and_rest(student, order), shared_and_rest(teacher, order))
    assert torch.allclose(shared, forward_kl(student, teacher), atol=1e-5)
