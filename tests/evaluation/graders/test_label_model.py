"""A judge's label, one of those it was given."""

from __future__ import annotations

import pytest

from stillhouse.evaluation.graders.label_model import LabelModelGrader
from stillhouse.wire.fields import Fields
from stillhouse.wire.graders import LabelModel
from stillhouse.wire.prompts import read_prompt
from tests.evaluation.graders.judges import Judge, verdict

PROMPT = read_prompt(Fields({"input": [{"role": "user", "content": "{{sample.output_text}}"}]}), "input")


def grader(judge: Judge) -> LabelModelGrader:
    return LabelModelGrader(LabelModel("g", "judge", PROMPT, ("good", "fair", "bad"), ("good", "fair")), judge)


@pytest.mark.parametrize(("label", "score"), [("good", 1.0), ("fair", 1.0), ("bad", 0.0)])
async def test_labels(label, score):
    judge = Judge(verdict(label))
    grade = await grader(judge)({}, {"output_text": "hello"})
    assert (grade.score, grade.passed, grade.reason) == (score, score == 1.0, f"{label}: so it is")
    schema = judge.calls[0]["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["properties"]["result"] == {"type": "string", "enum": ["good", "fair", "bad"]}


@pytest.mark.parametrize("label", ["Good", "excellent", "", 1, None])
async def test_a_label_that_is_none_is_an_error(label):
    grade = await grader(Judge(verdict(label)))({}, {"output_text": "hello"})
    assert grade.errored
    assert grade.faults[0].kind == "model_grader_parse_error"


async def test_a_refusal_is_zero_and_told():
    grade = await grader(Judge(None, refusal="no"))({}, {"output_text": "hello"})
    assert (grade.score, grade.passed, grade.faults[0].kind) == (0.0, False, "model_grader_refusal_error")


async def test_without_a_sample_there_is_nothing_to_judge():
    assert (await grader(Judge(verdict("good")))({}, None)).errored
