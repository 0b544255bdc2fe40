"""Tiny language models that chat: one with random weights, and one that has learnt a few conversations by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.tasks.talk import backend

torch.set_num_threads(1)  # models this small are done sooner by one

POSITIONS = 512
TEMPLATE = (
    "{% for tool in tools or [] %}<|tool|>{{ tool['function']['name'] }}\n{% endfor %}"
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}"
    "{% for call in message['tool_calls'] or [] %}<tool_call>\n"
    "{\"name\": \"{{ call['function']['name'] }}\", \"arguments\": {{ call['function']['arguments'] | tojson }}}"
    "\n</tool_call>{% endfor %}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
BARE = TEMPLATE.replace("<tool_call>\n", "").replace("\n</tool_call>", "")
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"town": {"enum": ["Ulm", "Bonn"]}},
            "required": ["town"],
            "additionalProperties": False,
        },
    },
}
HELLO = "Grüße 🙂👍! It is on its way."
CALL = '<tool_call>\n{"name": "weather", "arguments": {"town": "Ulm"}}\n</tool_call>'
LEARNT = [
    ("Where is my parcel?", [], HELLO),
    ("Is it raining in Ulm?", [WEATHER], f"Yes, it is. {CALL}\n{CALL.replace('Ulm', 'Bonn')}"),
    ("bare", [WEATHER], '{"name": "weather", "parameters": {"town": "Bonn"}}'),
    ("json", [], '{"town": "Ulm", "rain": true}'),
]
"""Questions, tools and answers."""


def tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that ends answers with <|end|>."""
    made = PreTrainedTokenizerFast(tokenizer_object=backend(), pad_token="<pad>", bos_token="<s>", eos_token="<|end|>")
    made.chat_template = template
    return made


def model(seed: int = 0) -> LlamaForCausalLM:
    """A random model of two blocks."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=backend().get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.08,
    )
    return LlamaForCausalLM(config).eval()


def teach(learner: LlamaForCausalLM, words: PreTrainedTokenizerFast, steps: int = 250) -> None:
    """Have it learn the conversations by heart."""
    texts = []
    for question, tools, answer in LEARNT:
        turns = [{"role": "user", "content": question}]
        asked = words.apply_chat_template(turns, tools=tools or None, add_generation_prompt=True, tokenize=False)
        texts.append((asked, asked + answer + "<|end|>"))
    rows = [words(text, add_special_tokens=False)["input_ids"] for _, text in texts]
    size = max(map(len, rows))
    ids, labels = torch.zeros(len(rows), size, dtype=torch.long), torch.full((len(rows), size), -100)
    for at, (row, (asked, _)) in enumerate(zip(rows, texts, strict=True)):
        first = len(words(asked, add_special_tokens=False)["input_ids"])
        ids[at, : len(row)] = torch.tensor(row)
        labels[at, first : len(row)] = torch.tensor(row[first:])
    mask = (torch.arange(size) < torch.tensor([[len(row)] for row in rows])).long()
    learner.train()
    optimizer = torch.optim.AdamW(learner.parameters(), lr=3e-3)
    for _ in range(steps):
        loss = learner(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 0.003:
            break
    learner.eval()


def folder(path: Path, *, taught: bool = False, template: str | None = TEMPLATE, seed: int = 0) -> Path:
    """A Transformers folder of such a model."""
    words, made = tokenizer(template), model(seed)
    if taught:
        teach(made, words)
    made.save_pretrained(path)
    words.save_pretrained(path)
    return path
