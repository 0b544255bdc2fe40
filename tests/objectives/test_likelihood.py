"""How likely answers are, dense or through a head not applied yet."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.scores import Projection
from stillhouse.objectives import piecewise
from stillhouse.objectives.likelihood import log_likelihoods

LABELS = torch.tensor([[1, -1, 3], [-1, 0, 2]])


def test_each_labelled_position_has_its_log_prob_and_others_none():
    scores = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    found = log_likelihoods(scores, LABELS)
    wanted = scores.log_softmax(-1).gather(-1, LABELS.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    assert torch.allclose(found, wanted.masked_fill(LABELS < 0, 0))


@pytest.mark.parametrize("room", [1, 8, 10**6])
def test_a_head_is_applied_a_few_positions_at_a_time_to_the_same_end(room, monkeypatch):
    monkeypatch.setitem(piecewise._ELEMENTS, "cpu", room)
    random = torch.Generator().manual_seed(0)
    parts = [torch.randn(*shape, generator=random).requires_grad_() for shape in ((2, 3, 5), (4, 5), (4,))]
    head = Projection(*parts, scale=2.0, softcap=9.0)
    slopes = [
        torch.autograd.grad((log_likelihoods(scores, LABELS) * torch.tensor([1.0, 2, -3])).sum(), parts)
        for scores in (head, head.logits())
    ]
    assert torch.allclose(log_likelihoods(head, LABELS), log_likelihoods(head.logits(), LABELS), atol=1e-6)
    for lazy, dense in zip(*slopes, strict=True):
        assert torch.allclose(lazy, dense, atol=1e-5)


def test_the_head_never_meets_more_than_labelled_positions():
    head = Projection(
        torch.full((2, 3, 5), float("nan")).index_put((LABELS >= 0).nonzero(as_tuple=True), torch.ones(5)),
        torch.ones(4, 5),
    )
    assert log_likelihoods(head, LABELS).isfinite().all()


def test_nothing_labelled_costs_nothing():
    scores = torch.randn(2, 3, 4, requires_grad=True)
    found = log_likelihoods(scores, torch.full((2, 3), -1))
    assert (found == 0).all()
    assert (torch.autograd.grad(found.sum(), scores)[0] == 0).all()


def test_labels_and_scores_must_be_there():
    with pytest.raises(UsageError, match="label 3, but the model scores labels 0 to 2"):
        log_likelihoods(torch.zeros(2, 3, 3), LABELS)
    with pytest.raises(UsageError, match="gives no scores"):
        log_likelihoods(None, LABELS)
