"""Objectives in one's own loop: logits of classifiers and of language models, with labels, without, and masked."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.scores import Projection, TopK
from stillhouse.objectives import CrossEntropy, ForwardKL
from stillhouse.objectives.compare import compare


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def test_classifiers_are_compared_row_by_row():
    student, teacher = logits(6, 4), logits(6, 4, seed=1).detach()
    cost = compare(ForwardKL(2), student, teacher)
    expected = 4 * torch.nn.functional.kl_div((student / 2).log_softmax(-1), (teacher / 2).softmax(-1), reduction="sum")
    assert torch.allclose(cost.total, expected, rtol=1e-5)
    assert cost.count == 6


def test_labels_below_nothing_do_not_count():
    student, labels = logits(4, 3), torch.tensor([0, -100, 2, -1])
    cost = compare(CrossEntropy(), student, labels=labels)
    expected = torch.nn.functional.cross_entropy(student[[0, 2]], labels[[0, 2]], reduction="sum")
    assert torch.allclose(cost.total, expected)
    assert cost.count == 2


def test_a_sum_divides_term_by_term_and_learns():
    student, teacher = logits(5, 3), logits(5, 3, seed=1).detach()
    cost = compare(0.7 * ForwardKL() + 0.3 * CrossEntropy(), student, teacher, torch.tensor([0, 1, -1, -1, 2]))
    assert cost.count.tolist() == [5, 3]
    (cost.total / cost.count).sum().backward()
    assert student.grad.abs().sum() > 0


def test_positions_of_a_language_model_count_where_that_is_said():
    student, teacher = logits(2, 5, 7), logits(2, 5, 7, seed=1).detach()
    where = torch.tensor([[1, 1, 0, 0, 0], [1, 0, 0, 0, 1]])
    cost = compare(ForwardKL(), student, teacher, where=where)
    assert cost.count == 4
    cost.total.backward()
    assert (student.grad[where == 0] == 0).all()


def test_heads_not_yet_applied_and_teachers_of_few_words_will_do():
    states, weight = logits(2, 3, 4), logits(6, 4, seed=1)
    told = logits(2, 3, 6, seed=2).detach().log_softmax(-1).topk(6)
    sparse = compare(ForwardKL(), Projection(states, weight), TopK(told.indices, told.values))
    dense = compare(ForwardKL(), states @ weight.T, logits(2, 3, 6, seed=2).detach())
    assert torch.allclose(sparse.total, dense.total, rtol=1e-4)


def test_answers_of_other_positions_are_refused():
    with pytest.raises(UsageError, match=r"\[4, 1\].*\[3, 1\]"):
        compare(CrossEntropy(), logits(4, 3), labels=torch.zeros(3, dtype=torch.long))
    with pytest.raises(UsageError, match="same positions"):
        compare(ForwardKL(), logits(4, 3), logits(5, 3))
