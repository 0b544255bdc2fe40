"""A judge's number, clamped to the range and held against the threshold."""

from __future__ import annotations

import pytest

from stillhouse.evaluation.graders.score_model import ScoreModelGrader
from stillhouse.wire.fields import Fields
from stillhouse.wire.graders import ScoreModel
from stillhouse.wire.prompts import read_prompt
from stillhouse.wire.samples import Sampling
from tests.evaluation.graders.judges import Judge, verdict

PROMPT = read_prompt(Fields({"input": [{"role": "user", "content": "{{item.q}}"}]}), "input")


def grader(judge: Judge, low: float = 1.0, high: float = 7.0, threshold: float = 5.5) -> ScoreModelGrader:
    return ScoreModelGrader(ScoreModel("g", "judge", PROMPT, (low, high), threshold, Sampling()), judge)


@pytest.mark.parametrize(
    ("result", "score", "passed"),
    [(6, 6.0, True), (5.5, 5.5, True), (5.4, 5.4, False), (9, 7.0, True), (0, 1.0, False), (-1e300, 1.0, False)],
)
async def test_numbers(result, score, passed):
    grade = await grader(Judge(verdict(result)))({"q": "x"}, None)
    assert (grade.score, grade.passed, grade.reason, grade.faults) == (score, passed, "so it is", ())
    assert grade.asked[0].messages == [{"role": "user", "content": "x"}]


@pytest.mark.parametrize("result", ["6", True, None, [6], {"score": 6}, ""])
async def test_a_result_that_is_no_number_is_zero_and_told(result):
    grade = await grader(Judge(verdict(result)))({"q": "x"}, None)
    assert (grade.score, grade.passed) == (0.0, False)
    assert [fault.kind for fault in grade.faults] == ["model_grader_parse_error"]


async def test_a_refusal_is_zero_and_told():
    grade = await grader(Judge(None, refusal="I would rather not"))({"q": "x"}, None)
    assert (grade.score, grade.passed) == (0.0, False)
    assert [fault.kind for fault in grade.faults] == ["model_grader_refusal_error"]
    assert "rather not" in (grade.reason or "")


async def test_no_verdict_is_no_score():
    assert (await grader(Judge("six"))({"q": "x"}, None)).errored
