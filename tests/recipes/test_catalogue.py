"""The library: every recipe is a recipe, says what it is for, and can be named."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.build import make_objective
from stillhouse.recipes.catalogue import recipe_names, recipe_text, summary_of
from stillhouse.recipes.sections import SourceKind, TaskName
from stillhouse.recipes.training import read_train_recipe


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_read_as_it_is(name, tmp_path):
    (tmp_path / f"{name}.toml").write_text(recipe_text(name))
    recipe = read_train_recipe(tmp_path / f"{name}.toml")
    make_objective(recipe, "recipe")
    assert recipe.out == tmp_path / "student"
    assert summary_of(name).endswith(".")
    assert len(summary_of(name)) > 30


def test_they_show_every_task_and_every_source(tmp_path):
    tasks, sources = set(), set()
    for name in recipe_names():
        (tmp_path / "one.toml").write_text(recipe_text(name))
        recipe = read_train_recipe(tmp_path / "one.toml")
        tasks.add(recipe.task)
        sources.add(recipe.source.kind)
    assert tasks == set(TaskName)
    assert sources == set(SourceKind)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"There is no recipe 'respones'\. Did you mean 'response'\?"):
        recipe_text("respones")
    with pytest.raises(UsageError, match=r"There are .*cross_tokenizer, embeddings, ensemble"):
        recipe_text("zzz")
