"""Tiny causal language models with random weights, of every way of making logits."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    BertConfig,
    BertLMHeadModel,
    BloomConfig,
    BloomForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    FalconH1Config,
    FalconH1ForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

torch.set_num_threads(1)  # models this small are done sooner by one

TOKENS = 67
COMMON: dict[str, Any] = {
    "vocab_size": TOKENS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,  # as large as trained weights, so that a cap bends what it caps
}
NARROW: dict[str, Any] = {"vocab_size": TOKENS, "hidden_size": 32, "num_hidden_layers": 2}
MAMBA: dict[str, Any] = {
    "mamba_d_ssm": 32,
    "mamba_n_heads": 4,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "mamba_d_state": 8,
}
SORTS = {
    "llama": (LlamaForCausalLM, lambda: LlamaConfig(**COMMON)),
    "qwen3": (Qwen3ForCausalLM, lambda: Qwen3Config(**COMMON, head_dim=8, tie_word_embeddings=True)),
    "cohere multiplies": (CohereForCausalLM, lambda: CohereConfig(**COMMON, logit_scale=0.0625)),
    "granite divides": (GraniteForCausalLM, lambda: GraniteConfig(**COMMON, logits_scaling=3.0)),
    "gemma2 caps": (Gemma2ForCausalLM, lambda: Gemma2Config(**COMMON, head_dim=8, final_logit_softcapping=5.0)),
    "falcon-h1 multiplies": (
        FalconH1ForCausalLM,
        lambda: FalconH1Config(**COMMON, **MAMBA, head_dim=8, lm_head_multiplier=0.3),
    ),
    "phi adds": (PhiForCausalLM, lambda: PhiConfig(**COMMON)),
    "gpt2": (
        GPT2LMHeadModel,
        lambda: GPT2Config(vocab_size=TOKENS, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3),
    ),
    "opt narrows": (
        OPTForCausalLM,
        lambda: OPTConfig(
            **NARROW, ffn_dim=64, num_attention_heads=4, max_position_embeddings=64, word_embed_proj_dim=16
        ),
    ),
    "bert transforms": (
        BertLMHeadModel,
        lambda: BertConfig(**{**COMMON, "num_key_value_heads": None}, is_decoder=True),
    ),
    "mamba": (MambaForCausalLM, lambda: MambaConfig(**NARROW, state_size=8)),
    "bloom": (BloomForCausalLM, lambda: BloomConfig(vocab_size=TOKENS, hidden_size=32, n_layer=2, n_head=4)),
}


def writer(sort: str = "llama", tokens: int | None = None, seed: int = 0) -> PreTrainedModel:
    """A random model of one sort, in evaluation mode; with `tokens`, its vocabulary has so many."""
    made, config = SORTS[sort]
    settings = config()
    if tokens is not None:
        settings.vocab_size = tokens
    torch.manual_seed(seed)
    model = made(settings).eval()
    if sort == "phi adds":  # random biases: those of a new model are zero
        torch.nn.init.normal_(model.lm_head.bias)
    return model
