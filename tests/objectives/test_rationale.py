"""Answers and their reasons are two tasks, each with a weight and a count of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection
from stillhouse.objectives.rationale import StepByStep
from stillhouse.objectives.response import CrossEntropy, ForwardKL

LABELS = torch.tensor([[2, -1, -1], [0, 1, 3], [1, -1, -1], [3, 2, -1]])
BATCH = Batch({}, LABELS, torch.tensor([5, 5, 6, 6]), torch.tensor([0, 1, 0, 1]))


def student(seed: int = 0) -> StudentOutput:
    return StudentOutput(torch.randn(4, 3, 4, generator=torch.Generator().manual_seed(seed)).requires_grad_())


def test_each_task_has_its_own_mean_and_weight():
    said = student()
    loss = StepByStep(answers=0.75)(said, TeacherOutput(), BATCH)
    nats = -said.logits.log_softmax(-1).gather(-1, LABELS.clamp(min=0).unsqueeze(-1)).squeeze(-1) * (LABELS >= 0)
    assert loss.total.tolist() == pytest.approx([0.75 * nats[0::2].sum().item(), 0.25 * nats[1::2].sum().item()])
    assert loss.count.tolist() == [2, 5]
    assert torch.equal(StepByStep().count(TeacherOutput(), BATCH), loss.count)


def test_certain_of_both_costs_nothing():
    sure = torch.nn.functional.one_hot(LABELS.clamp(min=0), 4) * 100.0
    assert StepByStep()(StudentOutput(sure), TeacherOutput(), BATCH).total.abs().max() < 1e-6


def test_a_batch_of_one_kind_is_fine():
    only = replace(BATCH, parts=torch.zeros(4, dtype=torch.long))
    loss = StepByStep()(student(), TeacherOutput(), only)
    assert loss.count.tolist() == [7, 0]
    assert loss.total[1] == 0
    assert loss.total[0].item() == pytest.approx(0.5 * CrossEntropy()(student(), TeacherOutput(), BATCH).total.item())


def test_halves_add_up_and_order_does_not_matter():
    whole = StepByStep()(student(), TeacherOutput(), BATCH)

    def some(rows):
        parts = Batch({}, LABELS[rows], BATCH.rows[rows], BATCH.parts[rows])
        return StepByStep()(StudentOutput(student().logits[rows]), TeacherOutput(), parts)

    for halves in (some([0, 1]) + some([2, 3]), some([0, 2]) + some([3, 1])):
        assert torch.allclose(halves.total, whole.total)
        assert torch.equal(halves.count, whole.count)


def test_it_adds_to_others_as_two_terms():
    told = TeacherOutput(student(1).logits.detach())
    both = 2 * StepByStep() + 0.5 * ForwardKL()
    loss = both(student(), told, BATCH)
    alone = StepByStep()(student(), told, BATCH)
    assert torch.allclose(loss.total[:2], 2 * alone.total)
    assert loss.count.tolist() == [2, 5, 12]
    assert torch.equal(both.count(told, BATCH), loss.count)


def test_a_head_not_applied_yet_gives_the_same():
    random = torch.Generator().manual_seed(0)
    states, weight = torch.randn(4, 3, 5, generator=random), torch.randn(4, 5, generator=random)
    found = []
    for dense in (True, False):
        own = [part.clone().requires_grad_() for part in (states, weight)]
        head = Projection(*own)
        loss = StepByStep()(StudentOutput(head.logits() if dense else head), TeacherOutput(), BATCH)
        mean = (loss.total / loss.count).sum()
        found.append((mean.detach(), *torch.autograd.grad(mean, own)))
    for plain, lazy in zip(*found, strict=True):
        assert torch.allclose(plain, lazy, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("parts", "said"), [(None, "give the batch `parts`"), ([0, 1, 2, 1], "there is 2")])
def test_rows_must_say_what_they_are(parts, said):
    batch = replace(BATCH, parts=None if parts is None else torch.tensor(parts))
    with pytest.raises(UsageError, match=said):
        StepByStep()(student(), TeacherOutput(), batch)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(UsageError, match="share from 0 to 1"):
        StepByStep(share)
