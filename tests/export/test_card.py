"""The card says what a folder is, and no label breaks out of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.export.card import model_card
from tests.export.opened import subject


@pytest.mark.parametrize(
    ("kind", "library", "task", "loader"),
    [
        ("bert-classifier", "transformers", "text-classification", "AutoModelForSequenceClassification"),
        ("vit", "transformers", "image-classification", "AutoModelForImageClassification"),
        ("distilbert", "sentence-transformers", "sentence-similarity", "SentenceTransformer"),
        ("llama", "transformers", "text-generation", "AutoModelForCausalLM"),
    ],
)
def test_it_names_its_library_its_task_and_how_it_is_loaded(kind, library, task, loader, tmp_path):
    card = model_card(subject(kind, tmp_path))
    front = card.split("---")[1]
    assert f"library_name: {library}" in front
    assert f"pipeline_tag: {task}" in front
    assert loader in card
    assert str(tmp_path) not in card


def test_labels_stay_in_their_place(tmp_path):
    odd = ("# head", "a\n\nb", "`tick`", "<b>")
    card = model_card(replace(subject("bert-classifier", tmp_path), labels=(odd,)))
    [line] = [line for line in card.splitlines() if "tick" in line]
    assert line.startswith("- `# head`, `a\\n\\nb`, `` `tick` ``, `<b>`")
    many = model_card(replace(subject("vit", tmp_path), labels=(tuple(map(str, range(300))),)))
    assert "and 100 more in `config.json`" in many
