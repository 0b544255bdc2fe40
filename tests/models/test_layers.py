"""The parts of a model are found in every architecture, and cutting them changes nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import AlbertConfig, AlbertModel, FalconConfig, FalconForCausalLM, MixtralConfig, MixtralForCausalLM

from stillhouse.errors import UsageError
from stillhouse.models.layers import (
    Sizes,
    attention,
    blocks,
    feed_forward,
    final_norm,
    keep_blocks,
    keep_positions,
    norms,
    output_head,
    sizes,
    token_embedding,
)
from tests.models import kinds, tiny

every_architecture = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)


def without(model, dropped: set[int]) -> None:
    """Let the dropped blocks hand on what they were given."""
    for index in dropped:
        blocks(model)[index].register_forward_hook(
            lambda module, given, answer: (given[0], *answer[1:]) if isinstance(answer, tuple) else given[0]
        )


@every_architecture
def test_the_blocks_and_the_token_table_are_found(architecture):
    model = tiny.encoder(architecture)
    assert len(blocks(model)) == tiny.BLOCKS
    assert token_embedding(model).weight.shape == (tiny.TOKENS, 32)


@every_architecture
@pytest.mark.parametrize("kept", [(0, 1, 2), (0, 2), (0,)])
def test_a_cut_encoder_answers_as_the_whole_one_with_the_other_blocks_passed_over(architecture, kept):
    whole, cut, ids = tiny.encoder(architecture), tiny.encoder(architecture), tiny.ids(2, 12)
    keep_blocks(cut, kept)
    without(whole, set(range(tiny.BLOCKS)) - set(kept))
    assert torch.equal(tiny.states(cut, ids), tiny.states(whole, ids))
    assert len(blocks(cut)) == cut.config.num_hidden_layers == len(kept)


def test_a_cut_encoder_can_be_saved_and_loaded(tmp_path):
    model, ids = tiny.encoder("modernbert"), tiny.ids(2, 12)
    keep_blocks(model, (0, 2))
    model.save_pretrained(tmp_path)
    assert torch.equal(tiny.states(type(model).from_pretrained(tmp_path).eval(), ids), tiny.states(model, ids))


def test_an_encoder_whose_layers_share_a_block_is_refused():
    shared = AlbertModel(AlbertConfig(**tiny.SIZES, embedding_size=16))
    with pytest.raises(UsageError, match="AlbertModel has no stack with a block for each of its 3 layers"):
        blocks(shared)


@every_architecture
def test_cut_positions_still_serve_texts_that_fit(architecture):
    whole, cut = tiny.encoder(architecture), tiny.encoder(architecture)
    keep_positions(cut, 16)
    ids, mask = tiny.ids(2, 16), torch.ones(2, 16, dtype=torch.long)
    mask[1, 9:] = 0
    ids[1, 9:] = 0
    assert torch.equal(tiny.states(cut, ids, mask), tiny.states(whole, ids, mask))


@pytest.mark.parametrize(
    ("architecture", "left"), [("bert", 16), ("distilbert", 16), ("deberta", 16), ("roberta", 18), ("mpnet", 18)]
)
def test_learnt_positions_become_few(architecture, left):
    model = tiny.encoder(architecture)
    keep_positions(model, 16)
    assert model.config.max_position_embeddings == left
    assert model.embeddings.position_embeddings.num_embeddings == left


def test_rotary_positions_are_left_alone():
    model = tiny.encoder("modernbert")
    keep_positions(model, 16)
    assert model.config.max_position_embeddings == tiny.POSITIONS


def test_positions_are_never_added():
    model = tiny.encoder()
    keep_positions(model, 1_000)
    assert model.config.max_position_embeddings == tiny.POSITIONS


def test_positions_that_do_not_learn_stay_so():
    model = tiny.encoder("distilbert")
    model.embeddings.position_embeddings.weight.requires_grad_(False)  # as sinusoidal ones are
    keep_positions(model, 16)
    assert not model.embeddings.position_embeddings.weight.requires_grad


@pytest.mark.parametrize("kind", kinds.TRANSFORMERS)
def test_the_sizes_of_a_transformer_are_read_off_its_layers(kind):
    model = kinds.make(kind)
    shared = "num_key_value_heads" in model.config.to_dict()
    kv_heads = kinds.KV_HEADS if shared else kinds.HEADS
    assert sizes(model) == Sizes(kinds.WIDTH, kinds.HEADS, kv_heads, kinds.HEAD, kinds.FFN)
    assert len(blocks(model)) == kinds.BLOCKS


@pytest.mark.parametrize(
    ("kind", "inward", "output"),
    [
        ("bert", ["query", "key", "value"], "attention.output.dense"),
        ("distilbert", ["q_lin", "k_lin", "v_lin"], "attention.out_lin"),
        ("mpnet", ["q", "k", "v"], "attention.attn.o"),
        ("modernbert", ["Wqkv"], "attn.Wo"),
        ("gpt2", ["c_attn"], "attn.c_proj"),
        ("llama", ["q_proj", "k_proj", "v_proj"], "self_attn.o_proj"),
        ("phi3", ["qkv_proj"], "self_attn.o_proj"),
        ("neox", ["query_key_value"], "attention.dense"),
        ("vit", ["q_proj", "k_proj", "v_proj"], "attention.o_proj"),
    ],
)
def test_projections_of_attention_are_found(kind, inward, output):
    block = blocks(kinds.make(kind))[1]
    names = {module: name for name, module in block.named_modules()}
    found = attention(block)
    assert [names[layer].split(".")[-1] for layer in found.inward] == inward
    assert names[found.output] == output
    assert found.by_head == (kind == "neox")


def test_norms_of_queries_and_keys_and_projections_of_positions_are_found():
    qwen, deberta = attention(blocks(kinds.make("qwen3"))[0]), attention(blocks(kinds.make("deberta"))[0])
    assert qwen.query_norm.weight.shape == qwen.key_norm.weight.shape == (kinds.HEAD,)
    assert (deberta.query_norm, len(deberta.positions)) == (None, 2)


@pytest.mark.parametrize(
    ("kind", "inward", "outward"),
    [
        ("bert", ["intermediate.dense"], "output.dense"),
        ("gpt2", ["mlp.c_fc"], "mlp.c_proj"),
        ("llama", ["mlp.gate_proj", "mlp.up_proj"], "mlp.down_proj"),
        ("modernbert", ["mlp.Wi"], "mlp.Wo"),
        ("vit", ["mlp.fc1"], "mlp.fc2"),
    ],
)
def test_the_feed_forward_part_is_found(kind, inward, outward):
    block = blocks(kinds.make(kind))[1]
    names = {module: name for name, module in block.named_modules()}
    found = feed_forward(block)
    assert ([names[layer] for layer in found.inward], names[found.outward]) == (inward, outward)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("gpt2", "transformer.ln_f"),
        ("llama", "model.norm"),
        ("gemma3", "model.norm"),
        ("neox", "gpt_neox.final_layer_norm"),
        ("modernbert", "final_norm"),
        ("vit", "vit.layernorm"),
        ("bert", None),
        ("deberta", None),
        ("bert-masked", None),
    ],
)
def test_the_last_norm_is_found_where_there_is_one(kind, name):
    model = kinds.make(kind)
    assert final_norm(model) is (None if name is None else model.get_submodule(name))


@pytest.mark.parametrize(("kind", "count"), [("bert", 2), ("llama", 2), ("gemma2", 4), ("qwen3", 4)])
def test_the_norms_of_a_block_are_found(kind, count):
    assert len(norms(blocks(kinds.make(kind))[0])) == count


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("gpt2", "lm_head"),
        ("llama", "lm_head"),
        ("bert-classifier", "classifier"),
        ("bert-masked", "cls.predictions.decoder"),
        ("vit", "classifier"),
        ("resnet-basic", "classifier.1"),
    ],
)
def test_the_head_is_found(kind, name):
    model = kinds.make(kind)
    assert output_head(model) is model.get_submodule(name)


def test_a_model_without_a_head_is_refused():
    with pytest.raises(UsageError, match="BertModel has no head that gives logits"):
        output_head(kinds.make("bert"))


def test_what_is_not_known_is_refused_saying_what_was_looked_for():
    experts = MixtralForCausalLM(MixtralConfig(**kinds.SHARED, num_local_experts=2))
    with pytest.raises(UsageError, match="has no feed-forward part: linear layers into hidden units and one back out"):
        sizes(experts)
    with pytest.raises(UsageError, match="0 attentions where one was looked for: a module with layers query, key and"):
        attention(nn.Linear(4, 4))
    with pytest.raises(UsageError, match=r"4 heads of 8 and 4 key and value heads.*its projections have 48 outputs"):
        sizes(
            FalconForCausalLM(FalconConfig(vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=4))
        )


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma3"])
def test_a_cut_writer_writes_with_its_cache_as_without(kind):
    model = kinds.make(kind)
    keep_blocks(model, (0, 2))
    ids = tiny.ids(1, 5)
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    with_cache, without_cache = (model.generate(ids, use_cache=use, **options) for use in (True, False))
    assert torch.equal(with_cache, without_cache)
    assert [block.get_submodule(name).layer_idx for block in blocks(model) for name in attention_of(block)] == [0, 1]


def attention_of(block) -> list[str]:
    return [name for name, part in block.named_modules() if hasattr(part, "layer_idx") and "attn" in name]


def test_what_a_configuration_says_of_each_layer_is_cut_with_them():
    model = kinds.make("gemma3")
    model.config.layer_types = ["sliding_attention", "full_attention", "sliding_attention"]
    keep_blocks(model, (1, 2))
    assert model.config.layer_types == ["full_attention", "sliding_attention"]
    shown = kinds.make("dinov2")
    keep_blocks(shown, (0, 2))
    assert (shown.config.stage_names, shown.config.out_features) == (["stem", "stage1", "stage2"], ["stage2"])


def test_a_block_of_another_kind_cannot_take_a_place():
    model = kinds.make("modernbert")  # whose first block has one norm fewer
    with pytest.raises(UsageError, match=r"another kind of block at place 0.*attn_norm\.weight.*Keep block 0"):
        keep_blocks(model, (1, 2))
    assert (len(blocks(model)), model.config.num_hidden_layers) == (3, 3)
