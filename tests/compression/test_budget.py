"""A budget becomes a plan that keeps to it, loses what matters least, or is refused with what is possible."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.compression.budget import choose
from stillhouse.compression.importance import score
from stillhouse.compression.prune import PrunePlan, prune
from stillhouse.errors import UsageError
from stillhouse.models.cost import parameters
from stillhouse.models.layers import blocks, feed_forward
from tests.models import kinds, nets


@pytest.mark.parametrize("share", [0.9, 0.7, 0.5])
@pytest.mark.parametrize("kind", ["bert-classifier", "distilbert", "gpt2", "llama", "qwen3", "phi3", "vit"])
def test_a_plan_keeps_to_its_budget_and_uses_it(kind, share):
    model = kinds.make(kind)
    found = score(model, "wanda", [kinds.inputs(model)])
    limit = share * parameters(model)
    smaller = prune(model, choose(model, found, limit), found)
    assert 0.6 * limit < parameters(smaller) <= limit


@pytest.mark.parametrize("kind", ["resnet-basic", "convnext"])
def test_convolutional_models_lose_a_share_of_all_channels(kind):
    model = kinds.make(kind)
    found = score(model, "magnitude")
    limit = 0.5 * parameters(model)
    assert parameters(prune(model, choose(model, found, limit, multiple=1), found)) <= limit


@pytest.mark.parametrize("net", [nets.Chain, nets.Shortcut], ids=lambda net: net.__name__)
def test_plain_networks_get_a_count_for_each_group(net):
    model = nets.make(net)
    found = score(model, "taylor", [nets.pixels()])
    limit = 0.5 * parameters(model)
    plan = choose(model, found, limit)
    assert isinstance(plan.channels, dict)
    assert 0.7 * limit < parameters(prune(model, plan, found)) <= limit


def test_a_budget_in_bytes_is_one_in_weights():
    model = kinds.make("llama")
    found = score(model)
    assert choose(model, found, 40_000, bytes_per_weight=4) == choose(model, found, 10_000)
    assert choose(model, found, 10_000, bytes_per_weight=1) == choose(model, found, 10_000)


def test_a_budget_that_fits_all_prunes_nothing():
    model = kinds.make("llama")
    assert choose(model, score(model), parameters(model)) == PrunePlan()


def test_what_nobody_reads_is_what_goes():
    model = kinds.make("llama")
    with torch.no_grad():
        for block in blocks(model):
            feed_forward(block).outward.weight[:, 16:] = 0
    given = kinds.inputs(model)
    found = score(model, "taylor", [given])
    plan = choose(model, found, 0.65 * parameters(model))
    assert plan == PrunePlan(ffn=16)
    assert torch.allclose(kinds.answer(prune(model, plan, found), given), kinds.answer(model, given), atol=1e-5)


def test_only_the_knobs_that_are_named_are_turned():
    model = kinds.make("llama")
    found = score(model, "activation", [kinds.inputs(model)])
    limit = 0.75 * parameters(model)
    assert choose(model, found, limit, over=("layers",)) == PrunePlan(layers=2)
    plan = choose(model, found, 0.8 * parameters(model), over=("ffn",))
    assert (plan.layers, plan.heads, plan.width) == (None, None, None)
    assert isinstance(plan.ffn, int)


@pytest.mark.parametrize(
    ("model", "most", "options", "told"),
    [
        (lambda: kinds.make("llama"), 100, {}, r"cannot be pruned to 100 parameters: the smallest .* has [\d,]+\."),
        (lambda: kinds.make("llama"), 9_000, {"over": ("layers",)}, r"the smallest that these knobs make has"),
        (lambda: kinds.make("convnext"), 10, {}, r"ConvNextForImageClassification cannot be pruned to 10"),
        (lambda: nets.make(nets.Chain), 10, {}, r"Chain cannot be pruned to 10 parameters"),
        (lambda: kinds.make("llama"), 9_000, {"over": ("bits",)}, r"There is no 'bits' to prune; choose among ffn"),
    ],
)
def test_what_cannot_be_is_refused(model, most, options, told):
    made: nn.Module = model()
    batches = [nets.pixels()] if isinstance(made, nets.Chain) else None
    with pytest.raises(UsageError, match=told):
        choose(made, score(made, "magnitude", batches), most, **options)
