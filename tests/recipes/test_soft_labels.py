"""Log-probs that came with labels are a teacher's bets on all of them, and are learnt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from stillhouse.models.outputs import Batch, Layers
from stillhouse.objectives import ForwardKL
from stillhouse.recipes.answers import answered_rows
from stillhouse.recipes.label import label
from stillhouse.recipes.soft_labels import heard_labels
from stillhouse.recipes.training import TrainRecipe, read_train_recipe
from stillhouse.signals.kinds import EVERY_SCORE
from stillhouse.training.events import silent
from tests.gateway.serving import served
from tests.generation.endpoint import Endpoint
from tests.recipes.runs import run
from tests.recipes.tiny_recipes import write_model

RECIPE = """
task = "classification"
out = "out"
[data]
train = "rows.jsonl"
tokens = 32
[teacher.api]
url = "{url}"
model = "large"
labels = ["shipping", "repair", "billing"]
[student]
model = "student"
[source]
kind = "offline"
batch = 4
[[objective]]
name = "forward_kl"
[training]
epochs = 1
"""
NUMBERS = {"repair": 0, "billing": 1, "shipping": 2}


@pytest.fixture
def url() -> Iterator[str]:
    with served(Endpoint().app()) as url:
        yield url


def written(folder: Path, url: str, *changes: str) -> TrainRecipe:
    texts = [f"{'parcel' if at % 4 == 0 else 'money'} please {at}" for at in range(16)]
    rows = [{"text": text} for text in texts] + [{"text": "my money", "label": "repair"}]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "my.toml").write_text(RECIPE.format(url=url))
    return read_train_recipe(folder / "my.toml", changes)


def heard(recipe: TrainRecipe, home: Path):
    label(recipe, home, silent)
    return heard_labels(recipe, answered_rows(recipe, home), home, NUMBERS)


def test_bets_on_tokens_are_bets_on_labels(tmp_path, url):
    teacher = heard(written(tmp_path, url), tmp_path)
    assert (teacher.tells, teacher.tokenizer) == (EVERY_SCORE, None)
    batch = Batch({}, torch.tensor([[2], [1], [0]]), torch.tensor([4, 5, 16]))
    told = teacher.observe(batch, Layers())
    assert told.told.tolist() == [[False], [True], [False]], "what is no label letter by letter, or was not asked"
    assert told.scores.shape == (3, 1, 3)
    shares = told.scores[1, 0].exp()
    rest = 0.04 / 3
    torch.testing.assert_close(shares, torch.tensor([rest, 0.8 + rest, 0.16 + rest]))
    assert ForwardKL().count(told, batch) == 1


def test_without_log_probs_there_are_words_only(tmp_path, url):
    assert heard(written(tmp_path, url, "teacher.api.request={logprobs=false}"), tmp_path) is None
    (tmp_path / "chat.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    chat = written(tmp_path, url, "task=chat", f"data.train={tmp_path / 'chat.jsonl'}")
    assert heard(chat, tmp_path) is None


def test_a_student_learns_them_and_knows_the_labels_by_name(tmp_path, url):
    written(tmp_path, url)
    write_model(tmp_path / "student", "classification")
    done = run("run", tmp_path / "my.toml", "--home", tmp_path / "home", "--json")
    assert done.code == 0, done.err
    assert {"kl_to_teacher", "accuracy"} <= set(done.json["training"]["after"]["student"])
    assert AutoConfig.from_pretrained(tmp_path / "out").id2label == {0: "billing", 1: "repair", 2: "shipping"}
    words = "teacher.api.request={logprobs=false}"
    done = run("run", tmp_path / "my.toml", "--home", tmp_path / "home", "--set", words)
    assert (done.code, "needs soft, which this teacher does not tell" in done.err) == (2, True)
