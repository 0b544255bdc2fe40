"""Rounding to a grid: what comes out, which slopes go back, and where steps and ranges come from."""

from __future__ import annotations

import pytest
import torch

from stillhouse.compression.fake_quantize import Cut, InputRange, WeightGrid, closest_step, on_grid, widest_step


def ends(bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(-(2.0 ** (bits - 1))), torch.tensor(2.0 ** (bits - 1) - 1)


def test_values_become_steps_times_integers_within_the_grid():
    values = torch.tensor([-9.0, -1.1, -0.25, 0.24, 0.26, 0.75, 9.0])
    rounded = on_grid(values, torch.tensor(0.5), *ends(3))
    assert rounded.tolist() == [-2.0, -1.0, 0.0, 0.0, 0.5, 1.0, 1.5], "halves go to the even integer"


def test_gradients_pass_within_the_grid_and_end_outside():
    values = torch.tensor([-9.0, -1.1, 0.3, 9.0], requires_grad=True)
    (slope,) = torch.autograd.grad(on_grid(values, torch.tensor(0.5), *ends(3)).sum(), values)
    assert slope.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_the_slope_of_a_step_is_that_of_learnt_step_size_quantisation():
    values, step = torch.tensor([-9.0, -1.1, 0.3, 9.0]), torch.tensor(0.5, requires_grad=True)
    (slope,) = torch.autograd.grad(on_grid(values, step, *ends(3)).sum(), step)
    by_hand = -4 + (-2 - -2.2) + (1 - 0.6) + 3  # outside the integer, inside the integer less the place
    assert float(slope) == pytest.approx(by_hand / (4 * 3) ** 0.5, rel=1e-5)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_learnt_step_falls_where_that_loses_less(bits):
    values = torch.randn(1, 1, 512, generator=torch.Generator().manual_seed(0))
    step = (2 * widest_step(values, bits)).requires_grad_()
    lost = (on_grid(values, step, *ends(bits)) - values).square().sum()
    (slope,) = torch.autograd.grad(lost, step)
    assert float(slope) > 0


@pytest.mark.parametrize("shape", [(6, 40), (6, 3, 5, 5)])
@pytest.mark.parametrize("cut", [Cut(), Cut(16), Cut(16, transposed=True)], ids=str)
def test_cutting_and_joining_gives_the_weight_back(shape, cut):
    if cut.transposed and len(shape) > 2:
        shape = (40, 6)
    weight = torch.randn(shape)
    blocks = cut.blocks(weight)
    assert blocks.shape[0] == (shape[1] if cut.transposed else shape[0])
    assert blocks.shape[2] == (cut.group or weight[0].numel())
    assert torch.equal(cut.whole(blocks, weight.shape), weight)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_closest_step_loses_no_more_than_the_widest(bits):
    blocks = torch.randn(8, 3, 32, generator=torch.Generator().manual_seed(1))
    lost = [
        (on_grid(blocks, step, *ends(bits)) - blocks).square().sum(-1)
        for step in (closest_step(blocks, bits), widest_step(blocks, bits))
    ]
    assert (lost[0] <= lost[1] * 1.001).all()
    assert bits > 4 or lost[0].sum() < 0.9 * lost[1].sum()


@pytest.mark.parametrize("steps", ["widest", "learnt"])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_integers_times_steps_are_the_rounded_weight_to_the_bit(bits, steps):
    weight = torch.randn(12, 50, generator=torch.Generator().manual_seed(2))
    weight[3] = 0  # a row of zeros, as padding has
    grid = WeightGrid(weight, bits, Cut(16), steps)
    integers, each = grid.integers(weight)
    assert integers.dtype is torch.int8
    assert -(2 ** (bits - 1)) <= int(integers.min()) < int(integers.max()) < 2 ** (bits - 1)
    again = (integers.float() * each.unsqueeze(-1)).flatten(1)[:, :50]
    assert torch.equal(again, grid(weight))


def test_weights_and_learnt_steps_both_hear_of_the_loss():
    weight = torch.nn.Parameter(torch.randn(4, 8))
    grid = WeightGrid(weight, 3, Cut(), "learnt")
    slopes = torch.autograd.grad((grid(weight) ** 2).sum(), [weight, *grid.parameters()])
    assert all(slope.abs().sum() > 0 for slope in slopes)
    assert [parameter.dim() for parameter in grid.parameters()] == [1], "so that steps do not decay"


def test_a_range_is_the_mean_of_what_was_seen_and_holds_zero():
    seen = InputRange().train()
    for low, high in ((-1.0, 3.0), (-3.0, 5.0), (1.0, 7.0)):
        seen(torch.tensor([low, high]))
    assert (float(seen.low), float(seen.high)) == pytest.approx((-4 / 3, 5.0))
    step, zero = seen.grid()
    assert float(step) == pytest.approx((5 + 4 / 3) / 255)
    assert float(zero) == round((4 / 3) / float(step))


def test_a_range_that_has_seen_nothing_lets_everything_pass():
    values = torch.randn(5)
    assert torch.equal(InputRange().eval()(values), values)


def test_a_range_follows_training_alone_until_it_is_frozen():
    seen = InputRange().train()
    seen(torch.tensor([0.0, 1.0]))
    seen.eval()(torch.tensor([0.0, 100.0]))
    assert float(seen.high) == 1.0
    seen.train().frozen.fill_(True)
    assert float(seen(torch.tensor([100.0]))) == 1.0, "what lies outside is cut off"
    assert float(seen.high) == 1.0


def test_a_late_batch_moves_a_range_little():
    seen = InputRange().train()
    for _ in range(300):
        seen(torch.tensor([0.0, 1.0]))
    seen(torch.tensor([0.0, 11.0]))
    assert float(seen.high) == pytest.approx(1.1, rel=1e-3)


def test_low_precision_comes_and_goes():
    seen = InputRange().train()
    values = torch.tensor([0.0, 1.0, 2.0], dtype=torch.bfloat16)
    assert seen(values).dtype is torch.bfloat16
    assert WeightGrid(torch.randn(2, 4), 4, Cut())(torch.randn(2, 4, dtype=torch.bfloat16)).dtype is torch.bfloat16
