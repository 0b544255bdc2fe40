"""The JSON of exams: which rows can be asked again, and how answers are compared with the teacher's."""

from __future__ import annotations

import json

from stillhouse.evaluation.graders.check import check_run
from stillhouse.wire.evals import read_eval, read_run
from stillhouse.wire.exams import exam_rows, longest_answer, write_exam, write_exam_run

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def row(asked: str, answer: str, **more):
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}], **more}


def test_rows_are_the_question_and_the_teachers_answer():
    earlier = {"role": "assistant", "content": "b", "weight": 0}
    turns = [{"role": "user", "content": "a"}, earlier, {"role": "user", "content": "c"}]
    rows = exam_rows([{"messages": [*turns, {"role": "assistant", "content": "dé"}]}])
    asked = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert rows == [{"item": {"messages": asked, "answer": "dé"}}]
    assert longest_answer(rows) == 4


def test_rows_with_tools_cannot_be_asked_again():
    called = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [CALL]}]}
    answered = row("a", "b")
    answered["messages"].insert(1, {"role": "tool", "content": "x", "tool_call_id": "c"})
    earlier = row("a", "b")
    earlier["messages"].insert(1, {"role": "assistant", "content": "x", "tool_calls": [CALL]})
    assert exam_rows([called, answered, earlier, row("a", "b", tools=[CALL])]) == []


def test_answers_that_repeat_must_be_the_same_and_others_alike():
    for labels, kind in ((["yes", "no"] * 10, "string_check"), ([f"answer {n}" for n in range(20)], "text_similarity")):
        learnt = [row(str(number), label) for number, label in enumerate(labels)]
        asked = read_eval(write_exam("name", exam_rows(learnt[:3]), learnt))
        assert json.loads(write_exam("name", exam_rows(learnt[:3]), learnt))["testing_criteria"][0]["type"] == kind
        run = read_run(write_exam_run("ft:m", "file-1", 7, "ftjob-1"), asked.config)
        check_run(run, asked.config)
        assert (run.source.asking.model, run.source.asking.sampling.max_tokens) == ("ft:m", 7)
        assert run.metadata == {"fine_tuning_job": "ftjob-1"}
    long = [row(str(number), "x" * 201) for number in range(20)]
    assert b"text_similarity" in write_exam("name", exam_rows(long[:1]), long)
