"""A smaller model inherits weights and leaves the larger one as it was; of equal size, it is the same."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.pytorch_utils import Conv1D

from stillhouse.errors import UsageError
from stillhouse.models.layers import attention, blocks, feed_forward, keep_blocks, norms, sizes
from stillhouse.students.lora import lora
from stillhouse.students.shrink import shrink
from tests.models import kinds, tiny

every_architecture = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
every_transformer = pytest.mark.parametrize("kind", kinds.TRANSFORMERS)
SMALLER = {"layers": 2, "width": 16, "heads": 2, "kv_heads": 1, "ffn": 24}
FREE = ("llama", "qwen3", "mistral", "gemma", "gemma2", "gemma3")
"""Kinds whose heads are not tied to their width."""


def smaller(kind: str) -> dict[str, int]:
    """Sizes that suit a kind."""
    if kind == "dinov2":  # its feed-forward part follows its width
        return {name: size for name, size in SMALLER.items() if name not in ("kv_heads", "ffn")}
    shared = kind in kinds.CAUSAL and kind not in ("gpt2", "neox")
    return {name: size for name, size in SMALLER.items() if shared or name != "kv_heads"}


@every_architecture
def test_all_layers_kept_answers_the_same(architecture):
    model, ids = tiny.encoder(architecture), tiny.ids(3, 10)
    assert torch.equal(tiny.states(shrink(model, tiny.BLOCKS), ids), tiny.states(model, ids))


@every_architecture
def test_a_smaller_one_runs_and_the_larger_stays(architecture):
    model, ids = tiny.encoder(architecture), tiny.ids(3, 10)
    before = tiny.states(model, ids)
    smaller = shrink(model, 2)
    assert tiny.states(smaller, ids).shape == before.shape
    assert (len(blocks(smaller)), smaller.config.num_hidden_layers) == (2, 2)
    with torch.no_grad():
        for weight in smaller.parameters():
            weight.zero_()
    assert torch.equal(tiny.states(model, ids), before)
    assert (len(blocks(model)), model.config.num_hidden_layers) == (tiny.BLOCKS, tiny.BLOCKS)


def test_shrinking_twice_is_fine():
    model, ids = tiny.encoder(), tiny.ids(2, 6)
    assert torch.equal(tiny.states(shrink(shrink(model, 2), 1), ids), tiny.states(shrink(model, 1), ids))


def test_more_layers_than_there_are_cannot_be_kept():
    with pytest.raises(UsageError, match="A student of 4 layers cannot be cut from an encoder of 3"):
        shrink(tiny.encoder(), 4)


def test_layers_can_be_named():
    model, ids = tiny.encoder(), tiny.ids(2, 6)
    assert torch.equal(tiny.states(shrink(model, (0, 2)), ids), tiny.states(shrink(model, 2), ids))
    last = shrink(model, [1, 2])
    assert torch.equal(blocks(last)[0].output.dense.weight, blocks(model)[1].output.dense.weight)
    with pytest.raises(UsageError, match="in rising order"):
        shrink(model, (2, 0))


@every_transformer
def test_full_size_is_the_identity(kind):
    model = kinds.make(kind)
    given = kinds.inputs(model)
    same = shrink(model, kinds.BLOCKS, width=kinds.WIDTH)
    assert torch.equal(kinds.answer(same, given), kinds.answer(model, given))
    assert same.config.to_dict() == model.config.to_dict()


@every_transformer
def test_a_smaller_one_has_the_sizes_asked_for_and_can_be_saved_loaded_and_taught(kind, tmp_path):
    model = kinds.make(kind)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    given = kinds.inputs(model)
    asked = smaller(kind)
    student = shrink(model, **asked)
    found = sizes(student)
    assert {name: getattr(found, name) for name in asked if name != "layers"} == {
        name: size for name, size in asked.items() if name != "layers"
    }
    assert (found.head_size, len(blocks(student))) == (kinds.HEAD, 2)
    student.save_pretrained(tmp_path)
    loaded = type(student).from_pretrained(tmp_path).eval()
    assert torch.equal(kinds.answer(loaded, given), kinds.answer(student, given))
    kinds.answer(student, given).square().mean().backward()
    assert all(weight.grad is not None for weight in blocks(student).parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen3", "phi3", "neox", "bert", "modernbert", "vit"])
def test_parts_that_do_nothing_are_the_ones_dropped_and_nothing_changes(kind):
    """Half of the channels, heads and units are silenced; what is left must answer as the whole."""
    model = kinds.make(kind)
    silence(model)
    student = shrink(model, width=16, heads=2, ffn=32)
    exact(model), exact(student)
    for norm in norms(student):  # over half as many channels, the mean square is twice as large
        if len(norm.weight) == 16:
            norm.weight.data.mul_(2**0.5)
    given = kinds.inputs(model)
    expected, got = kinds.answer(model, given), kinds.answer(student, given)
    expected = expected[..., ALIVE] if kind in kinds.ENCODERS else expected
    assert torch.allclose(got, expected, atol=1e-4)
    assert expected.std() > 0.1


def exact(model: nn.Module) -> None:
    """Take what guards norms against 0 out of the comparison."""
    for norm in norms(model):
        for name in ("eps", "variance_epsilon"):
            if hasattr(norm, name):
                setattr(norm, name, 1e-12)


ALIVE = [channel for channel in range(kinds.WIDTH) if channel % 4 in (1, 2)]
DEAD = [channel for channel in range(kinds.WIDTH) if channel not in ALIVE]


@torch.no_grad()
def silence(model: nn.Module) -> None:
    """Half of a model's channels, heads and hidden units give 0; the live channels sum to 0."""
    for norm in norms(model):
        if len(norm.weight) == kinds.WIDTH:
            norm.weight[DEAD] = 0
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            write_less(module.weight)
        if isinstance(module, nn.Conv2d):
            write_less(module.weight.movedim(0, -1))
        for name in ("cls_token", "position_embeddings"):
            if isinstance(getattr(module, name, None), nn.Parameter):
                write_less(getattr(module, name))
    for block in blocks(model):
        for layer, size in ((attention(block).output, kinds.HEAD), (feed_forward(block).outward, 1)):
            weight = layer.weight if isinstance(layer, Conv1D) else layer.weight.T  # [inputs, channels]
            write_less(weight)
            weight.unflatten(0, (-1, size))[1::2] = 0


def write_less(weight: torch.Tensor) -> None:
    """Let a weight `[..., channels]` write to live channels only, nothing in sum."""
    weight[..., DEAD] = 0
    weight[..., ALIVE] -= weight[..., ALIVE].mean(-1, keepdim=True)


@pytest.mark.parametrize("kind", FREE)
def test_silent_heads_and_units_are_dropped_by_what_they_do_as_well(kind):
    model = kinds.make(kind)
    with torch.no_grad():
        for block in blocks(model):
            attention(block).inward[2].weight.unflatten(0, (kinds.KV_HEADS, -1))[0] = 0  # values of a group
            feed_forward(block).inward[1].weight[::2] = 0
    given = kinds.inputs(model)
    student = shrink(model, heads=2, kv_heads=1, ffn=32, batches=[given])
    assert torch.allclose(kinds.answer(student, given), kinds.answer(model, given), atol=1e-4)
    group = attention(blocks(model)[0]).inward[0].weight[2 * kinds.HEAD :]
    assert torch.equal(attention(blocks(student)[0]).inward[0].weight, group)


@pytest.mark.parametrize("asked", [{"layers": [0, 2]}, {"layers": [1, 2], "width": 32, "heads": 4}], ids=str)
def test_attention_divided_by_the_number_of_its_block_is_what_it_was(asked, tmp_path):
    config = GPT2Config(**kinds.FEW, **kinds.GPT2, **kinds.ENDS, scale_attn_by_inverse_layer_idx=True)
    torch.manual_seed(0)
    model = GPT2LMHeadModel(config).eval()
    plain = deepcopy(model)
    keep_blocks(plain, tuple(asked["layers"]))  # whose blocks divide as before
    given = kinds.inputs(model)
    before = kinds.answer(model, given)
    student = shrink(model, **asked)
    assert torch.equal(kinds.answer(model, given), before)
    assert torch.allclose(kinds.answer(student, given), kinds.answer(plain, given), atol=1e-5)
    student.save_pretrained(tmp_path)
    again = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    assert torch.allclose(kinds.answer(again, given), kinds.answer(student, given), atol=1e-6)


def test_queries_stay_with_the_keys_they_share():
    model = kinds.make("llama")
    whole, half = attention(blocks(model)[0]), attention(blocks(shrink(model, heads=2))[0])
    queries, keys = whole.inward[0].weight.unflatten(0, (2, 2, -1)), whole.inward[1].weight
    assert sizes(shrink(model, heads=2)).kv_heads == 2
    assert torch.equal(half.inward[1].weight, keys)
    for group, query in zip(queries, half.inward[0].weight.unflatten(0, (2, -1)), strict=True):
        assert any(torch.equal(query, one) for one in group)


def test_what_follows_is_filled_in():
    half, eighth = sizes(shrink(kinds.make("qwen2"), width=16)), sizes(shrink(kinds.make("qwen2"), width=8))
    assert (half.heads, half.kv_heads, eighth.heads, eighth.kv_heads) == (2, 2, 1, 1)
    assert sizes(shrink(kinds.make("dinov2"), width=16)).ffn == 32
    assert sizes(shrink(kinds.make("bert"), width=16)).ffn == kinds.FFN


@pytest.mark.parametrize(
    ("kind", "asked", "told"),
    [
        ("bert", {"heads": 2}, r"ties its width to its heads of 8.*2 heads make a width of 16, not 32"),
        ("gpt2", {"width": 20}, r"Choose a width that is a multiple of 8"),
        (
            "llama",
            {"ffn": 65},
            r"A student of ffn 65 cannot be cut from LlamaForCausalLM, which has 64; choose 1 to 64",
        ),
        ("llama", {"width": 0}, r"A student of width 0 cannot be cut"),
        (
            "llama",
            {"heads": 4, "kv_heads": 1},
            r"4 heads cannot share 1 of keys and values.*at most 2 of them share one",
        ),
        ("qwen2", {"width": 24}, r"3 heads cannot share 2 of keys and values"),
        ("bert", {"width": 16, "kv_heads": 1}, r"at most 1 of them share one"),
        ("dinov2", {"ffn": 24}, r"configuration of Dinov2ForImageClassification cannot say ffn 24 \(it has 64\)"),
        ("bert", {"width": (16, 16, 16)}, r"BertModel has one width, not \[16, 16, 16\]"),
        ("convnext", {"heads": 2}, r"is built in stages: give layers .* and width"),
        ("modernbert", {"layers": (1, 2), "width": 16}, r"Keep block 0 at its place"),
    ],
)
def test_what_cannot_be_is_refused(kind, asked, told):
    with pytest.raises(UsageError, match=told):
        shrink(kinds.make(kind), **asked)


def test_a_model_with_adapters_is_not_made_narrower():
    with pytest.raises(UsageError, match=r"is built otherwise than its teacher: they do not share .*lora_A"):
        shrink(lora(kinds.make("llama")), ffn=32)


def test_number_format_ties_dropped_parts_mode_and_settings_are_the_teachers():
    model = kinds.make("gpt2").bfloat16().train()
    model.generation_config.temperature = 0.5
    student = shrink(model, width=16)
    assert {weight.dtype for weight in student.parameters()} == {torch.bfloat16}
    assert student.lm_head.weight is student.transformer.wte.weight
    assert (student.training, student.generation_config.temperature) == (True, 0.5)
    bert = kinds.make("bert")
    bert.pooler = None
    assert (shrink(bert, width=16).pooler, shrink(bert, width=16).training) == (None, False)
    bert.set_attn_implementation("eager")
    assert shrink(bert, 2, width=16).config._attn_implementation == "eager"


def test_no_random_number_is_drawn():
    model = kinds.make("bert")
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    shrink(model, 2), shrink(model, width=16)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("asked", [{"layers": 2}, {"width": 16}])
def test_a_frozen_teacher_gives_a_student_that_learns(asked):
    model = kinds.make("bert").requires_grad_(False)
    assert all(weight.requires_grad for weight in shrink(model, **asked).parameters())
    assert not any(weight.requires_grad for weight in model.parameters())
    model.embeddings.requires_grad_(True)
    assert not shrink(model, 2).encoder.layer[0].output.dense.weight.requires_grad  # what was frozen in part stays so


@pytest.fixture(scope="module")
def taught():
    """A little Llama that has learnt to count in steps, and some rows to ask it about."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{**kinds.SHARED, "initializer_range": 0.1}))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for seed in range(150):
        rows = counting(seed)
        optimizer.zero_grad()
        model(input_ids=rows, labels=rows).loss.backward()
        optimizer.step()
    return model.eval(), counting(1_000)


def counting(seed: int) -> torch.Tensor:
    """Rows `[32, 12]` that count up in steps of 1, 2 or 3 and begin anew at 40."""
    generator = torch.Generator().manual_seed(seed)
    start, step = torch.randint(0, 40, (32, 1), generator=generator), torch.randint(1, 4, (32, 1), generator=generator)
    return 4 + (start + step * torch.arange(12)) % 40


@torch.no_grad()
def loss(model: nn.Module, rows: torch.Tensor) -> float:
    return float(model(input_ids=rows, labels=rows).loss)


@pytest.mark.parametrize(
    "asked", [{"layers": 2}, {"ffn": 40}, {"heads": 2}, {"width": 24}, {"layers": 2, "width": 24, "ffn": 48}], ids=str
)
@pytest.mark.parametrize("seen", [False, True], ids=["by weight", "by activation"])
def test_an_inherited_start_is_better_than_a_random_one(taught, asked, seen):
    model, rows = taught
    batches = [{"input_ids": counting(seed)} for seed in range(2_000, 2_002)] if seen else None
    student = shrink(model, **asked, batches=batches)
    torch.manual_seed(1)
    assert loss(student, rows) < loss(type(student)(student.config).eval(), rows)


def test_what_matters_by_activation_is_better_kept_than_what_does_not(taught):
    model, rows = taught
    student = shrink(model, ffn=32, batches=[{"input_ids": counting(2_000)}])
    unlike = shrink(model, ffn=32)
    with torch.no_grad():
        for mine, theirs, whole in zip(blocks(unlike), blocks(student), blocks(model), strict=True):
            kept = {tuple(row.tolist()) for row in theirs.mlp.up_proj.weight}
            rest = [unit for unit, row in enumerate(whole.mlp.up_proj.weight) if tuple(row.tolist()) not in kept]
            mine.mlp.up_proj.weight.copy_(whole.mlp.up_proj.weight[rest])
            mine.mlp.gate_proj.weight.copy_(whole.mlp.gate_proj.weight[rest])
            mine.mlp.down_proj.weight.copy_(whole.mlp.down_proj.weight[:, rest])
    assert loss(student, rows) < loss(unlike, rows)
