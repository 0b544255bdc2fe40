"""What a compression may be asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.compression.search import Goal
from stillhouse.errors import UsageError
from stillhouse.recipes.compression import CompressRecipe, task_of
from stillhouse.recipes.sections import DataSection, TaskName
from tests.models import tiny


def recipe(**changes) -> CompressRecipe:
    said = {"model": "m", "task": TaskName.IMAGE, "out": Path("o"), "data": DataSection(train=Path("t"))}
    return CompressRecipe(**{**said, "goal": Goal(bytes=1e6), **changes})


def test_what_makes_no_sense_is_refused():
    for changes, told in (
        ({"trials": 0}, "trials must be 1 or more"),
        ({"levers": ("with",)}, "Did you mean 'width'"),
        ({"task": TaskName.PREFERENCE}, "not preference"),
    ):
        with pytest.raises(UsageError, match=told):
            recipe(**changes)


def test_the_task_follows_from_the_model(tmp_path):
    assert task_of(str(tiny.save(tmp_path / "encoder", tiny.encoder("bert"), tiny.wordpiece()))) is TaskName.EMBEDDING
