"""Distances between distributions, position by position."""

from __future__ import annotations

import pytest
import torch

from stillhouse.objectives.divergences import cross_entropy, forward_kl, log_softmax

STUDENT, TEACHER = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[2.0, 1.0, 0.0]])


def test_softmax_has_its_known_values():
    assert log_softmax(TEACHER).exp().flatten().tolist() == pytest.approx([0.665241, 0.244728, 0.090031], abs=1e-6)
    assert log_softmax(TEACHER, 2).exp().flatten().tolist() == pytest.approx([0.506480, 0.307196, 0.186324], abs=1e-6)


@pytest.mark.parametrize(("temperature", "nats"), [(1, 0.053808), (2, 0.0209453), (4, 0.00616303)])
def test_forward_kl_has_its_known_values(temperature, nats):
    value = forward_kl(log_softmax(STUDENT, temperature), log_softmax(TEACHER, temperature))
    assert value.tolist() == pytest.approx([nats], abs=1e-6)


def test_cross_entropy_and_entropy_differ_by_forward_kl():
    student, teacher = log_softmax(STUDENT), log_softmax(TEACHER)
    soft = sum(teacher.exp()[0, label] * cross_entropy(student, torch.tensor([label])) for label in range(3))
    assert soft.item() == pytest.approx(0.886204, abs=1e-5)
    entropy = -(teacher.exp() * teacher).sum()
    assert (soft - entropy).item() == pytest.approx(forward_kl(student, teacher).item(), abs=1e-6)


def test_values_are_unreduced():
    logits = torch.zeros(4, 3, 5)
    assert forward_kl(log_softmax(logits), log_softmax(logits)).shape == (4, 3)
    assert cross_entropy(log_softmax(logits), torch.zeros(4, 3, dtype=torch.long)).shape == (4, 3)


def test_halves_are_compared_in_float32():
    assert log_softmax(STUDENT.to(torch.bfloat16)).dtype == torch.float32
