"""Work done in pieces gives what it gives at once, and holds one piece at a time."""

from __future__ import annotations

import pytest
import torch

from stillhouse.objectives import piecewise as module
from stillhouse.objectives.piecewise import piecewise

CPU = torch.device("cpu")


@pytest.mark.parametrize(("limit", "pieces"), [(1, 10), (30, 4), (10**6, 1)])
def test_pieces_hold_what_may_exist_at_once(limit, pieces, monkeypatch):
    monkeypatch.setitem(module._ELEMENTS, "cpu", limit)
    found = piecewise(lambda part: torch.arange(10)[part], 10, 10, CPU)
    assert len(found) == pieces
    assert torch.cat(found).tolist() == list(range(10))


def test_nothing_to_do_is_one_empty_piece():
    (found,) = piecewise(lambda part: torch.arange(10)[part], 0, 10, CPU)
    assert len(found) == 0


def test_the_gradient_is_the_same_and_only_one_piece_is_kept(monkeypatch):
    items = torch.linspace(0, 1, 12, dtype=torch.float64).requires_grad_()
    kept: list[int] = []

    def compute(part: slice) -> torch.Tensor:
        return (items[part, None] * torch.arange(100)).exp().sum(1)

    def slopes() -> torch.Tensor:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(lambda one: (kept.append(one.numel()), one)[1], lambda one: one):
            total = torch.cat(piecewise(compute, 12, 100, CPU)).sum()
        return torch.autograd.grad(total, items)[0]

    at_once = slopes()
    assert max(kept) == 1200
    monkeypatch.setitem(module._ELEMENTS, "cpu", 200)
    assert torch.allclose(slopes(), at_once)
    assert max(kept, default=0) < 200
