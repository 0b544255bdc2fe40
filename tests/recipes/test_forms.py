"""The forms of an image classifier and of a language model, made through every stage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetForImageClassification,
)

from stillhouse.artifacts import hash_file
from stillhouse.compression.search import Goal
from stillhouse.export.pooling import open_stack
from stillhouse.recipes.cache import StageCache
from stillhouse.recipes.compression import CompressRecipe
from stillhouse.recipes.forms import Forms
from stillhouse.recipes.read_rows import read_rows
from stillhouse.recipes.sections import DataSection, TaskName
from stillhouse.tasks.embedding import Pooling, read_texts, save_sentence_encoder
from tests.models import tiny
from tests.recipes.runs import Done, run, texts, write

RECIPE = """
task = "image"
out = "{folder}/whole"
[data]
train = "{folder}/rows.npz"
[student]
model = "{folder}/fresh"
[source]
kind = "offline"
[[objective]]
name = "cross_entropy"
[training]
epochs = 4
rate = 3e-3
"""


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Bars that lie or stand, and a convolutional model of them."""
    random = np.random.default_rng(0)
    images, labels = random.integers(90, size=(240, 16, 16), dtype=np.uint8), np.arange(240) % 2
    for image, label, at in zip(images, labels, random.integers(2, 14, size=240), strict=True):
        image[at if label else slice(None), slice(None) if label else at] = 250
    np.savez(tmp_path / "rows.npz", images=images, labels=labels)
    torch.manual_seed(0)
    sizes = {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic"}
    config = ResNetConfig(num_channels=1, num_labels=2, **sizes)
    config.image_size = 16
    ResNetForImageClassification(config).save_pretrained(tmp_path / "fresh")
    (tmp_path / "recipe.toml").write_text(RECIPE.format(folder=tmp_path))
    done = run("train", tmp_path / "recipe.toml", "--home", tmp_path / "home", "--json")
    assert done.code == 0, done.err
    return tmp_path


def small(folder: Path, data: str, *options: object) -> Done:
    place = ("--out", folder / "small", "--home", folder / "home", "--json", "--epochs", 1, "--trials", 1)
    return run("compress", folder / "whole", "--data", folder / data, *place, *options)


def test_a_sentence_encoder_keeps_its_pooling_and_is_no_other_than_itself(tmp_path):
    wrapped = AutoTokenizer.from_pretrained(tiny.save(tmp_path / "plain", tiny.encoder(), tiny.wordpiece()))
    rows = [f"{one} {other} {third}" for one in tiny.WORDS for other in tiny.WORDS[:4] for third in tiny.WORDS[4:6]]
    task = read_texts(rows, wrapped, 32, Pooling.CLS, normalised=False)
    save_sentence_encoder(tmp_path / "whole", tiny.encoder(), wrapped, task, 32)
    write(tmp_path / "rows.jsonl", [{"text": row} for row in rows])
    done = small(tmp_path, "rows.jsonl", "--max-drop", 0.5, "--levers", "layers", "--tokens", 32)
    assert done.code == 0, done.err
    assert done.json["whole"]["quality"] == pytest.approx(1, abs=1e-4)
    assert done.json["whole"]["damage"] == pytest.approx(0, abs=1e-4)
    assert done.json["forms"][0]["words"].startswith("layers")
    stack = open_stack(tmp_path / "small" / "model")
    assert (stack.modes, stack.normalised) == (("cls",), False)


def test_what_is_kept_of_a_model_is_not_taken_for_one_that_pools_otherwise(tmp_path):
    wrapped = AutoTokenizer.from_pretrained(tiny.save(tmp_path / "plain", tiny.encoder(), tiny.wordpiece()))
    rows = [f"{one} {other}" for one in tiny.WORDS for other in tiny.WORDS[:6]]
    write(tmp_path / "rows.jsonl", [{"text": row} for row in rows])
    served = set()
    for pooling in (Pooling.MEAN, Pooling.CLS):
        save_sentence_encoder(tmp_path / "whole", tiny.encoder(), wrapped, read_texts(rows, wrapped, 32, pooling), 32)
        done = small(tmp_path, "rows.jsonl", "--max-drop", 0.5, "--levers", "precision", "--tokens", 32)
        assert done.code == 0, done.err
        served.add(hash_file(tmp_path / "small" / "student" / "model.onnx"))
    assert len(served) == 2


def test_a_file_sorted_by_class_is_measured_on_all_classes(tmp_path):
    folder = tmp_path / "whole"
    BertForSequenceClassification(BertConfig(**tiny.SIZES, num_labels=5)).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tiny.wordpiece(), pad_token="[PAD]").save_pretrained(folder)
    rows = [{"text": tiny.WORDS[row % 7], "label": row // 600} for row in range(3_000)]
    data = DataSection(train=write(tmp_path / "rows.jsonl", rows), selection=tmp_path / "rows.jsonl", tokens=8)
    recipe = CompressRecipe(
        model=str(folder), task=TaskName.CLASSIFICATION, out=tmp_path / "small", data=data, goal=Goal(bytes=1e6)
    )
    read = read_rows(data, recipe.task, 0)
    forms = Forms(recipe, data, read, StageCache(tmp_path / "home", [].append), tmp_path / "home")
    counts = np.bincount([read.answers[row] for row in forms.measured])
    assert (counts > 300).all()


def test_an_image_classifier_becomes_integers_with_fewer_channels(pictures):
    done = small(pictures, "rows.npz", "--target-mb", 0.03)
    assert done.code == 0, done.err
    chosen = done.json["forms"][done.json["chosen"]]
    assert chosen["combination"]["precision"] == "int8-static"
    assert done.json["certificate"]["test_rows"] == done.json["rows"]["test"]
    assert (pictures / "small" / "student" / "model.onnx").stat().st_size < 60_000


@pytest.mark.slow
def test_a_language_model_keeps_its_perplexity_in_fewer_bits(tmp_path):
    rows = texts([row % 3 for row in range(120)])
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        rows, BpeTrainer(vocab_size=300, special_tokens=["<end>"], initial_alphabet=letters, show_progress=False)
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>").save_pretrained(
        tmp_path / "whole"
    )
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=128, **sizes)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "whole")
    write(tmp_path / "rows.jsonl", [{"text": row} for row in rows])
    done = small(tmp_path, "rows.jsonl", "--max-drop", 0.05, "--levers", "precision")
    assert done.code == 0, done.err
    told = done.json
    chosen = told["forms"][told["chosen"]]
    assert chosen["combination"]["precision"] != "float32"
    assert chosen["bytes"] < 0.6 * told["whole"]["bytes"]
    figures = told["test"]["figures"]
    assert figures["perplexity"] == pytest.approx(figures["whole_perplexity"], rel=0.1)
    assert told["certificate"] is None
    assert json.loads((tmp_path / "small" / "compression.json").read_text())["reached"]
