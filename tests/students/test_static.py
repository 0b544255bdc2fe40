"""The static student: vectors from an encoder, averaged by learnt weights."""

from __future__ import annotations

import pytest
import torch

from stillhouse.students.static import StaticStudent, static_vectors
from tests.models import tiny
from tests.students.families import student

every_architecture = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)


@every_architecture
def test_every_token_has_a_vector(architecture):
    vectors = static_vectors(tiny.encoder(architecture), 8)
    assert vectors.shape == (tiny.TOKENS, 8)
    assert vectors.isfinite().all()
    assert vectors.norm(dim=1).mean().item() == pytest.approx(1, abs=1e-5)


def test_vectors_do_not_depend_on_the_batch():
    assert torch.allclose(static_vectors(tiny.encoder(), 8, batch=7), static_vectors(tiny.encoder(), 8), atol=1e-4)


def test_tokens_the_encoder_tells_apart_stay_apart():
    distances = torch.cdist(static_vectors(tiny.encoder(), 32), static_vectors(tiny.encoder(), 32))
    states = tiny.states(tiny.encoder(), torch.arange(tiny.TOKENS).unsqueeze(1))[:, 0]
    expected = torch.cdist(states, states)
    assert torch.corrcoef(torch.stack([distances.flatten(), expected.flatten()]))[0, 1] > 0.999


def test_the_order_of_tokens_does_not_matter():
    made, ids = student("static"), tiny.ids(1, 6)
    mask = torch.ones_like(ids)
    assert torch.allclose(made(ids, mask), made(ids.flip(1), mask), atol=1e-5)


def test_vectors_are_copied():
    vectors = torch.randn(10, 4)
    made = StaticStudent(vectors, 2)
    with torch.no_grad():
        made.vectors.weight.zero_()
    assert vectors.count_nonzero() > 0


def test_a_weight_of_nothing_takes_a_token_out():
    made, ids = student("static"), tiny.ids(1, 4)
    with torch.no_grad():
        made.weights.weight[ids[0, -1]] = -100
    mask = torch.ones_like(ids)
    assert torch.allclose(made(ids, mask), made(ids[:, :-1], mask[:, :-1]), atol=1e-5)
