"""Tiny models with random weights of every kind that can be made smaller: writers, encoders, image models."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    ConvNextConfig,
    ConvNextForImageClassification,
    DeiTConfig,
    DeiTForImageClassification,
    Dinov2Config,
    Dinov2ForImageClassification,
    DistilBertConfig,
    DistilBertForMaskedLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from tests.models import tiny

WIDTH, HEADS, KV_HEADS, HEAD, FFN, BLOCKS = 32, 4, 2, 8, 64, 3
TEXT = tiny.SIZES
ENDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
SHARED = {**TEXT, **ENDS, "num_key_value_heads": KV_HEADS}
GPT2 = {"n_embd": WIDTH, "n_layer": BLOCKS, "n_head": HEADS, "n_positions": 40, "n_inner": FFN}
DISTILBERT = {"dim": WIDTH, "n_heads": HEADS, "hidden_dim": FFN, "n_layers": BLOCKS}
IMAGE = {
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_hidden_layers": BLOCKS,
    "image_size": 16,
    "patch_size": 4,
    "num_labels": 5,
    "initializer_range": 0.3,
}
FEW = {"vocab_size": tiny.TOKENS, "initializer_range": 0.3}

MAKERS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**FEW, **GPT2, **ENDS)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHARED)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHARED)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHARED, head_dim=HEAD, tie_word_embeddings=True)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SHARED)),
    "gemma": lambda: GemmaForCausalLM(GemmaConfig(**SHARED, head_dim=HEAD)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SHARED, head_dim=HEAD)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SHARED, head_dim=HEAD)),
    "olmo2": lambda: Olmo2ForCausalLM(Olmo2Config(**SHARED)),
    "phi3": lambda: Phi3ForCausalLM(Phi3Config(**SHARED)),
    "neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**TEXT, **ENDS)),
    "bert-classifier": lambda: BertForSequenceClassification(BertConfig(**TEXT)),
    "bert-masked": lambda: BertForMaskedLM(BertConfig(**TEXT)),
    "distilbert-masked": lambda: DistilBertForMaskedLM(DistilBertConfig(**FEW, **DISTILBERT)),
    "vit": lambda: ViTForImageClassification(ViTConfig(**IMAGE, intermediate_size=FFN)),
    "deit": lambda: DeiTForImageClassification(DeiTConfig(**IMAGE, intermediate_size=FFN)),
    "dinov2": lambda: Dinov2ForImageClassification(Dinov2Config(**IMAGE, mlp_ratio=2)),
    "resnet-basic": lambda: _resnet("basic", [8, 16, 16]),
    "resnet-bottleneck": lambda: _resnet("bottleneck", [16, 32, 48]),
    "convnext": lambda: ConvNextForImageClassification(
        ConvNextConfig(hidden_sizes=[8, 16, 24], depths=[1, 3, 2], num_stages=3, num_labels=5, drop_path_rate=0.0)
    ),
}
CAUSAL = ("gpt2", "llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3", "olmo2", "phi3", "neox")
ENCODERS = ("bert", "roberta", "distilbert", "mpnet", "modernbert", "deberta")
HEADED = ("bert-classifier", "bert-masked", "distilbert-masked")
IMAGES = ("vit", "deit", "dinov2")
STAGES = ("resnet-basic", "resnet-bottleneck", "convnext")
TRANSFORMERS = (*CAUSAL, *ENCODERS, *HEADED, *IMAGES)


def _resnet(layer: str, widths: list[int]) -> PreTrainedModel:
    return ResNetForImageClassification(
        ResNetConfig(embedding_size=8, hidden_sizes=widths, depths=[1, 3, 2], layer_type=layer, num_labels=5)
    )


def make(kind: str, seed: int = 0) -> PreTrainedModel:
    """A random model of one kind, in evaluation mode."""
    if kind in ENCODERS:
        return tiny.encoder(kind, seed)
    torch.manual_seed(seed)
    return MAKERS[kind]().eval()


def inputs(model: nn.Module, rows: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """What a model reads: ids of a dozen tokens, or small images."""
    if model.main_input_name != "pixel_values":
        ids = tiny.ids(rows, 12, seed)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    size = getattr(model.config, "image_size", 32)
    return {"pixel_values": torch.randn(rows, 3, size, size, generator=torch.Generator().manual_seed(seed))}


def answer(model: nn.Module, given: dict[str, Tensor]) -> Tensor:
    """The model's logits, or its last hidden states where it has no head."""
    output = model(**given)
    return output.logits if "logits" in output else output.last_hidden_state
