"""Hooks catch what is asked for, in every kind of model, and leave nothing behind."""

from __future__ import annotations

import gc
from itertools import pairwise

import pytest
import torch
from torch import nn
from transformers import (
    ConvNextConfig,
    ConvNextModel,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from stillhouse.errors import UsageError
from stillhouse.models.forward import capture
from stillhouse.models.layers import attention, blocks
from stillhouse.models.outputs import Layers
from stillhouse.students.encoder import EncoderStudent
from stillhouse.students.words import WordsStudent
from tests.models import tiny

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
TEXT = SIZES | SPECIAL | {"vocab_size": tiny.TOKENS, "max_position_embeddings": 40}
GROUPED = TEXT | {"num_key_value_heads": 2}
MAKERS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**GROUPED)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**GROUPED)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**GROUPED, head_dim=8)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**GROUPED, head_dim=8)),
    "phi3": lambda: Phi3ForCausalLM(Phi3Config(**GROUPED)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=tiny.TOKENS, n_embd=32, n_layer=3, n_head=4, n_positions=40, **SPECIAL)
    ),
    "gpt-neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**TEXT)),
    "vit": lambda: ViTForImageClassification(ViTConfig(**SIZES, image_size=16, patch_size=4)),
} | {name: lambda name=name: tiny.encoder(name) for name in tiny.ARCHITECTURES}
KEYS = {name: 2 if name in ("llama", "qwen2", "qwen3", "gemma3", "phi3") else 4 for name in MAKERS}
every_model = pytest.mark.parametrize("name", MAKERS)
ROWS, TOKENS = 2, 7


def model(name: str) -> nn.Module:
    torch.manual_seed(0)
    return MAKERS[name]().eval()


def inputs(name: str) -> dict[str, torch.Tensor]:
    if name == "vit":
        return {"pixel_values": torch.randn(ROWS, 3, 16, 16, generator=torch.Generator().manual_seed(0))}
    ids = tiny.ids(ROWS, TOKENS)
    return {"input_ids": ids, "attention_mask": (torch.arange(TOKENS) < torch.tensor([[TOKENS], [5]])).long()}


def hooks(module: nn.Module) -> int:
    """How many hooks are in a model."""
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


@every_model
def test_hidden_states_are_those_that_the_model_itself_reports(name):
    whole, given = model(name), inputs(name)
    layers = Layers(frozenset({-1, 0, 1}))
    with torch.no_grad(), capture(whole, layers) as caught:
        reported = whole(**given, output_hidden_states=True).hidden_states
    found = caught.features().hidden
    assert found.keys() == {-1, 0, 1}
    for layer, states in found.items():
        assert torch.allclose(states, reported[layer + 1], atol=1e-6)


@every_model
@pytest.mark.parametrize("training", [False, True], ids=["evaluating", "training"])
def test_attention_weights_add_up_to_one_even_while_dropout_drops_some(name, training):
    whole = model(name).train(training)
    with capture(whole, Layers(attention=frozenset({1}))) as caught:
        whole(**inputs(name))
    (weights,) = caught.features().attention.values()
    tokens = weights.shape[-1]
    assert weights.shape == (ROWS, 4, tokens, tokens)
    assert torch.allclose(weights.sum(-1), torch.ones(ROWS, 4, tokens), atol=1e-5)
    if name != "vit":
        assert (weights[1, :, :5, 5:] == 0).all()


@every_model
def test_heads_give_back_the_models_own_attention(name):
    """Where nothing turns or shifts queries and keys, softmax(Q K^T / sqrt(d)) is what was caught as attention."""
    whole, layers = model(name), Layers(attention=frozenset({1}), heads=frozenset({1}))
    with torch.no_grad(), capture(whole, layers) as caught:
        whole(**inputs(name))
    features = caught.features()
    heads, weights = features.heads[1], features.attention[1]
    tokens = weights.shape[-1]
    assert heads.queries.shape == (ROWS, 4, tokens, 8)
    assert heads.keys.shape == heads.values.shape == (ROWS, KEYS[name], tokens, 8)
    if name not in ("bert", "roberta", "distilbert", "gpt2", "vit"):
        return
    scores = heads.queries @ heads.keys.transpose(-1, -2) / 8**0.5
    there = weights > 0
    assert torch.allclose(scores.masked_fill(~there, -torch.inf).softmax(-1), weights, atol=1e-5)


@pytest.mark.parametrize("name", ["modernbert", "gpt-neox", "phi3"])
def test_a_fused_projection_is_cut_where_the_model_cuts_it(name):
    """Values, averaged by attention and projected out, are what the attention gives."""
    whole, layers = model(name), Layers(attention=frozenset({0}), heads=frozenset({0}))
    output = attention(blocks(whole)[0]).output
    with torch.no_grad(), capture(whole, layers) as caught:
        seen = []
        handle = output.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        whole(**inputs(name))
        handle.remove()
    features = caught.features()
    values = features.heads[0].values.repeat_interleave(4 // KEYS[name], dim=1)
    wanted = (features.attention[0] @ values).transpose(1, 2).flatten(2)
    assert torch.allclose(seen[0].view_as(wanted), wanted, atol=1e-5)


@every_model
def test_catching_changes_no_answer_and_leaves_nothing_behind(name):
    whole, given = model(name), inputs(name)
    before, how, answer = hooks(whole), whole.config._attn_implementation, whole(**given)[0]
    everything = Layers(frozenset({-1, 0, 2}), frozenset({0, 2}), frozenset({1}))
    with capture(whole, everything):
        assert hooks(whole) > before
        assert torch.allclose(whole(**given)[0], answer, atol=1e-4)
    assert hooks(whole) == before
    assert whole.config._attn_implementation == how
    assert torch.equal(whole(**given)[0], answer)


def test_only_what_is_asked_for_is_kept():
    """Of all tensors of a batch, those of the mapped blocks are alive after the pass, and no others."""
    whole, ids = tiny.encoder(), tiny.ids(13, 11)
    gc.collect()
    with torch.no_grad(), capture(whole, Layers(frozenset({0, 2}), frozenset({1}))) as caught:
        whole(ids)
        alive = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor and thing.shape[:1] == (13,)]
        inside = [tensor for tensor in alive if tensor is not ids]
    assert {id(tensor) for tensor in inside} == {
        id(one) for one in (*caught.hidden.values(), *caught.attention.values())
    }
    assert len(inside) == 3


def test_only_mapped_blocks_are_hooked():
    whole = tiny.encoder()
    with capture(whole, Layers(frozenset({1}))):
        assert hooks(whole) == 1
    with capture(whole, Layers(embedding=True)):
        assert hooks(whole) == 0


def test_gradients_flow_through_what_was_caught():
    whole = tiny.encoder().train()
    with capture(whole, Layers(frozenset({0}), frozenset({0}), frozenset({0}))) as caught:
        whole(tiny.ids(2, 5))
    features = caught.features()
    for found in (features.hidden[0], features.attention[0], features.heads[0].keys):
        whole.zero_grad()
        found.square().sum().backward(retain_graph=True)
        assert blocks(whole)[0].attention.self.key.weight.grad.abs().max() > 0
        assert all(weight.grad is None for weight in blocks(whole)[1].parameters())


def test_gradients_are_the_same_when_blocks_run_again_for_them():
    slopes = []
    for again in (False, True):
        whole = model("llama").train()
        if again:
            whole.activation_checkpointing_enable()
        with capture(whole, Layers(frozenset({2}), frozenset({1}), frozenset({0}))) as caught:
            whole(input_ids=tiny.ids(2, 7), use_cache=False)
        found = caught.features()
        costs = (found.hidden[2], found.attention[1], found.heads[0].queries)
        sum(cost.square().sum() for cost in costs).backward()
        slopes.append(torch.cat([weight.grad.flatten() for weight in whole.parameters() if weight.grad is not None]))
    assert torch.allclose(slopes[0], slopes[1], atol=1e-6)


def test_a_model_inside_a_student_is_found():
    student = EncoderStudent(tiny.encoder(), 3).eval()
    ids = tiny.ids(2, 5)
    with capture(student, Layers(frozenset({2}), frozenset({0}), frozenset({1}))) as caught:
        student(ids, torch.ones_like(ids))
    features = caught.features()
    assert torch.allclose(features.hidden[2], tiny.states(student.encoder, ids), atol=1e-6)
    assert features.attention.keys() == {0}
    assert features.heads.keys() == {1}


def test_an_error_on_the_way_leaves_nothing_behind():
    whole = tiny.encoder()
    with pytest.raises(IndexError), capture(whole, Layers(frozenset({0}), frozenset({0, 1}), frozenset({0}))):
        whole(torch.full((1, 3), tiny.TOKENS))
    failing = blocks(whole)[1].register_forward_pre_hook(lambda module, given: 1 / 0)
    with pytest.raises(ZeroDivisionError), capture(whole, Layers(attention=frozenset({0, 1}))):
        whole(tiny.ids(1, 3))
    failing.remove()
    assert hooks(whole) == 0
    assert torch.overrides._get_current_function_mode_stack() == []


@pytest.mark.parametrize("size", [(8, 4, 2), (4, 4, 4)], ids=str)
def test_the_stages_of_a_plain_convolutional_model_are_its_blocks(size):
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            strides = [1, *(before // after for before, after in pairwise(size))]
            self.stages = nn.Sequential(*(nn.Conv2d(3, 3, 3, stride, 1) for stride in strides))

        def forward(self, pixels):
            return self.stages(pixels)

    plain = Plain()
    pixels = torch.randn(2, 3, size[0], size[0])
    with capture(plain, Layers(frozenset({-1, 0, 2}))) as caught:
        answer = plain(pixels)
    assert torch.equal(caught.hidden[-1], pixels)
    assert torch.equal(caught.hidden[2], answer)
    assert caught.hidden[0].shape == (2, 3, size[0], size[0])


def test_so_are_those_of_resnet_and_convnext():
    sizes = {"hidden_sizes": [8, 16, 24], "depths": [1, 2, 1]}
    resnet = ResNetForImageClassification(ResNetConfig(embedding_size=8, layer_type="basic", **sizes)).eval()
    with torch.no_grad(), capture(resnet, Layers(frozenset({-1, 0, 2}))) as caught:
        reported = resnet(torch.randn(2, 3, 32, 32), output_hidden_states=True).hidden_states
    assert all(torch.equal(states, reported[stage + 1]) for stage, states in caught.hidden.items())
    convnext = ConvNextModel(ConvNextConfig(num_stages=3, **sizes)).eval()
    with capture(convnext, Layers(frozenset({1}))) as caught:
        convnext(torch.randn(2, 3, 32, 32))
    assert caught.hidden[1].shape == (2, 16, 4, 4)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (Layers(frozenset({3})), "no block 3: this model has blocks 0 to 2"),
        (Layers(frozenset({-2})), "no block -2"),
        (Layers(attention=frozenset({-1})), "no attention in a block -1"),
        (Layers(heads=frozenset({7})), "no attention in a block 7"),
    ],
    ids=str,
)
def test_blocks_that_are_not_there_are_refused(layers, said):
    with pytest.raises(UsageError, match=said), capture(tiny.encoder(), layers):
        pass


def test_models_without_blocks_or_attention_are_refused():
    with pytest.raises(UsageError, match="no blocks to catch features from"):
        capture(WordsStudent(tiny.TOKENS, 2), Layers(frozenset({0}))).__enter__()

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(3, 3)])

        def forward(self, states):
            return self.layers[0](states)

    plain = Plain()
    with (
        pytest.raises(UsageError, match="Linear shows no attention weights"),
        capture(plain, Layers(attention=frozenset({0}))),
    ):
        plain(torch.randn(2, 3))
    with pytest.raises(UsageError, match="attentions where one was looked for"):
        capture(plain, Layers(heads=frozenset({0}))).__enter__()
