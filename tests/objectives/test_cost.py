"""What positions cost, for every form a teacher's scores come in, with its slope."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.scores import Mixture, Projection, Sampled, TopK, flat
from stillhouse.objectives import divergences as maths
from stillhouse.objectives import slopes
from stillhouse.objectives.cost import Cost, Known, answers_of, between, common, dense, labelled
from tests.objectives.matters import FORMS, in_form, language

COSTS = {
    "forward": between(maths.forward_kl, slopes.forward_kl, 1, draws=True),
    "reverse at 2": between(maths.reverse_kl, slopes.reverse_kl, 2.0),
    "labelled": labelled(0.1),
}


def given(form: str, labels: tuple[int, int] = (60, 60)) -> tuple[torch.Tensor, Known]:
    """The student's logits of ninety positions, and what is known there."""
    student, teacher, _ = language(labels=labels)
    scores = flat(in_form(teacher.scores, form))[:90]
    return flat(student.logits)[:90].detach(), Known(scores, torch.arange(90) % min(labels))


@pytest.mark.parametrize("labels", [(60, 60), (60, 45), (45, 60)])
@pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name in COSTS for form in FORMS if (name, form) != ("reverse at 2", "draws")]
)
def test_slopes_in_closed_form_are_those_of_automatic_differentiation(name, form, labels):
    cost, (logits, known) = COSTS[name], given(form, labels)
    nats, slope = cost.with_slope(logits, known)
    value, wanted = Cost(cost.nats).with_slope(logits, known)
    assert slope.shape == logits.shape
    assert torch.allclose(nats, value, rtol=1e-9, atol=1e-12)
    assert torch.allclose(slope, wanted, rtol=1e-7, atol=1e-10)
    assert nats.shape == (90,)


def test_vocabularies_padded_to_other_lengths_are_cut_to_the_shorter():
    logits, known = given("dense", (60, 45))
    student, teacher = common(logits, known)
    assert torch.equal(student, logits[:, :45])
    assert torch.equal(teacher, known.scores)
    cut = COSTS["forward"].nats(logits[:, :45], known)
    assert torch.allclose(COSTS["forward"].nats(logits, known), cut)


@pytest.mark.parametrize("side", [0, 1])
def test_a_padding_id_may_hold_any_score_when_its_row_is_left_out(side):
    """The real vocabulary has 45 labels; what pads it has scores of its own, which must not matter."""
    student, teacher, _ = language(labels=(60, 60))
    heads = [student.scores, teacher.scores]
    wild = heads[side].weight.detach().clone()
    wild[45:] = 1e3
    changed = list(heads)
    changed[side] = Projection(heads[side].states, wild, heads[side].bias, heads[side].scale, heads[side].softcap)
    costs = [
        COSTS["forward"].nats(flat(one.first(45)).logits(), Known(flat(other.first(45)))).sum()
        for one, other in (heads, changed)
    ]
    assert torch.equal(costs[0], costs[1])


def test_the_more_labels_are_told_the_closer_it_comes_to_the_whole():
    logits, known = given("dense")
    whole = COSTS["forward"].nats(logits, known)
    seen = []
    for kept in (1, 4, 16, 60):
        best = known.scores.log_softmax(-1).topk(kept)
        seen.append(COSTS["forward"].nats(logits, Known(TopK(best.indices, best.values))))
    assert all((fewer <= more + 1e-9).all() for fewer, more in pairwise(seen))
    assert torch.allclose(seen[-1], whole, atol=1e-9)


def test_draws_of_labels_that_the_student_lacks_do_not_count():
    logits = given("dense")[0][:1]
    drawn = Sampled(torch.tensor([[3, 99, 5]]), torch.tensor([[2, 7, 6]], dtype=torch.uint8))
    same = Sampled(torch.tensor([[3, 5]]), torch.tensor([[2, 6]]))
    assert torch.allclose(*(COSTS["forward"].nats(logits, Known(told)) for told in (drawn, same)))


@pytest.mark.parametrize("form", ["dense", "projection", "mixture"])
def test_no_gradient_goes_to_the_teacher(form):
    scores = given("projection")[1].scores
    if form == "mixture":
        scores = Mixture((scores, scores), torch.full((90, 2), 0.5))
    elif form == "dense":
        scores = scores.logits().requires_grad_()
    assert not dense(scores).requires_grad


def test_what_a_cost_needs_and_is_not_known_is_named():
    with pytest.raises(UsageError, match="told only words"):
        dense(None)
    with pytest.raises(UsageError, match="needs a score for every label"):
        dense(given("likeliest")[1].scores)
    with pytest.raises(UsageError, match="needs answers"):
        answers_of(Known())


def test_what_is_known_can_be_picked_from():
    picked = given("projection")[1][torch.tensor([4, 2])]
    assert picked.answers.tolist() == [4, 2]
    assert len(picked.scores.states) == 2
    assert Known()[2:3] == Known()
