"""The recipes of the library on tiny models and a few rows: what each needs on the disk, and what it overrules."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import numpy as np
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from stillhouse.recipes.catalogue import recipe_text
from tests.models import kinds, tiny
from tests.teachers import tongues

ROWS = 18
TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }} {% if message['role'] == 'assistant' %}[SEP]{% endif %}"
    "{% endfor %}"
)


def texts(rows: int = ROWS, seed: int = 0) -> list[str]:
    """Texts of words that the tiny tokenizer knows."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(tiny.WORDS, k=draw.randint(4, 9))) for _ in range(rows)]


def _asked() -> list[dict]:
    return [{"prompt": "where is", "completion": text} for text in texts()]


def write_data(folder: Path, task: str) -> Path:
    """A few rows of a task."""
    if task == "image":
        draw = np.random.default_rng(0)
        images = draw.integers(0, 256, (ROWS, 16, 16, 3), dtype=np.uint8)
        np.savez(folder / "train.npz", images=images, labels=np.arange(ROWS) % 5)
        return folder / "train.npz"
    rows: list[dict] = [{"text": text, "label": at % 3} for at, text in enumerate(texts())]
    if task == "chat":
        rows = [
            {"messages": [{"role": "user", "content": "where is"}, {"role": "assistant", "content": text}]}
            for text in texts()
        ]
    if task == "rationale":
        rows = [
            {**row, "rationale": text} if at % 5 else row
            for at, (row, text) in enumerate(zip(_asked(), texts(seed=2), strict=True))
        ]
    if task == "preference":
        rows = [
            {"prompt": "where is", "chosen": text, "rejected": other}
            for text, other in zip(texts(), texts(seed=1), strict=True)
        ]
    file = folder / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


WRITING = ("chat", "preference", "rationale")
"""Tasks of language models."""


def write_model(folder: Path, task: str, seed: int = 0) -> Path:
    """A tiny model with random weights and its tokenizer."""
    if task == "image":
        kinds.make("vit", seed).save_pretrained(folder)
        return folder
    if task == "classification":
        import torch

        torch.manual_seed(seed)
        model = BertForSequenceClassification(BertConfig(**tiny.SIZES, num_labels=3)).eval()
    else:
        model = kinds.make("qwen2" if task in WRITING else "bert", seed)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny.wordpiece(), pad_token="[PAD]", unk_token="[UNK]", eos_token="[SEP]"
    )
    if task in WRITING:
        tokenizer.chat_template = TEMPLATE
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_other(folder: Path) -> Path:
    """A tiny language model of another family, which reads bytes where the others read words."""
    tongues.writer(tongues.chatml(), 32, 2, 0).save_pretrained(folder)
    tongues.chatml().save_pretrained(folder)
    return folder


OWN = {
    "feature": ["student.layers=[0, 2]", 'objective.2.settings={ pairs = { "0" = 0, "1" = 2 } }'],
    "offline_feature": [
        'teacher.keep=["topk:2", "hidden:0,2"]',
        "student.layers=[0, 2]",
        'objective.2.settings={ pairs = { "0" = 0, "1" = 2 } }',
    ],
    "on_policy": ["source.new_tokens=4", "source.replay=4"],
    "self_exits": ["source.exits=[0]"],
    "self_born_again": ["source.generations=2"],
}
"""What a recipe overrules beside its places, since tiny models have three blocks."""


@cache
def task_of(name: str) -> str:
    """The task that a recipe of the library names."""
    return recipe_text(name).split('task = "', 1)[1].split('"', 1)[0]


def prepare(name: str, folder: Path) -> tuple[Path, list[str]]:
    """A copy of a recipe with all that it needs beside it, and the changes that make it small."""
    text, task = recipe_text(name), task_of(name)
    (folder / "recipe.toml").write_text(text)
    data = write_data(folder, task)
    changes = [f"out={folder / 'out'}", f"data.train={data}", "source.batch=8", "training.epochs=1"]
    if task != "image":
        changes.append("data.tokens=32")
    if "\n[teacher]" in text:
        teachers = [write_model(folder / f"teacher-{at}", task, at) for at in range(2 if "models = [" in text else 1)]
        listed = ", ".join(f'"{teacher}"' for teacher in teachers)
        changes.append(f"teacher.models=[{listed}]" if len(teachers) > 1 else f"teacher.model={teachers[0]}")
    if name == "cross_tokenizer":
        changes.append(f"teacher.model={write_other(folder / 'other')}")
    if "\nmodel = " in text.split("[student]", 1)[1].split("[source]")[0]:
        changes.append(f"student.model={write_model(folder / 'student', task, 7)}")
    if "\nlayers = " in text:
        changes.append("student.layers=2")
    return folder / "recipe.toml", [*changes, *OWN.get(name, [])]


def flags(changes: list[str]) -> list[str]:
    """Changes as a command line gives them."""
    return [word for change in changes for word in ("--set", change)]
