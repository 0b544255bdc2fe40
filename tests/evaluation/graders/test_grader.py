"""A grade that could not be given is not a grade of zero."""

from __future__ import annotations

import math

import pytest

from stillhouse.evaluation.graders.grader import Fault, Grade, errored, variables


def test_cannot_tell_is_not_zero():
    grade = errored("other_error", "the judge is away")
    assert (grade.score, grade.passed, grade.errored, grade.reason) == (None, None, True, "the judge is away")
    assert grade.faults == (Fault("other_error", "the judge is away"),)
    assert not Grade(0.0, False).errored


@pytest.mark.parametrize(
    ("score", "passed", "faults"),
    [(None, None, ()), (None, False, (Fault("other_error", "x"),)), (math.nan, False, ()), (math.inf, True, ())],
)
def test_a_grade_that_says_nothing_or_two_things_cannot_be_made(score, passed, faults):
    with pytest.raises(ValueError, match="score"):
        Grade(score, passed, faults=faults)


def test_without_a_sample_templates_know_of_none():
    assert variables({"a": 1}, None) == {"item": {"a": 1}}
    assert variables({}, {"output_text": ""}) == {"item": {}, "sample": {"output_text": ""}}
