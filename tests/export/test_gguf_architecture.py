from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from stillhouse.errors import UsageError
from stillhouse.export.gguf_architecture import describe
from tests.export.gguf_students import ENDS, GROUPED, SIZES, model


@pytest.mark.parametrize(
    ("kind", "name"),
    [("llama", "llama"), ("mistral", "llama"), ("qwen2", "qwen2"), ("qwen3", "qwen3"), ("gpt2", "gpt2")],
)
def test_every_weight_of_a_writer_has_a_name(kind, name):
    made = model(kind, 50)
    found = describe(made)
    assert found.name == name
    written = dict(found.weights(made, 2))
    assert len(written) == len(list(made.parameters()))
    assert {"token_embd.weight", "output_norm.weight", "blk.1.ffn_down.weight"} <= set(written)


def test_encoders_lose_their_pooler_and_roberta_its_first_positions():
    bert = BertModel(BertConfig(**SIZES, vocab_size=50))
    assert not any("pooler" in name for name, _ in describe(bert).weights(bert, 2))
    roberta = model("xlm-roberta", 50)
    found = describe(roberta)
    assert found.facts["context_length"] == 128
    assert dict(found.weights(roberta, 2))["position_embd.weight"].shape == (128, 64)


def test_linear_layers_of_gpt2_are_turned():
    made = model("gpt2", 50)
    weights = dict(describe(made).weights(made, 2))
    assert weights["blk.0.ffn_up.weight"].shape == (256, 64)
    assert (weights["blk.0.ffn_up.weight"] == made.transformer.h[0].mlp.c_fc.weight.detach().numpy().T).all()


def test_slowed_positions_are_written_as_they_are_computed():
    made = model("llama-3", 50)
    factors = describe(made).extra["rope_freqs.weight"]
    turned = made.model.rotary_emb.inv_freq
    plain = 10_000.0 ** -(torch.arange(0, 16, 2) / 16)
    assert torch.allclose(plain / torch.from_numpy(factors), turned, rtol=1e-5)
    assert factors[0] == pytest.approx(1.0)
    assert factors[-1] == pytest.approx(8.0)
    assert describe(model("llama-linear", 50)).facts["rope.scaling.factor"] == 4.0


def test_a_window_becomes_the_context():
    found = describe(model("mistral", 50))
    assert found.facts["context_length"] == 64
    assert "cut to 64" in found.notes[0]


def llama(**changed) -> nn.Module:
    return LlamaForCausalLM(LlamaConfig(**(GROUPED | ENDS | {"vocab_size": 50} | changed)))


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: llama(hidden_act="relu"), "hidden_act 'relu'"),
        (
            lambda: llama(rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}),
            "Positions of the kind 'dynamic'",
        ),
        (
            lambda: llama(rope_parameters={"rope_type": "default", "partial_rotary_factor": 0.5, "rope_theta": 1e4}),
            "only a part of each head",
        ),
        (
            lambda: GPT2LMHeadModel(
                GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=50, scale_attn_by_inverse_layer_idx=True)
            ),
            "scale_attn_by_inverse_layer_idx",
        ),
        (
            lambda: GPT2LMHeadModel(
                GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=50, activation_function="relu")
            ),
            "activation_function 'relu'",
        ),
    ],
)
def test_what_llama_cpp_computes_otherwise_is_refused(made, told):
    with pytest.raises(UsageError, match=told):
        describe(made())


def test_weights_that_it_has_no_name_for_are_refused():
    made = llama()
    made.model.layers[0].mlp.up_proj = nn.Sequential(nn.Linear(64, 4, bias=False), nn.Linear(4, 96, bias=False))
    with pytest.raises(UsageError, match=r"no weight model\.layers\.0\.mlp\.up_proj\.0\.weight"):
        list(describe(made).weights(made, 2))
