"""What the tests of compression share: a small classifier that has learnt its rows, and what it was made into."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForSequenceClassification

from tests.models import tiny
from tests.recipes.runs import Done, run, small_runs, texts, write

__all__ = ["BITS", "SIZE", "TOPICS", "compress", "fewer_bits", "small", "trained"]

TOPICS = 4
SIZE = ("--target-mb", 0.25, "--trials", 2, "--epochs", 2)
BITS = ("--max-drop", 0.02, "--levers", "precision", "--trials", 1)
RECIPE = """
task = "classification"
out = "{out}"
[data]
train = "{train}"
tokens = 32
[student]
model = "{model}"
[source]
kind = "offline"
[[objective]]
name = "cross_entropy"
[training]
epochs = 6
rate = 2e-3
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A folder with `rows.jsonl`, labelled, `test.jsonl`, and `whole`, a BERT of four blocks that has learnt them."""
    folder = tmp_path_factory.mktemp("trained")
    for name, count, seed in (("rows", 640, 0), ("test", 200, 1)):
        topics = [row % TOPICS for row in range(count)]
        rows = [
            {"text": text, "label": f"topic {topic}"} for text, topic in zip(texts(topics, seed), topics, strict=True)
        ]
        write(folder / f"{name}.jsonl", rows)
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=list(tiny.SPECIALS), show_progress=False)
    tokenizer.train_from_iterator(texts([row % TOPICS for row in range(300)]), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        num_attention_heads=4,
        intermediate_size=256,
        num_hidden_layers=4,
        max_position_embeddings=40,
        num_labels=TOPICS,
        id2label={number: f"topic {number}" for number in range(TOPICS)},
        label2id={f"topic {number}": number for number in range(TOPICS)},
    )
    tiny.save(folder / "fresh", BertForSequenceClassification(config), tokenizer)
    words = RECIPE.format(out=folder / "whole", train=folder / "rows.jsonl", model=folder / "fresh")
    (folder / "recipe.toml").write_text(words)
    with small_runs():
        done = run("train", folder / "recipe.toml", "--home", folder / "home", "--json")
    assert done.code == 0, done.err
    return folder


def compress(trained: Path, folder: Path, *options: object, home: Path | None = None) -> Done:
    """Compress the whole model into `folder/small`; what another run has finished in `home` is taken."""
    data = ("--data", trained / "rows.jsonl", "--test", trained / "test.jsonl", "--tokens", 32)
    place = ("--out", folder / "small", "--home", home or folder / "home", "--json")
    return run("compress", trained / "whole", *data, *place, *options)


@pytest.fixture(scope="session")
def small(trained, tmp_path_factory) -> tuple[Path, dict]:
    """A folder with `small`, made to be of a size, and what was printed."""
    folder = tmp_path_factory.mktemp("small")
    with small_runs():
        done = compress(trained, folder, *SIZE)
    assert done.code == 0, done.err
    return folder, done.json


@pytest.fixture(scope="session")
def fewer_bits(trained, tmp_path_factory) -> tuple[Path, dict]:
    """A folder with `small`, the same model in fewer bits and unchanged else, and what was printed."""
    folder = tmp_path_factory.mktemp("fewer_bits")
    with small_runs():
        done = compress(trained, folder, *BITS)
    assert done.code == 0, done.err
    return folder, done.json
