"""A judge is asked with the prompt filled in; what is no verdict is an error, never a zero."""

from __future__ import annotations

import pytest

from stillhouse.chat import Relayed, Route
from stillhouse.errors import TeacherUnavailable
from stillhouse.evaluation.graders.ask_judge import Judged, ask_judge
from stillhouse.evaluation.graders.grader import Grade
from stillhouse.wire.graders import ScoreModel, read_grader
from stillhouse.wire.judge import ask_for_score
from stillhouse.wire.samples import Tokens
from tests.evaluation.graders.judges import Judge, Student, verdict

SPEC = read_grader(
    {
        "type": "score_model",
        "name": "g",
        "model": "judge",
        "input": [
            {"role": "system", "content": "Be strict."},
            {"role": "user", "content": "{{item.q}} -> {{sample.output_text}}"},
        ],
        "sampling_params": {"temperature": 0, "seed": 1, "max_completions_tokens": 50},
    },
    "grader",
    "eval",
)
KNOWN = ({"q": "2+2"}, {"output_text": "4"})


async def ask(chat, known=KNOWN) -> Judged | Grade:
    assert isinstance(SPEC, ScoreModel)
    return await ask_judge(chat, SPEC, SPEC.sampling, ask_for_score(), known)


async def test_the_call_holds_the_prompt_the_sampling_and_the_form_of_the_answer():
    judge = Judge(verdict(0.5))
    judged = await ask(judge)
    assert judge.calls == [
        {
            "model": "judge",
            "messages": [{"role": "system", "content": "Be strict."}, {"role": "user", "content": "2+2 -> 4"}],
            "temperature": 0.0,
            "seed": 1,
            "max_completion_tokens": 50,
            "response_format": ask_for_score(),
        }
    ]
    assert isinstance(judged, Judged)
    assert judged.verdict is not None
    assert (judged.verdict.result, judged.verdict.reason) == (0.5, "so it is")
    assert judged.asked.answer is not None
    assert (judged.asked.answer.model, judged.asked.answer.tokens) == ("judge-2026", Tokens(7, 3, 2))


async def test_a_student_may_judge_too():
    judged = await ask(Student(verdict(1)))
    assert isinstance(judged, Judged)
    assert judged.asked.answer is not None
    assert judged.asked.answer.tokens == Tokens(5, 1)


@pytest.mark.parametrize(
    "text",
    ["", "0.5", "The result is 0.5", "[]", "null", "{}", '{"score": 1}', '{"result": NaN}', '{"result": 1',
     '```json\n{"result": 1}\n```', '{"result": 1} and more'],
)  # fmt: skip
async def test_what_is_not_the_json_that_was_asked_for_is_an_error(text):
    grade = await ask(Judge(text))
    assert isinstance(grade, Grade)
    assert grade.errored
    assert grade.faults[0].kind == "model_grader_parse_error"
    assert grade.asked[0].answer is not None


async def test_an_answer_cut_off_is_an_error_even_if_it_reads_well():
    grade = await ask(Judge(verdict(1), finish_reason="length"))
    assert isinstance(grade, Grade)
    assert "cut off" in (grade.reason or "")


async def test_a_judge_that_cannot_be_reached_is_an_error():
    async def away(call):
        raise TeacherUnavailable("no connection")

    async def broken(call):
        return Relayed(b'{"error": {"message": "busy"}}', Route("teacher"))

    for chat, told in ((away, "no connection"), (broken, "not a chat completion")):
        grade = await ask(chat)
        assert isinstance(grade, Grade)
        assert grade.faults[0].kind == "model_grader_server_error"
        assert told in grade.faults[0].message


async def test_nobody_is_asked_with_a_place_left_empty():
    judge = Judge(verdict(1))
    grade = await ask(judge, ({}, {"output_text": "4"}))
    assert isinstance(grade, Grade)
    assert grade.faults[0].kind == "invalid_variable_error"
    assert judge.calls == []
