"""Scores say what their formulas say, and looking at a model leaves it as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.compression.importance import block_influence, by_wanda, parts_of, score
from stillhouse.errors import UsageError
from stillhouse.models.layers import attention, blocks, feed_forward
from tests.models import kinds, nets

every_way = pytest.mark.parametrize("how", ["magnitude", "activation", "wanda", "taylor"])


@every_way
@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen3", "bert-classifier", "vit", "resnet-basic", "convnext"])
def test_every_member_and_layer_has_a_score(kind, how):
    model = kinds.make(kind)
    found = score(model, how, [kinds.inputs(model)])
    assert {group: len(values) for group, values in found.scores.items()} == dict(found.parts.members)
    assert all(torch.isfinite(values).all() for values in found.scores.values())
    assert found.layers is not None
    assert len(found.layers) == (6 if kind in kinds.STAGES else kinds.BLOCKS)
    told = [group for group in found.scores if group.startswith(("units", "heads.", "stage", "stem"))]
    if kind not in kinds.STAGES or how != "magnitude":  # the gains of norms are 1 before training
        assert all(found.scores[group].unique().numel() > 1 for group in told)


@every_way
@pytest.mark.parametrize("net", [nets.Chain, nets.Shortcut], ids=lambda net: net.__name__)
def test_plain_networks_are_scored_by_the_channels_found_in_them(net, how):
    model = nets.make(net)
    found = score(model, how, [nets.pixels()])
    assert {group: len(values) for group, values in found.scores.items()} == dict(found.parts.members)
    assert found.layers is None
    assert found.example is not None


@every_way
def test_looking_leaves_a_model_as_it_was(how):
    model = kinds.make("llama").train()
    model.model.layers[0].requires_grad_(False)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    first, again = (score(model, how, [kinds.inputs(model)]) for _ in range(2))
    assert all(torch.equal(first.scores[group], again.scores[group]) for group in first.scores)
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def likelihood(model: nn.Module, given) -> torch.Tensor:
    """How likely a model finds each token after the one before, summed."""
    scores = kinds.answer(model, given)[:, :-1].log_softmax(-1)
    return scores.gather(-1, given["input_ids"][:, 1:, None]).sum()


def test_taylor_is_how_fast_the_loss_changes_as_a_member_is_shut_off():
    model = kinds.make("llama")
    given = kinds.inputs(model, rows=1)
    found = score(model, "taylor", [given], lambda batch: likelihood(model, batch))
    output, down = attention(blocks(model)[1]).output.weight, feed_forward(blocks(model)[1]).outward.weight
    for group, weight, member, size in (("heads.1", output, 2, kinds.HEAD), ("units.1", down, 5, 1)):
        inputs = slice(member * size, (member + 1) * size)
        ends = []
        for factor in (1.01, 0.99 / 1.01):  # a little more, then a little less
            with torch.no_grad():
                weight[:, inputs] *= factor
                ends.append(float(likelihood(model, given)))
        with torch.no_grad():
            weight[:, inputs] /= 0.99
        assert float(found.scores[group][member]) == pytest.approx(abs(ends[0] - ends[1]) / 0.02, rel=1e-2)


def test_taylor_adds_rows_up_without_letting_them_cancel():
    model = kinds.make("llama")
    rows = [{name: value[row : row + 1] for name, value in kinds.inputs(model, 3).items()} for row in range(3)]
    together = score(model, "taylor", [kinds.inputs(model, 3)])
    apart = score(model, "taylor", rows)
    for group in ("units.0", "heads.2"):
        assert torch.allclose(together.scores[group], apart.scores[group], rtol=1e-3)


def test_taylor_takes_a_loss_of_ones_own():
    model = kinds.make("bert")
    given = kinds.inputs(model)
    with pytest.raises(UsageError, match=r"BertModel gives no logits\. Give `ask`"):
        score(model, "taylor", [given])
    pull = torch.randn(32, generator=torch.Generator().manual_seed(0))
    found, once = (
        score(model, "taylor", [factor], lambda batch: batch * (kinds.answer(model, given) @ pull).sum())
        for factor in (3.0, 1.0)
    )
    assert torch.allclose(found.scores["units.1"], 3 * once.scores["units.1"], rtol=1e-3)


def test_padding_counts_for_nothing():
    model = kinds.make("bert-classifier")
    short = {name: value[:, :8] for name, value in kinds.inputs(model).items()}
    padded = {name: torch.cat([value, torch.zeros_like(value[:, :4])], 1) for name, value in short.items()}
    for how in ("activation", "wanda", "taylor"):
        one, other = score(model, how, [short]), score(model, how, [padded])
        assert torch.allclose(one.scores["units.0"], other.scores["units.0"], rtol=1e-3, atol=1e-5), how
        assert torch.allclose(one.layers, other.layers, rtol=1e-3, atol=1e-5), how


def test_wanda_weighs_what_is_given_by_what_reads_it():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    given = torch.randn(10, 4)
    parts, _ = parts_of(model, [given])
    norms = torch.relu(model[0](given)).square().sum(0).sqrt()
    expected = (model[2].weight.abs() * norms).sum(0)
    assert torch.allclose(by_wanda(model, parts, [given])["0"], expected, rtol=1e-4)


def test_a_block_that_adds_nothing_has_no_influence():
    model = kinds.make("llama")
    with torch.no_grad():
        attention(blocks(model)[1]).output.weight.zero_()
        feed_forward(blocks(model)[1]).outward.weight.zero_()
    given = kinds.inputs(model)
    for how in ("activation", "taylor"):
        found = score(model, how, [given]).layers
        assert float(found[1]) == pytest.approx(0, abs=1e-5)
        assert min(float(found[0]), float(found[2])) > 1e-3


def test_a_block_that_changes_the_shape_cannot_be_left_out():
    model = kinds.make("resnet-basic")
    stack = [layer for stage in model.resnet.encoder.stages for layer in stage.layers]
    found = block_influence(model, stack, [kinds.inputs(model)])
    assert found.isinf().tolist() == [False, True, False, False, True, False]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda: score(kinds.make("bert"), "luck"), "no importance by 'luck'; choose magnitude, activation, wanda"),
        (lambda: score(kinds.make("bert"), "taylor"), "Importance by taylor is seen on data, and there is no batch"),
        (lambda: score(nets.make(nets.Chain)), "is seen by following one batch through it. Give one"),
    ],
)
def test_what_cannot_be_scored_is_refused(asked, told):
    with pytest.raises(UsageError, match=told):
        asked()
