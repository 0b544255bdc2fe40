"""Scores in every form can be laid in a row, picked from, cut and counted."""

from __future__ import annotations

import pytest
import torch

from stillhouse.models.scores import Mixture, Projection, Sampled, TopK, everywhere, flat, labels_of


def head(dtype: torch.dtype = torch.float32, **more) -> Projection:
    random = torch.Generator().manual_seed(0)
    states, weight = (torch.randn(*shape, generator=random).to(dtype) for shape in ((2, 3, 4), (7, 4)))
    return Projection(states, weight, **more)


FORMS = {
    "dense": torch.arange(42.0).view(2, 3, 7),
    "projection": head(),
    "mixture": Mixture((head(), torch.zeros(2, 3, 5)), torch.tensor([0.5, 0.5]).expand(2, 3, 2)),
    "likeliest": TopK(torch.zeros(2, 3, 2).long(), torch.full((2, 3, 2), -1.0), {2.0: torch.zeros(2, 3)}),
    "draws": Sampled(torch.zeros(2, 3, 2).long(), torch.ones(2, 3, 2)),
}
every_form = pytest.mark.parametrize("scores", FORMS.values(), ids=FORMS.keys())


def size(scores) -> int:
    return len(scores) if isinstance(scores, torch.Tensor) else int(everywhere(scores).numel())


@every_form
def test_positions_lie_in_one_row_and_can_be_picked(scores):
    assert everywhere(scores).shape == (2, 3)
    assert everywhere(scores).all()
    row = flat(scores)
    assert everywhere(row).shape == (6,)
    assert everywhere(row[torch.tensor([5, 0])]).shape == (2,)
    assert everywhere(row[2:5]).shape == (3,)


@pytest.mark.parametrize(
    ("form", "labels"), [("dense", 7), ("projection", 7), ("mixture", 5), ("likeliest", None), ("draws", None)]
)
def test_the_number_of_labels_is_known_where_it_can_be(form, labels):
    assert labels_of(FORMS[form]) == labels


def test_a_picked_projection_gives_the_logits_of_its_positions():
    picked = flat(head(bias=torch.arange(7.0), softcap=3.0))[torch.tensor([4, 1])]
    assert torch.equal(picked.logits(), head(bias=torch.arange(7.0), softcap=3.0).logits().flatten(0, 1)[[4, 1]])


def test_logits_are_capped_after_they_are_scaled_after_the_bias():
    given = head(bias=torch.arange(7.0), scale=0.5, softcap=2.0)
    plain = torch.einsum("rph,vh->rpv", given.states, given.weight) + torch.arange(7.0)
    assert torch.allclose(given.logits(), 2 * torch.tanh(0.5 * plain / 2), atol=1e-6)


def test_the_rows_that_pad_a_vocabulary_can_be_left_out():
    whole = head(bias=torch.arange(7.0))
    assert torch.equal(whole.first(5).logits(), whole.logits()[..., :5])
    assert whole.first(7) is whole


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_logits_are_float32_or_better_even_under_autocast(dtype, wide):
    given = head(dtype)
    right = given.states.double() @ given.weight.double().T
    with torch.autocast("cpu", torch.bfloat16):
        logits = given.logits()
    assert logits.dtype == wide
    assert torch.allclose(logits.double(), right, atol=1e-5)


def test_the_likeliest_keep_their_shifts():
    some = flat(TopK(torch.zeros(2, 3, 1).long(), torch.zeros(2, 3, 1), {2.0: torch.arange(6.0).view(2, 3)}))
    assert some[torch.tensor([4])].shifts[2.0].tolist() == [4]


def test_a_mixture_is_one_of_probabilities_and_needs_no_part_without_weight():
    one, other = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    mixed = Mixture((one, other), torch.tensor([[0.25, 0.75]])).logits()
    right = 0.25 * one.softmax(-1) + 0.75 * other[:, :3].softmax(-1)
    assert torch.allclose(mixed.exp(), right, atol=1e-6)
    alone = Mixture((one, torch.full((1, 3), torch.nan)), torch.tensor([[1.0, 0.0]])).logits()
    assert torch.allclose(alone, one.log_softmax(-1))
    nobody = Mixture((one, other), torch.zeros(1, 2))
    assert not everywhere(nobody).any()
