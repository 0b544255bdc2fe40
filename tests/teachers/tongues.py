"""Two language models' tokenizers that have little in common, and texts that are hard to cut."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from tests.signals.readers import CORPUS

WORDS = (
    *("the parcel", "le café", "die Straße", "is late", "arrive demain", "你好", "世界", "🚀", "👩‍🚀 flies", "naïve"),
    *("where", "to the house", "über den Fluss", "and then", "a dog", "sleeps", "👍🏽", "in the town", "with money"),
    *("tomorrow\r\n", "Ωmega", "again", "quickly", "my friend"),
)
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INST = (
    "<s>{% for message in messages %}{% if message['role'] == 'user' %}[INST] {{ message['content'] | trim }} [/INST]"
    "{% elif message['role'] == 'assistant' %} {{ message['content'] | trim }} </s>{% endif %}{% endfor %}"
)
ANSWERS = {
    "plain": "It is on its way.",
    "multi-byte": "你好，世界！ Überraschung in the café, naïve Ωmega",
    "CRLF": "two lines\r\nof parcels\r\n\r\n  and the end",
    "emoji": "the 👩‍👩‍👧 family 👍🏽 and 👩‍🚀 the 🇫🇷",
    "names a special token": "he wrote </s> and <|im_end|> there",
    "a letter": "x",
}


def text(draw: np.random.Generator, length: int) -> str:
    """Words of which each says which ones are likely to follow."""
    said = [int(draw.integers(len(WORDS)))]
    while len(said) < length:
        said.append((3 * said[-1] + min(int(draw.geometric(0.5)), 7)) % len(WORDS))
    return " ".join(WORDS[word] for word in said)


def conversations(rows: int, seed: int, length: int = 12) -> list[dict[str, Any]]:
    """Questions of one word, and answers that go on from it."""
    draw = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    for _ in range(rows):
        said = text(draw, length)
        question, answer = said.split(" ", 1)
        found.append(
            {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer.strip()}]}
        )
    return found


def texts(seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return [text(draw, 20) for _ in range(100)]


@cache
def chatml() -> PreTrainedTokenizerFast:
    """Byte-level, no token that begins a text, and ChatML."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(1), trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.chat_template = CHATML
    return made


@cache
def inst() -> PreTrainedTokenizerFast:
    """As Llama 2's, trained on other texts too: bytes to fall back to, <s> before every text, and [INST]."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], limit_alphabet=60, show_progress=False
    )
    tokenizer.train_from_iterator([*CORPUS, *texts(2)], trainer)
    whole = json.loads(tokenizer.to_str())
    whole["model"] |= {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True}
    whole["model"]["vocab"] |= {f"<0x{byte:02X}>": len(whole["model"]["vocab"]) + byte for byte in range(256)}
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    made.chat_template = INST
    return made


def writer(tokenizer: PreTrainedTokenizerFast, width: int, layers: int, seed: int) -> PreTrainedModel:
    """A language model with random weights whose head is padded beyond the vocabulary."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer) + 5,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=256,
        )
    ).eval()
