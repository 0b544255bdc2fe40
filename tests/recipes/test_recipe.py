from __future__ import annotations

import math
from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.recipe import DistillRecipe, Prices


def recipe(**options) -> DistillRecipe:
    return DistillRecipe(**({"traffic": (Path("a.jsonl"),), "out": Path("some/where")} | options))


def test_the_student_is_called_like_its_folder_unless_named():
    assert recipe().student_name == "where"
    assert recipe(out=Path("x/..")).student_name == Path.cwd().name
    assert recipe(name="triage").student_name == "triage"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"traffic": ()}, "at least one file"),
        ({"students": ()}, "--student names nothing"),
        ({"freeze": -1}, "--freeze must be 0 or more"),
        ({"max_minutes": 0.0}, "--max-minutes must be above 0"),
        ({"max_minutes": math.nan}, "--max-minutes must be above 0"),
        ({"seed": -1}, "--seed must be 0 or more"),
        ({"seed": 2**32}, "under 2"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(options, told):
    with pytest.raises(UsageError, match=told):
        recipe(**options)


@pytest.mark.parametrize("price", [-0.1, math.nan, math.inf])
def test_prices_are_numbers_that_can_be_paid(price):
    with pytest.raises(UsageError, match="--price-input"):
        Prices(input=price)
    with pytest.raises(UsageError, match="--price-output"):
        Prices(output=price)
