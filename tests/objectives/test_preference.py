"""Objectives of preferences, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection, TopK
from stillhouse.objectives import piecewise
from stillhouse.objectives.preference import DPO, SimPO
from stillhouse.objectives.response import ForwardKL
from stillhouse.signals.kinds import Kind

LABELS = torch.tensor([[-1, 2, 0, 4], [-1, 3, -1, -1], [1, 1, -1, -1], [-1, -1, 0, 5]])
PAIRS = Batch({}, LABELS, torch.tensor([7, 7, 3, 3]))
ANSWERED = LABELS >= 0


def logits(seed: int = 0) -> Tensor:
    return torch.randn(4, 4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def likelihoods(scores: Tensor) -> Tensor:
    """ln q of each row's answer, the slow way."""
    log_probs = scores.log_softmax(-1)
    return torch.stack(
        [sum(log_probs[row, at, label] for at, label in enumerate(LABELS[row]) if label >= 0) for row in range(4)]
    )


def test_dpo_has_its_value_by_the_formula():
    mine, its = likelihoods(logits(0)), likelihoods(logits(1))
    margins = [0.1 * ((mine[at] - its[at]) - (mine[at + 1] - its[at + 1])) for at in (0, 2)]
    wanted = sum(math.log1p(math.exp(-margin)) for margin in margins)
    for told in (TeacherOutput(log_probs=its), TeacherOutput(logits(1))):
        loss = DPO()(StudentOutput(logits(0)), told, PAIRS)
        assert loss.total.item() == pytest.approx(wanted, abs=1e-9)
        assert loss.count.item() == 2


def test_at_its_reference_a_student_pays_ln_2():
    loss = DPO()(StudentOutput(logits()), TeacherOutput(logits()), PAIRS)
    assert loss.total.item() == pytest.approx(2 * math.log(2))


def test_dpo_raises_the_better_answer_and_lowers_the_worse():
    scores = logits().requires_grad_()
    DPO()(StudentOutput(scores), TeacherOutput(logits()), PAIRS).total.backward()
    of_answers = scores.grad.gather(-1, LABELS.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    assert (of_answers[0::2][ANSWERED[0::2]] < 0).all()
    assert (of_answers[1::2][ANSWERED[1::2]] > 0).all()
    assert (scores.grad[~ANSWERED] == 0).all()


def test_swapping_the_two_turns_the_preference():
    told = TeacherOutput(logits(1))
    turned = [1, 0, 3, 2]
    other = Batch({}, LABELS[turned], PAIRS.rows)
    straight = DPO(smoothing=0.2)(StudentOutput(logits()), told, PAIRS).total
    swapped = DPO(smoothing=0.2)(StudentOutput(logits()[turned]), TeacherOutput(logits(1)[turned]), other).total
    sure, turned_sure = (
        DPO()(StudentOutput(logits()), told, PAIRS),
        DPO()(StudentOutput(logits()[turned]), TeacherOutput(logits(1)[turned]), other),
    )
    assert straight.item() == pytest.approx(0.8 * sure.total.item() + 0.2 * turned_sure.total.item())
    assert swapped.item() == pytest.approx(0.2 * sure.total.item() + 0.8 * turned_sure.total.item())


def test_simpo_has_its_value_by_the_formula():
    each = likelihoods(logits()) / ANSWERED.sum(1)
    wanted = sum(math.log1p(math.exp(1.0 - 2.0 * (each[at] - each[at + 1]))) for at in (0, 2))
    loss = SimPO()(StudentOutput(logits()), TeacherOutput(), PAIRS)
    assert loss.total.item() == pytest.approx(wanted, abs=1e-9)
    assert loss.count.item() == 2
    assert SimPO().needs == {Kind.WORDS, Kind.PREFERENCE}


@pytest.mark.parametrize("objective", [DPO(), SimPO()], ids=["dpo", "simpo"])
def test_a_head_not_applied_yet_gives_the_same_value_and_gradients(objective, monkeypatch):
    monkeypatch.setitem(piecewise._ELEMENTS, "cpu", 12)  # two positions at a time
    random = torch.Generator().manual_seed(0)
    found = []
    for dense in (True, False):
        random.manual_seed(0)
        states = torch.randn(4, 4, 3, generator=random).requires_grad_()
        weight = torch.randn(6, 3, generator=random).requires_grad_()
        head = Projection(states, weight, softcap=30.0)
        loss = objective(StudentOutput(head.logits() if dense else head), TeacherOutput(logits()), PAIRS)
        found.append((loss.total.detach(), *torch.autograd.grad(loss.total, (states, weight))))
    for plain, lazy in zip(*found, strict=True):
        assert torch.allclose(plain, lazy, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("objective", [DPO(), DPO(smoothing=0.1), SimPO()], ids=["dpo", "smoothed", "simpo"])
def test_what_holds_for_every_objective_holds_here(objective):
    told = TeacherOutput(logits(1).requires_grad_())
    scores = logits().requires_grad_()
    whole = objective(StudentOutput(scores), told, PAIRS)
    halves = [
        objective(
            StudentOutput(scores[rows]),
            TeacherOutput(told.scores[rows]),
            Batch({}, LABELS[rows], PAIRS.rows[rows]),
        )
        for rows in ([2, 3], [0, 1])
    ]
    assert torch.allclose((halves[0] + halves[1]).total, whole.total)
    assert torch.equal((halves[0] + halves[1]).count, whole.count)
    assert torch.equal(objective.count(told, PAIRS), whole.count)
    whole.total.backward()
    assert told.scores.grad is None
    spoilt = scores.detach().masked_fill(~ANSWERED.unsqueeze(-1), float("nan"))
    assert torch.equal(objective(StudentOutput(spoilt), told, PAIRS).total, whole.total)
    low = objective(StudentOutput(scores.bfloat16()), told, PAIRS).total
    assert low.item() == pytest.approx(whole.total.item(), rel=2e-2)
    for scale in (1e4, 0):
        wild = (scale * scores.detach()).requires_grad_()
        loss = objective(StudentOutput(wild), told, PAIRS).total
        assert loss.isfinite()
        assert torch.autograd.grad(loss, wild)[0].isfinite().all()


def test_an_answer_of_no_tokens_does_no_harm():
    nothing = Batch({}, torch.full((2, 4), -1), torch.tensor([1, 1]))
    scores = logits()[:2].requires_grad_()
    for objective in (DPO(), SimPO()):
        loss = objective(StudentOutput(scores), TeacherOutput(logits()[:2]), nothing)
        assert loss.total.isfinite()
        assert (torch.autograd.grad(loss.total, scores)[0] == 0).all()


@pytest.mark.parametrize("rows", [[1, 1, 2], [1, 2, 2, 1]])
def test_rows_that_are_no_pairs_are_refused(rows):
    batch = Batch({}, LABELS[: len(rows)], torch.tensor(rows))
    for objective in (DPO(), SimPO()):
        with pytest.raises(UsageError, match="pairs of neighbouring rows"):
            objective.count(TeacherOutput(), batch)


def test_dpo_asks_for_its_reference():
    few = TopK(torch.zeros(4, 4, 2, dtype=torch.long), torch.zeros(4, 4, 2))
    for told in (TeacherOutput(), TeacherOutput(few)):
        with pytest.raises(UsageError, match="measures against a reference"):
            DPO()(StudentOutput(logits()), told, PAIRS)


@pytest.mark.parametrize("made", [lambda: DPO(beta=0), lambda: DPO(smoothing=0.5), lambda: SimPO(beta=math.nan)])
def test_numbers_that_mean_nothing_are_refused(made):
    with pytest.raises(UsageError, match="must be"):
        made()


def test_preferences_add_to_other_objectives():
    both = DPO() + 0.5 * ForwardKL()
    assert both.needs == {Kind.WORDS, Kind.PREFERENCE, Kind.LIKELIHOOD, Kind.SOFT}
    loss = both(StudentOutput(logits()), TeacherOutput(logits(1)), PAIRS)
    assert loss.count.tolist() == [2, 16]


def test_a_student_learns_what_is_preferred():
    scores = logits().requires_grad_()
    told = TeacherOutput(log_probs=likelihoods(logits()))
    optimizer = torch.optim.SGD([scores], 5.0)
    for _ in range(20):
        DPO(beta=1.0)(StudentOutput(scores), told, PAIRS).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    gained = likelihoods(scores.detach()) - told.log_probs
    assert (gained[0::2] > gained[1::2] + 1).all()
