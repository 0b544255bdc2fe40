"""A pruned model is smaller by what the plan says, keeps what matters, loads again, and heals."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from transformers import ViTConfig, ViTForImageClassification

from stillhouse.compression.importance import score
from stillhouse.compression.prune import PrunePlan, fitting_heads, kept_of, prune
from stillhouse.errors import UsageError
from stillhouse.models.channels import channels
from stillhouse.models.cost import parameters
from stillhouse.models.layers import Sizes, attention, blocks, feed_forward, sizes
from stillhouse.objectives.response import ForwardKL
from stillhouse.training.loop import Schedule
from stillhouse.training.one_call import train
from tests.models import kinds, nets
from tests.training.pupils import pupil, task

BRIEFED = ("bert-classifier", "roberta", "distilbert", "mpnet", "gpt2", "llama", "qwen2", "qwen3", "vit", "deit")
FREE = ("llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "phi3", "olmo2", "vit", "deit")
"""Kinds whose heads may leave the width unfilled."""
TIED = ("bert-classifier", "roberta", "distilbert", "mpnet", "modernbert", "gpt2", "neox")


def scored(model: nn.Module, how: str = "activation"):
    return score(model, how, [kinds.inputs(model)])


@pytest.mark.parametrize("kind", [*kinds.TRANSFORMERS, *kinds.STAGES])
def test_everything_kept_is_the_model_itself(kind):
    model = kinds.make(kind)
    given = kinds.inputs(model)
    stages = kind in kinds.STAGES
    plan = PrunePlan(layers=1.0, channels=1.0) if stages else PrunePlan(layers=1.0, width=1.0, heads=1.0, ffn=1.0)
    same = prune(model, plan, score(model, "magnitude"))
    assert torch.equal(kinds.answer(same, given), kinds.answer(model, given))
    assert same.config.to_dict() == model.config.to_dict()


@pytest.mark.parametrize("version", [1, 2])
def test_a_mobilenet_is_pruned_by_the_number_that_multiplies_its_channels(version, tmp_path):
    model = nets.mobilenet(version)
    given = {"pixel_values": nets.pixels(2, 32)}
    found = score(model, "magnitude", [given])
    same = prune(model, PrunePlan(channels=1.0), found)
    assert torch.equal(kinds.answer(same, given), kinds.answer(model, given))
    smaller = prune(model, PrunePlan(channels=0.5), found)
    assert parameters(smaller) < 0.4 * parameters(model)
    assert smaller.config.depth_multiplier == 0.25
    smaller.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    assert torch.allclose(kinds.answer(again, given), kinds.answer(smaller, given), atol=1e-5)


@pytest.mark.parametrize("version", [1, 2])
def test_channels_of_a_mobilenet_that_nobody_reads_are_the_ones_that_go(version):
    model = nets.mobilenet(version)
    given = {"pixel_values": nets.pixels(2, 32)}
    found = score(model, "magnitude", [given])
    left = channels(prune(model, PrunePlan(channels=0.5), found), given).members
    assert left.keys() == found.parts.members.keys()
    nets.deafen(model, found.parts, {group: range(count - left[group]) for group, count in found.parts.members.items()})
    smaller = prune(model, PrunePlan(channels=0.5), score(model, "wanda", [given]))
    expected = kinds.answer(model, given).detach()
    assert torch.allclose(kinds.answer(smaller, given), expected, atol=1e-4 * float(expected.abs().max()))
    assert float((expected[0] - expected[1]).abs().max()) > 1e-3


PLANS = {
    "ffn": PrunePlan(ffn=0.5),
    "layers": PrunePlan(layers=2),
    "heads": PrunePlan(heads=0.5),
    "width": PrunePlan(width=0.5),
    "all": PrunePlan(layers=2, ffn=24, heads=2, width=16),
}


@pytest.mark.parametrize(
    ("kind", "what"), [(kind, what) for kind in BRIEFED for what in PLANS if what != "heads" or kind not in TIED]
)
def test_what_is_left_can_be_saved_and_loaded_and_is_as_small_as_planned(kind, what, tmp_path):
    model = kinds.make(kind)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    given = kinds.inputs(model)
    plan = PLANS[what]
    smaller = prune(model, plan, scored(model))
    old, new = sizes(model), sizes(smaller)
    assert new.ffn == {"ffn": 32, "all": 24}.get(what, 64)
    assert new.width == (16 if plan.width else 32)
    assert new.heads == (2 if plan.heads or (plan.width and kind in TIED) else 4)
    assert (new.head_size, len(blocks(smaller))) == (old.head_size, 2 if plan.layers else 3)
    assert parameters(smaller) < parameters(model)
    smaller.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    assert torch.equal(kinds.answer(again, given), kinds.answer(smaller, given))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("kind", FREE)
def test_heads_alone_can_go_where_the_class_heeds_their_size(kind):
    model = kinds.make(kind)
    smaller = prune(model, PrunePlan(heads=2), scored(model))
    assert (sizes(smaller).heads, sizes(smaller).head_size, sizes(smaller).width) == (2, kinds.HEAD, kinds.WIDTH)
    assert type(smaller.config).from_dict(smaller.config.to_dict()).head_dim == kinds.HEAD


@pytest.mark.parametrize("kind", TIED)
def test_heads_alone_are_refused_where_their_size_follows_from_the_width(kind):
    model = kinds.make(kind)
    with pytest.raises(UsageError, match=r"computes the size of its heads as width / heads.*16 goes with 2 heads"):
        prune(model, PrunePlan(heads=2), scored(model))
    assert sizes(prune(model, PrunePlan(heads=2, width=16), scored(model))).heads == 2


def silence(layer: nn.Module, inputs: list[int]) -> None:
    """Let a layer be deaf to some of its inputs."""
    weight = layer.weight
    with torch.no_grad():
        (weight if type(layer).__name__ != "Conv1D" else weight.T)[:, inputs] = 0


@pytest.mark.parametrize("how", ["magnitude", "wanda", "taylor"])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2", "qwen3", "bert-classifier", "distilbert-masked", "vit"])
def test_units_and_heads_that_nobody_reads_are_the_ones_that_go_and_nothing_changes(kind, how):
    model = kinds.make(kind)
    free = kind in FREE
    dead_head = (1, 2)  # of kinds that share keys, one of each pair
    for block in blocks(model):
        silence(feed_forward(block).outward, list(range(1, kinds.FFN, 2)))
        for head in dead_head if free else ():
            silence(attention(block).output, list(range(head * kinds.HEAD, (head + 1) * kinds.HEAD)))
    given = kinds.inputs(model)
    plan = PrunePlan(ffn=32, heads=2 if free else None)
    smaller = prune(model, plan, score(model, how, [given]))
    assert torch.allclose(kinds.answer(smaller, given), kinds.answer(model, given), atol=2e-5)
    assert parameters(smaller) < parameters(model)


@pytest.mark.parametrize("how", ["magnitude", "activation", "taylor"])
def test_a_layer_that_adds_nothing_is_the_one_that_goes(how):
    model = kinds.make("llama")
    silence(attention(blocks(model)[1]).output, list(range(kinds.WIDTH)))
    silence(feed_forward(blocks(model)[1]).outward, list(range(kinds.FFN)))
    given = kinds.inputs(model)
    smaller = prune(model, PrunePlan(layers=2), score(model, how, [given]))
    assert torch.allclose(kinds.answer(smaller, given), kinds.answer(model, given), atol=1e-5)


def test_after_layers_went_the_rest_is_pruned_by_scores_of_its_own():
    model = kinds.make("llama")
    for block, dead in zip(blocks(model), (range(32), range(64), range(0, 64, 2)), strict=True):
        silence(feed_forward(block).outward, list(dead))
    silence(attention(blocks(model)[1]).output, list(range(kinds.WIDTH)))
    given = kinds.inputs(model)
    smaller = prune(model, PrunePlan(layers=2, ffn=32), score(model, "wanda", [given]))
    assert torch.allclose(kinds.answer(smaller, given), kinds.answer(model, given), atol=1e-5)


@pytest.mark.parametrize("kind", kinds.STAGES)
@pytest.mark.parametrize(
    "plan", [PrunePlan(layers=1), PrunePlan(channels=0.5, multiple=4), PrunePlan(layers=(1, 2, 1), channels=(4, 8, 8))]
)
def test_models_in_stages_lose_blocks_and_channels(kind, plan, tmp_path):
    model = kinds.make(kind)
    given = kinds.inputs(model)
    smaller = prune(model, plan, score(model, "activation", [given]))
    assert list(smaller.config.depths) == ([1, 1, 1] if plan.layers == 1 else [1, 2, 1] if plan.layers else [1, 3, 2])
    if plan.channels == (4, 8, 8):
        assert list(smaller.config.hidden_sizes) == [4, 8, 8]
    assert parameters(smaller) < parameters(model)
    smaller.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    assert torch.equal(kinds.answer(again, given), kinds.answer(smaller, given))


def test_the_block_of_a_stage_that_adds_least_goes():
    model = kinds.make("convnext")
    stage = model.convnext.encoder.stages[1]
    with torch.no_grad():
        stage.layers[1].layer_scale_parameter.zero_()
    given = kinds.inputs(model)
    smaller = prune(model, PrunePlan(layers=(1, 2, 2)), score(model, "activation", [given]))
    assert torch.allclose(kinds.answer(smaller, given), kinds.answer(model, given), atol=1e-6)


@pytest.mark.parametrize("net", [nets.Chain, nets.Shortcut], ids=lambda net: net.__name__)
@pytest.mark.parametrize("how", ["magnitude", "activation", "wanda", "taylor"])
def test_plain_networks_lose_channels(net, how):
    model = nets.make(net)
    found = score(model, how, [nets.pixels()])
    same = prune(model, PrunePlan(channels=1.0), found)
    half = prune(model, PrunePlan(channels=0.5, multiple=1), found)
    assert torch.equal(same(nets.pixels()), model(nets.pixels()))
    assert half(nets.pixels()).shape == (3, 5)
    assert parameters(half) < 0.6 * parameters(model)
    group = next(iter(found.parts.members))
    one = prune(model, PrunePlan(channels={group: 3}), found)
    assert one.get_submodule(group).out_channels == 3


def test_channels_of_no_use_are_the_ones_that_go():
    model = nets.make(nets.Chain)
    with torch.no_grad():
        model.second.weight[:, ::2] = 0  # what the first makes there, nobody reads
        model.hidden.weight.view(16, 12, 16)[:, 6:] = 0
    for how in ("wanda", "taylor"):
        smaller = prune(model, PrunePlan(channels={"first": 4, "second": 6}), score(model, how, [nets.pixels()]))
        assert torch.allclose(smaller(nets.pixels()), model(nets.pixels()), atol=1e-5)


def test_a_student_of_static_vectors_loses_dimensions():
    student = pupil("static").eval()
    shown = [dict(task().batch(range(8)).inputs)]
    found = score(student, "taylor", shown)
    assert dict(found.parts.members) == {"vectors": 16}
    smaller = prune(student, PrunePlan(channels=0.5), found)
    assert (smaller.vectors.embedding_dim, smaller.hidden.in_features, smaller.head.in_features) == (8, 8, 8)
    assert smaller(**shown[0]).shape == student(**shown[0]).shape


def test_a_student_that_holds_an_encoder_is_pruned_inside_by_a_loss_of_its_own():
    student = pupil("encoder").eval()
    shown = [dict(task().batch(range(8)).inputs)]
    found = score(student.encoder, "taylor", shown, lambda batch: student(**batch).logsumexp(-1).sum())
    student.encoder = prune(student.encoder, PrunePlan(ffn=0.5, layers=2), found)
    assert (sizes(student.encoder).ffn, len(blocks(student.encoder))) == (32, 2)
    assert student(**shown[0]).shape == (8, 5)


class Named(nn.Module):
    """A network whose code names the number of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Conv2d(3, 8, 1), nn.Linear(8 * 64, 5)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.out(self.first(pixels).view(-1, 8 * 64))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda: PrunePlan(ffn=0), "A plan cannot keep ffn = 0"),
        (lambda: PrunePlan(width=1.5), "A plan cannot keep width = 1.5"),
        (lambda: PrunePlan(channels=8), "A plan cannot keep 8 channels of everything: give a share"),
        (lambda: of("llama", PrunePlan(layers=4)), "4 layers cannot be kept of LlamaForCausalLM, which has 3"),
        (lambda: of("llama", PrunePlan(layers=(1, 2))), "has no stages: give layers as one count or share"),
        (
            lambda: of("llama", PrunePlan(channels=0.5)),
            "has no channels to be pruned, but layers, heads, ffn and width",
        ),
        (lambda: of("llama", PrunePlan(ffn=65)), "A student of ffn 65 cannot be cut from LlamaForCausalLM"),
        (lambda: of("dinov2", PrunePlan(ffn=24)), "configuration of Dinov2ForImageClassification cannot say ffn 24"),
        (lambda: of("convnext", PrunePlan(ffn=0.5)), "is built in stages: it has no ffn to be pruned, but layers and"),
        (lambda: of("convnext", PrunePlan(layers=(1, 4, 1))), r"Layers \[1, 4, 1\] cannot be kept .* have \[1, 3, 2\]"),
        (lambda: plain(PrunePlan(layers=1)), "Chain is a network of channels: it has no layers to be pruned"),
        (
            lambda: plain(PrunePlan(channels={"third": 2})),
            r"cannot keep 2 channels of 'third'; its groups are: first \(8\)",
        ),
        (lambda: plain(PrunePlan(channels=(2, 2))), "Chain has no stages: give channels as a share, or a count"),
    ],
)
def test_what_cannot_be_is_refused(asked, told):
    with pytest.raises(UsageError, match=told):
        asked()


def of(kind: str, plan: PrunePlan) -> nn.Module:
    model = kinds.make(kind)
    return prune(model, plan, scored(model))


def plain(plan: PrunePlan) -> nn.Module:
    model = nets.make(nets.Chain)
    return prune(model, plan, score(model, "magnitude", [nets.pixels()]))


def test_a_network_whose_code_names_its_channels_is_refused():
    torch.manual_seed(0)
    model = Named()
    with pytest.raises(UsageError, match="Named does not run with fewer channels; its code may name their number"):
        prune(model, PrunePlan(channels=4 / 8, multiple=1), score(model, "magnitude", [nets.pixels()]))


def test_scores_of_another_model_are_refused():
    model = kinds.make("llama")
    found = scored(model)
    with pytest.raises(UsageError, match=r"The scores are of another model: its .* had \d+ entries where this one has"):
        prune(prune(model, PrunePlan(ffn=32), found), PrunePlan(ffn=24), found)
    with pytest.raises(UsageError, match="The scores are of another model, of 3 layers; this one has 2"):
        prune(prune(model, PrunePlan(layers=2), found), PrunePlan(ffn=24), found)
    with pytest.raises(UsageError, match="The scores are of another model"):
        prune(
            nets.make(nets.Chain),
            PrunePlan(channels=0.5),
            score(nets.make(nets.Words), batches=[torch.ones(1, 2).long()]),
        )


def test_amounts_are_counts_or_shares():
    assert [kept_of(12, amount) for amount in (None, 5, 0.5, 0.01, 1.0)] == [12, 5, 6, 1, 12]
    assert [kept_of(64, share, 8) for share in (0.5, 0.55, 0.01, 1.0)] == [32, 32, 8, 64]
    assert [kept_of(7, share, 8) for share in (0.5, 1.0)] == [4, 7]
    assert fitting_heads(Sizes(32, 8, 2, 4, 64)) == [1, 2, 3, 4, 6, 8]
    assert fitting_heads(Sizes(32, 4, 4, 8, 64)) == [1, 2, 3, 4]


def test_a_frozen_model_gives_one_that_learns():
    model = kinds.make("llama").requires_grad_(False)
    for plan in (PrunePlan(layers=2), PrunePlan(ffn=32)):
        assert all(weight.requires_grad for weight in prune(model, plan, scored(model)).parameters())


def pictures(rows: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright bar, whose place and direction are the label."""
    random = np.random.default_rng(0)
    labels = random.integers(6, size=rows)
    made = random.integers(150, size=(rows, 8, 8, 3), dtype=np.uint8)
    for picture, label in zip(made, labels, strict=True):
        place = slice(1 + 2 * (label % 3), 3 + 2 * (label % 3))
        picture[:, place] += 70 if label < 3 else 0
        picture[:, :, place] += 70 if label >= 3 else 0
    return made, labels


def test_pruned_in_two_rounds_and_healed_by_the_whole_model_it_is_nearly_as_good():
    torch.manual_seed(0)
    sizes_of = {**kinds.IMAGE, "image_size": 8, "num_labels": 6, "initializer_range": 0.1}
    config = ViTConfig(**sizes_of, intermediate_size=kinds.FFN)
    data = pictures()
    teacher = train(ViTForImageClassification(config), data, schedule=Schedule(epochs=8, rate=10)).student
    shown = [{"pixel_values": torch.from_numpy(data[0][:32].transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)}]
    student: nn.Module = deepcopy(teacher)
    for plan in (PrunePlan(ffn=0.5, heads=3), PrunePlan(ffn=0.5, heads=2, layers=2)):
        pruned = prune(student, plan, score(student, "taylor", shown))
        healed = train(pruned, data[0], teacher=teacher, objective=ForwardKL(), schedule=Schedule(epochs=4, rate=5))
        assert healed.after["kl_to_teacher"] < 0.5 * healed.before["kl_to_teacher"]
        student = healed.student
    assert healed.after["top1_agreement"] > 0.9
    assert (sizes(student).ffn, sizes(student).heads, len(blocks(student))) == (16, 2, 2)
    assert parameters(student) < 0.5 * parameters(teacher)
