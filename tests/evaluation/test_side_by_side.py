"""Items are paired by row where these agree, else by what they are."""

from __future__ import annotations

import json

import pytest

from stillhouse.errors import CannotCertify
from stillhouse.evaluation.side_by_side import By, criterion_names, read_outcome, set_side_by_side
from stillhouse.storage.eval_records import StoredItem
from stillhouse.wire.evals import Config, Criterion, Eval
from stillhouse.wire.graders import StringCheck

CHECK = StringCheck("same", "{{item.q}}", "x", "eq")


def kept(row: int, item: dict, status: str, score: float | None = 1.0):
    told = {"datasource_item": item, "results": [{"name": "same-1", "score": score}]}
    return read_outcome(StoredItem(str(row), row, status, json.dumps(told).encode()), {"same-1": "same"})


def test_rows_pair_where_they_hold_the_same_items():
    first = [kept(0, {"q": 1, "p": 2}, "pass"), kept(1, {"q": 2}, "fail", 0.0), kept(2, {"q": 3}, "error", None)]
    second = [kept(0, {"p": 2, "q": 1}, "pass"), kept(1, {"q": 2}, "pass"), kept(3, {"q": 4}, "pass")]
    told, by = set_side_by_side(first, second)
    assert (by, told.gained, told.lost, told.passing.rows, told.left_out) == (By.ROW, (1,), (), 2, 2)
    assert (told.scores["same"].first, told.scores["same"].second) == (0.5, 1.0)


def test_else_items_pair_the_first_of_equal_ones_with_the_first():
    first = [kept(0, {"q": 1}, "pass"), kept(1, {"q": 1}, "fail"), kept(2, {"q": 2}, "pass")]
    second = [
        kept(0, {"q": 2}, "fail"),
        kept(1, {"q": 1}, "pass"),
        kept(2, {"q": 1}, "pass"),
        kept(3, {"q": 9}, "pass"),
    ]
    told, by = set_side_by_side(first, second)
    assert (by, told.gained, told.lost, told.passing.rows, told.left_out) == (By.ITEM, (1,), (2,), 3, 1)


def test_nothing_in_common_is_compared_only_when_told_to():
    first, second = [kept(0, {"q": 1}, "pass")], [kept(0, {"q": 2}, "fail")]
    with pytest.raises(CannotCertify, match="--by row"):
        set_side_by_side(first, second)
    told, by = set_side_by_side(first, second, By.ROW)
    assert (by, told.lost) == (By.ROW, (0,))


def test_criteria_are_called_by_name_unless_two_have_one():
    def of(*names: str) -> Eval:
        criteria = tuple(Criterion(f"{name}-{n}", StringCheck(name, "", "", "eq")) for n, name in enumerate(names))
        return Eval("eval_1", "e", 1, Config("custom", {}, True, {}), criteria, {})

    assert criterion_names(of("a", "b")) == {"a-0": "a", "b-1": "b"}
    assert criterion_names(of("a", "b", "a")) == {"a-0": "a-0", "b-1": "b", "a-2": "a-2"}
