"""A tiny language model that has learnt what to answer to some questions by heart, in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from tests.inference.speakers import model, tokenizer


def learnt(folder: Path, answers: Mapping[str, str], steps: int = 250) -> Path:
    """The Transformers folder of a model that gives these answers to these questions."""
    words, learner = tokenizer(), model()
    rows: list[tuple[list[int], int]] = []
    for question, answer in answers.items():
        turns = [{"role": "user", "content": question}]
        asked = words.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        first = len(words(asked, add_special_tokens=False)["input_ids"])
        rows.append((words(asked + answer + "<|end|>", add_special_tokens=False)["input_ids"], first))
    size = max(len(row) for row, _ in rows)
    ids, labels = torch.zeros(len(rows), size, dtype=torch.long), torch.full((len(rows), size), -100)
    for at, (row, first) in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
        labels[at, first : len(row)] = torch.tensor(row[first:])
    mask = (torch.arange(size) < torch.tensor([[len(row)] for row, _ in rows])).long()
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
    learner.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
