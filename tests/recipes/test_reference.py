"""How far a model is from a whole one."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertForSequenceClassification, LlamaConfig, LlamaForCausalLM

from stillhouse.recipes.reference import Reference, answers_of, scores_of
from stillhouse.tasks.chat import ChatTask
from stillhouse.tasks.classification import Classification
from stillhouse.tasks.embedding import EmbeddingTask
from stillhouse.tasks.image import read_images
from tests.models import tiny

IDS = [np.random.default_rng(at).integers(5, 50, size=4 + at % 5) for at in range(40)]


def classifier(seed: int) -> nn.Module:
    config = tiny.encoder("bert").config
    config.num_labels = 3
    torch.manual_seed(seed)
    return BertForSequenceClassification(config).eval()


def task(labels: np.ndarray) -> Classification:
    return Classification(IDS, labels[:, None], (3,))


def test_a_model_is_not_far_from_itself():
    model = classifier(0)
    found = Reference(model, task(np.full(40, -1)), range(40)).distance(model, task(np.full(40, -1)))
    assert (found.quality, found.whole, found.agreement) == (1.0, 1.0, 1.0)
    assert found.damage == pytest.approx(0.0, abs=1e-6)
    assert found.drop == 0.0


def test_known_answers_tell_who_is_right():
    whole, other, rows = classifier(0), classifier(1), range(40)
    labels = scores_of(whole, task(np.full(40, -1)), rows).argmax(-1).numpy()
    labels[:4] = (labels[:4] + 1) % 3
    labels[30:] = -1
    found = Reference(whole, task(labels), rows).distance(other, task(labels))
    said = scores_of(other, task(labels), rows).argmax(-1).numpy()
    assert found.whole == pytest.approx(26 / 30)
    assert found.quality == pytest.approx((said[:30] == labels[:30]).mean())
    assert found.damage > 0


def test_scores_come_in_the_order_of_the_rows():
    model, rows = classifier(0), [7, 3, 30, 11]
    every = scores_of(model, task(np.zeros(40, dtype=np.int64)), range(40))
    assert torch.allclose(scores_of(model, task(np.zeros(40, dtype=np.int64)), rows), every[rows], atol=1e-5)


def test_known_answers_are_read_without_holding_all_pictures_as_numbers():
    labels = np.arange(2_000) % 7 - 1
    pictures = read_images(np.zeros((2_000, 32, 32), dtype=np.uint8), labels.tolist())
    tracemalloc.start()
    found = answers_of(pictures, range(2_000))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[:, 0].tolist() == labels.tolist()
    assert most < pictures.pixels.nbytes, "of floats they take four times as much"
    assert answers_of(pictures, ()).shape == (0, 1)


def test_vectors_are_compared_by_the_space_they_span():
    whole, other = tiny.encoder("bert", 0), tiny.encoder("bert", 1)
    reference = Reference(whole, EmbeddingTask(IDS), range(40))
    same, far = (reference.distance(model, EmbeddingTask(IDS)) for model in (whole, other))
    assert same.drop == pytest.approx(0.0, abs=1e-5)
    assert far.drop > 0.2
    assert far.damage > same.damage


def test_language_models_are_compared_token_by_token():
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(LlamaForCausalLM(LlamaConfig(vocab_size=60, **sizes)).eval())
    rows = ChatTask(IDS, [np.ones(len(ids), dtype=bool) for ids in IDS], 60)
    reference = Reference(made[0], rows, range(40))
    same, far = (reference.distance(model, rows) for model in made)
    assert same.agreement == 1.0
    assert same.figures["perplexity"] == pytest.approx(same.figures["whole_perplexity"])
    assert far.damage > same.damage == pytest.approx(0.0, abs=1e-6)
