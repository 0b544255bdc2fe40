"""Chunk likelihoods add up tokens, and are compared as the odds that a text comes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.objectives.chunks import binary_kl, chunk_log_likelihoods, log1mexp, whole_chunks
from stillhouse.signals.align import align
from stillhouse.signals.spans import Spans

TEMPERATURES = (0.5, 1.0, 2.0, 100.0, math.inf)
log_likelihoods = st.floats(-50, -1e-3)


def wide(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_chunk_is_as_likely_as_its_tokens_together():
    log_probs = torch.tensor([[-9.0, -1.0, -2.0, -4.0], [-3.0, -5.0, -7.0, -9.0]])
    chunks = torch.tensor([[-1, 0, 0, 1], [0, 1, 2, -1]])
    assert chunk_log_likelihoods(log_probs, chunks, 3).tolist() == [[-3, -4, 0], [-3, -5, -7]]


def test_what_lies_outside_gets_no_gradient_and_may_be_anything():
    log_probs = torch.tensor([[-math.inf, -1.0, math.nan]], requires_grad=True)
    sums = chunk_log_likelihoods(log_probs, torch.tensor([[-1, 0, -1]]), 1)
    (gradient,) = torch.autograd.grad(sums.sum(), log_probs)
    assert sums.tolist() == [[-1]]
    assert gradient.tolist() == [[0, 1, 0]]


def test_halves_are_added_in_float32():
    log_probs = torch.full((1, 1000), -0.01, dtype=torch.bfloat16)
    sums = chunk_log_likelihoods(log_probs, torch.zeros(1, 1000, dtype=torch.long), 1)
    assert sums.dtype == torch.float32
    assert sums.item() == pytest.approx(1000 * log_probs[0, 0].item(), rel=1e-5)


def test_a_chunk_counts_only_as_a_whole():
    chunks = torch.tensor([[-1, 0, 0, 1, 2], [0, 1, 1, -1, -1]])
    counted = torch.tensor([[True, False, True, True, True], [False, True, True, True, True]])
    assert whole_chunks(counted, chunks, 4).tolist() == [[False, True, True, False], [False, True, False, False]]


def test_rows_without_chunks():
    chunks = torch.full((2, 3), -1)
    assert chunk_log_likelihoods(torch.zeros(2, 3), chunks, 0).shape == (2, 0)
    assert whole_chunks(torch.ones(2, 3, dtype=torch.bool), chunks, 0).shape == (2, 0)
    assert not whole_chunks(torch.ones(2, 3, dtype=torch.bool), chunks, 2).any()


def test_two_tokenizers_of_one_model_find_an_aligned_text_equally_likely():
    """A model over bytes, read one, two or three bytes at a time: the chain rule makes the chunks agree."""
    of_bytes = torch.randn(12, generator=torch.Generator().manual_seed(0)).abs().neg().double()
    sides = []
    for width in (2, 3):
        starts = np.arange(0, 12, width)[None]
        sides.append((Spans(starts, starts + width), of_bytes.reshape(-1, width).sum(1)[None]))
    found = align(sides[0][0], sides[1][0])
    sums = [
        chunk_log_likelihoods(log_probs, torch.from_numpy(chunks), found.chunks)
        for (_, log_probs), chunks in zip(sides, (found.left, found.right), strict=True)
    ]
    assert sums[0].shape == (1, 2)
    assert binary_kl(*sums).abs().max() < 1e-12


@pytest.mark.parametrize("x", [-1e-12, -1e-5, -0.1, -math.log(2), -1.0, -40.0, -1e4])
def test_log1mexp_is_precise_everywhere(x):
    expected = math.log(-math.expm1(x)) if x > -1 else math.log1p(-math.exp(x))
    point = wide(x).requires_grad_()
    value = log1mexp(point)
    assert value.item() == pytest.approx(expected, rel=1e-12, abs=1e-300)
    assert torch.autograd.grad(value.sum(), point)[0].item() == pytest.approx(math.exp(x) / math.expm1(x), rel=1e-9)


@pytest.mark.parametrize(
    ("teacher", "student", "temperature", "nats"),
    [
        (0.5, 0.25, 1.0, 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)),
        (0.9, 0.1, 1.0, 0.8 * math.log(9)),
        (0.25, 0.0625, 2.0, 2 * (0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75))),
        (0.5, 0.25, math.inf, math.log(2) * (1 - math.log(2))),
        (math.exp(-3), math.exp(-1), math.inf, 3 * math.log(3) - 2),
    ],
)
def test_known_values(teacher, student, temperature, nats):
    assert binary_kl(wide(student).log(), wide(teacher).log(), temperature).item() == pytest.approx(nats, abs=1e-12)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_agreement_costs_nothing(temperature, dtype):
    same = torch.tensor([0.0, -1e-6, -0.3, -5.0, -60.0, -1e4], dtype=dtype, requires_grad=True)
    values = binary_kl(same, same.detach(), temperature)
    assert values.tolist() == [0] * 6
    assert torch.autograd.grad(values.sum(), same)[0].float().abs().max() < 1e-3


@settings(max_examples=200, deadline=None)
@given(log_likelihoods, log_likelihoods, st.sampled_from(TEMPERATURES))
def test_it_is_never_negative_and_its_gradient_points_away_from_agreement(student, teacher, temperature):
    mine = wide(student).requires_grad_()
    value = binary_kl(mine, wide(teacher), temperature)
    (gradient,) = torch.autograd.grad(value.sum(), mine)
    assert value.item() >= -1e-9
    assert gradient.item() * (student - teacher) >= -1e-9


@settings(max_examples=100, deadline=None)
@given(log_likelihoods, log_likelihoods)
def test_the_gradient_is_that_of_the_value(student, teacher):
    for temperature in TEMPERATURES:
        mine = wide(student).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda x, t=temperature: binary_kl(x, wide(teacher), t), mine, eps=1e-7, atol=1e-4, rtol=1e-3
        )


def test_higher_temperatures_come_to_the_limit():
    mine, its = wide(-0.1, -3.0, -20.0), wide(-2.0, -1.0, -25.0)
    limit = binary_kl(mine, its, math.inf)
    apart = [(binary_kl(mine, its, 10.0**power) - limit).abs().max().item() for power in (2, 3, 4, 5)]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < 1e-3


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("teacher", [0.0, -0.5, -1e4])
def test_certainty_and_the_unheard_of_are_finite(temperature, dtype, teacher):
    mine = torch.tensor([0.0, -1e-9, -1e4, -1e-3], dtype=dtype, requires_grad=True)
    value = binary_kl(mine, torch.full_like(mine, teacher), temperature)
    (gradient,) = torch.autograd.grad(value.sum(), mine)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


def test_a_student_too_sure_of_a_text_is_pulled_back():
    logits = torch.tensor([12.0, 0.0, 0.0], requires_grad=True)
    value = binary_kl(logits.log_softmax(-1)[:1], torch.tensor([0.5]).log())
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert gradient[0].item() == pytest.approx(0.5, abs=0.02), "q - p, as of any two-way KL"


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_is_above_zero(temperature):
    with pytest.raises(UsageError, match="above 0"):
        binary_kl(wide(-1.0), wide(-1.0), temperature)
