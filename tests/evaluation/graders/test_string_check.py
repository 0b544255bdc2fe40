"""Texts are compared exactly, or one found in the other."""

from __future__ import annotations

import pytest

from stillhouse.evaluation.graders.string_check import StringCheckGrader
from stillhouse.wire.graders import StringCheck
from stillhouse.wire.samples import sample_of_text


async def score(operation: str, text: str, reference: str) -> float | None:
    grader = StringCheckGrader(StringCheck("g", "{{sample.output_text}}", "{{item.answer}}", operation))
    grade = await grader({"answer": reference}, sample_of_text(text).variables)
    assert grade.passed == (grade.score == 1.0)
    return grade.score


@pytest.mark.parametrize(
    ("text", "reference", "eq", "like", "ilike"),
    [
        ("Paris", "Paris", 1, 1, 1),
        ("paris", "Paris", 0, 0, 1),
        ("It is Paris.", "Paris", 0, 1, 1),
        ("Paris", "It is Paris.", 0, 0, 0),
        ("Paris ", "Paris", 0, 1, 1),
        ("a%b_c", "%", 0, 1, 1),
        ("anything", "%", 0, 0, 0),
        ("STRASSE", "straße", 0, 0, 1),
        ("x", "", 0, 1, 1),
    ],
)
async def test_operations(text, reference, eq, like, ilike):
    assert [await score(name, text, reference) for name in ("eq", "ne", "like", "ilike")] == [eq, 1 - eq, like, ilike]


async def test_a_place_that_is_not_there_is_an_error_and_no_zero():
    grader = StringCheckGrader(StringCheck("g", "{{item.missing}}", "x", "ne"))
    grade = await grader({}, None)
    assert grade.errored
    assert [fault.kind for fault in grade.faults] == ["invalid_variable_error"]
    assert "item.missing" in (grade.reason or "")
