"""Lengths, angles and relations of vectors, against what is known of them."""

from __future__ import annotations

import math

import pytest
import torch

from stillhouse.objectives import geometry
from stillhouse.objectives.divergences import LEAST

ROWS = torch.tensor([[3.0, 4.0], [0.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)


def test_a_unit_vector_has_length_1_and_nothing_stays_nothing():
    assert geometry.unit(ROWS).flatten().tolist() == pytest.approx([0.6, 0.8, 0, 0, -1, 0])
    rows = ROWS.clone().requires_grad_()
    geometry.unit(rows).sum().backward()
    assert rows.grad[1].tolist() == [0, 0]
    assert rows.grad.isfinite().all()


@pytest.mark.parametrize(("one", "other", "apart"), [([3, 4], [0, 5], 0.2), ([1, 0], [-2, 0], 2), ([0, 0], [0, 0], 0)])
def test_cosine_distance(one, other, apart):
    assert geometry.cosine_distance(torch.tensor([one]), torch.tensor([other])).item() == pytest.approx(apart)


def test_half_precision_is_widened_and_double_is_kept():
    assert geometry.unit(ROWS.bfloat16()).dtype == torch.float32
    assert geometry.unit(ROWS).dtype == torch.float64


def test_relative_distances_have_mean_1_where_they_are_not_0():
    apart = geometry.relative_distances(ROWS)
    assert apart[apart > 0].mean().item() == pytest.approx(1)
    assert apart[0, 1].item() / apart[1, 2].item() == pytest.approx(5)
    assert (geometry.relative_distances(ROWS[:1].expand(3, 2)) == 0).all()


def test_distances_far_from_the_origin_are_as_exact_as_the_numbers():
    random = torch.Generator().manual_seed(0)
    rows = (torch.randn(6, 8, generator=random) + 1000).requires_grad_()
    apart = torch.cdist(rows.double(), rows.double(), compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.allclose(geometry.relative_distances(rows).double(), apart / apart[apart > 0].mean(), rtol=1e-6)
    geometry.relative_distances(rows)[0, 1].backward()
    assert rows.grad.isfinite().all()


def test_cosines_are_those_of_the_angles_at_the_vertices():
    corners = torch.tensor([[0.0, 0], [3, 0], [0, 4]], dtype=torch.float64)
    cosines = geometry.cosines_at(geometry.relative_distances(corners), slice(0, 3))
    assert cosines[0, 1, 2].item() == pytest.approx(0)
    assert cosines[1, 0, 2].item() == pytest.approx(0.6)
    assert cosines[2, 0, 1].item() == pytest.approx(0.8)
    assert (cosines[0, 0] == 0).all()


def test_similarities_and_products_do_not_vanish_with_small_vectors():
    for relation in (geometry.similarities, geometry.centred_products):
        assert torch.allclose(relation(ROWS * 1e-5), relation(ROWS))


def test_neighbours_are_distributions_even_of_opposites():
    near = geometry.neighbours(torch.tensor([[1.0, 0], [-1, 0]]))
    assert near.isfinite().all()
    assert torch.allclose(near.exp().sum(-1), torch.ones(2))


def test_an_attention_map_does_not_mind_strength():
    maps = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(geometry.attention_map(maps), geometry.attention_map(maps * 1e-4), atol=1e-6)
    assert torch.allclose(geometry.attention_map(maps).square().sum(-1), torch.ones(2))


def test_relations_are_among_the_tokens_that_count():
    vectors = torch.tensor([[[[1.0], [0.0], [math.nan]]]])
    found = geometry.relations(vectors, torch.tensor([[True, True, False]]))
    assert found[0, 0, :2, :2].exp().flatten().tolist() == pytest.approx([0.731059, 0.268941, 0.5, 0.5], abs=1e-6)
    assert (found[..., 2] == LEAST).all()


def test_relations_among_nothing_are_finite_and_so_is_their_gradient():
    vectors = torch.randn(1, 1, 3, 2).requires_grad_()
    found = geometry.relations(vectors, torch.zeros(1, 3, dtype=torch.bool))
    assert found.isfinite().all()
    found.exp().sum().backward()
    assert (vectors.grad == 0).all()
