"""A small language to write, pupils and a teacher that write it, and what they are scored by."""

from __future__ import annotations

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from stillhouse.models.outputs import Layers
from stillhouse.tasks.chat import ChatTask
from stillhouse.teachers.local import Local

TOKENS, END = 24, 1
ROWS = 20
PROMPT = (2, 3, 4)
"""How long prompts are."""


def task(rows: int = ROWS, seed: int = 0) -> ChatTask:
    """Prompts of random tokens, each answered by counting on from its last token, and the end token."""
    random = np.random.default_rng(seed)
    ids, counted = [], []
    for row in range(rows):
        prompt = random.integers(2, TOKENS - 8, PROMPT[row % 3])
        length = random.integers(1, 6)
        answer = [*(prompt[-1] + 1 + np.arange(length)), END]
        ids.append(np.array([*prompt, *answer]))
        counted.append(np.arange(len(ids[-1])) >= len(prompt))
    return ChatTask(ids, counted, TOKENS)


def writer(seed: int = 0, width: int = 16, layers: int = 2, tokens: int = TOKENS) -> LlamaForCausalLM:
    """A random Llama; it has no dropout."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokens,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=64,
            initializer_range=0.3,
            bos_token_id=None,
            eos_token_id=END,
            pad_token_id=0,
        )
    )


def teacher(seed: int = 9) -> Local:
    """A random Llama, larger than the pupils, that answers as a teacher."""
    return Local(writer(seed, width=32), task())


def score(student) -> float:
    """Share of the answers' tokens that are the likeliest to the student."""
    given = task()
    batch = given.batch(range(ROWS))
    with torch.no_grad():
        said = given.output(student, batch, Layers()).logits.argmax(-1)
    where = given.asked(batch)
    return float((said == batch.labels)[where].float().mean())
