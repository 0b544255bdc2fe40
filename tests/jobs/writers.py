"""A tiny language model that reads bytes, as the base of jobs; and training files for it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = (
    "{% if tools %}tools: {{ tools | tojson }}\n{% endif %}"
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}"
    "{% for call in message['tool_calls'] or [] %}{{ call['function'] | tojson }}{% endfor %}"
    "<|end|>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
CONTEXT = 128


def save_base(folder: Path, seed: int = 0, width: int = 32, template: str | None = TEMPLATE) -> Path:
    """A random Llama of two blocks, and a tokenizer of the 256 bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|pad|>": 0, "<|end|>": 1} | {letter: at + 2 for at, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>")
    if template:
        fast.chat_template = template
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def chat(asked: str, answer: str, **more: object) -> dict:
    """A row of a training file."""
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}], **more}


def chats(count: int = 12) -> list[dict]:
    """Rows that ask for a letter to be doubled."""
    return [chat(f"double {letter}", letter * 2) for letter in "abcdefghijklmnopqrstuvwxyz"[:count]]


def pairs(count: int = 12) -> list[dict]:
    """Rows of which the doubled letter is the better answer."""
    return [
        {
            "input": {"messages": [{"role": "user", "content": f"double {letter}"}]},
            "preferred_output": [{"role": "assistant", "content": letter * 2}],
            "non_preferred_output": [{"role": "assistant", "content": letter}],
        }
        for letter in "abcdefghijklmnopqrstuvwxyz"[:count]
    ]


def jsonl(rows: list) -> bytes:
    """Rows as the bytes of a file."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
