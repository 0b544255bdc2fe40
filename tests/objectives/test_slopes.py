"""Slopes in closed form are those of automatic differentiation, and of the hand."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from stillhouse.objectives import divergences as maths
from stillhouse.objectives import slopes
from tests.objectives.matters import double, exact

P, Q = double([0.7, 0.2, 0.1]).log(), double([0.2, 0.5, 0.3]).log()

PAIRS = {
    "forward_kl": (maths.forward_kl, slopes.forward_kl),
    "reverse_kl": (maths.reverse_kl, slopes.reverse_kl),
    "jensen_shannon": (maths.jensen_shannon, slopes.jensen_shannon),
    "jensen_shannon at 0.1": (partial(maths.jensen_shannon, beta=0.1), partial(slopes.jensen_shannon, beta=0.1)),
    "skewed_forward_kl": (maths.skewed_forward_kl, slopes.skewed_forward_kl),
    "skewed_forward_kl at 0.6": (
        partial(maths.skewed_forward_kl, alpha=0.6),
        partial(slopes.skewed_forward_kl, alpha=0.6),
    ),
    "skewed_reverse_kl": (maths.skewed_reverse_kl, slopes.skewed_reverse_kl),
    "total_variation": (maths.total_variation, slopes.total_variation),
}
every_pair = pytest.mark.parametrize(("plain", "steep"), PAIRS.values(), ids=PAIRS.keys())


def random_sides(scale: float, dtype=torch.float64) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randn(50, 40, generator=random, dtype=torch.float64).to(dtype) * scale for _ in range(2)]


@every_pair
@pytest.mark.parametrize("scale", [0.1, 1, 10])
def test_they_are_those_of_automatic_differentiation(plain, steep, scale):
    logits, told = random_sides(scale)
    teacher = told.log_softmax(-1)
    logits.requires_grad_()
    value = plain(maths.log_softmax(logits), teacher)
    wanted = torch.autograd.grad(value.sum(), logits)[0]
    nats, slope = steep(maths.log_softmax(logits.detach()), teacher)
    assert torch.allclose(nats, value.detach(), atol=1e-12, rtol=1e-9)
    assert torch.allclose(slope, wanted, atol=1e-12, rtol=1e-8)
    assert slope.sum(-1).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("steep", "slope"),
    [
        (slopes.forward_kl, [-0.5, 0.3, 0.2]),
        (slopes.reverse_kl, [-0.357987885467, 0.189557136518, 0.168430748949]),
        (slopes.jensen_shannon, [-0.0948721177375, 0.054720995695, 0.0401511220424]),
        (slopes.skewed_forward_kl, [-0.345616413374, 0.204469604863, 0.141146808511]),
        (slopes.skewed_reverse_kl, [-0.289399068765, 0.160783184218, 0.128615884548]),
        (slopes.total_variation, [-0.16, 0.1, 0.06]),
    ],
)
def test_they_have_their_known_values(steep, slope):
    assert steep(Q, P)[1].tolist() == exact(slope)


@every_pair
@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_they_are_finite_for_extreme_logits(plain, steep, scale):
    student, teacher = (maths.log_softmax(side) for side in random_sides(scale, torch.float32))
    nats, slope = steep(student, teacher)
    assert nats.isfinite().all()
    assert slope.isfinite().all()
    assert torch.allclose(nats, plain(student, teacher), rtol=1e-3, atol=1e-6)


@every_pair
def test_a_label_ruled_out_on_both_sides_draws_nothing(plain, steep):
    student, told = random_sides(1, torch.float32)
    student[:, 3] = told[:, 3] = float("-inf")
    nats, slope = steep(maths.log_softmax(student), maths.log_softmax(told))
    assert nats.isfinite().all()
    assert (slope[:, 3] == 0).all()
    kept = [side[:, [label for label in range(40) if label != 3]] for side in (student, told)]
    assert torch.allclose(nats, plain(*(maths.log_softmax(side) for side in kept)), atol=1e-6)


@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_cross_entropy_climbs_away_from_the_label(smoothing):
    logits, labels = random_sides(2)[0], torch.arange(50) % 39
    logits[:, -1] = -1e4
    logits.requires_grad_()
    value = maths.cross_entropy(maths.log_softmax(logits), labels, smoothing)
    nats, slope = slopes.cross_entropy(maths.log_softmax(logits.detach()), labels, smoothing)
    assert torch.allclose(nats, value.detach(), atol=1e-12)
    assert torch.allclose(slope, torch.autograd.grad(value.sum(), logits)[0], atol=1e-12)
    assert (slope[:, -1] == 0).all()


def test_draws_give_their_cross_entropy_and_its_slope():
    ids, shares = torch.tensor([[2, 0, 0]]), torch.tensor([[0.75, 0.25, 0.0]], dtype=torch.float64)
    nats, slope = slopes.soft_cross_entropy(Q.unsqueeze(0), ids, shares)
    assert nats.item() == exact(-0.75 * Q[2].item() - 0.25 * Q[0].item())
    assert slope[0].tolist() == exact([0.2 - 0.25, 0.5, 0.3 - 0.75])
