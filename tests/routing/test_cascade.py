"""Who answers: the student what it is sure of, the teacher the rest, and what happens when he is away."""

from __future__ import annotations

import pytest

from stillhouse.chat import Choice, Completion, Relayed, Route, TokenLogprob, Usage
from stillhouse.errors import TeacherError, TeacherUnavailable
from stillhouse.routing.cascade import Cascade
from stillhouse.wire.errors import Unsupported
from tests.inference.test_student import fitting

CALL = fitting("anything")


def student(flag: str | None = None, error: Exception | None = None):
    async def answer(call):
        if error:
            raise error
        choice = Choice((TokenLogprob("own", 0.0),))
        return Completion("s", (choice,), Usage(1, 1), Route("student", confidence=0.41234, flag=flag))

    return answer


def teacher(error: Exception | None = None):
    async def answer(call):
        if error:
            raise error
        return Relayed(b"{}", Route("teacher"))

    return answer


GONE = TeacherUnavailable("gone")


@pytest.mark.parametrize(
    ("who", "route"),
    [
        (student(), "student; confidence=0.4123"),
        (student("below-threshold"), "teacher; reason=low-confidence; confidence=0.4123"),
        (student("prompt-not-fitting"), "teacher; reason=prompt-not-fitting"),
        (student(error=Unsupported("no", "tools")), "teacher; reason=unsupported-by-student"),
    ],
)
async def test_the_teacher_answers_what_the_student_leaves(who, route):
    assert str((await Cascade(who, teacher())(CALL)).route) == route


async def test_a_sure_student_needs_no_teacher():
    assert isinstance(await Cascade(student(), teacher(GONE))(CALL), Completion)


async def test_an_unsure_student_stands_in_for_a_teacher_who_is_away():
    answer = await Cascade(student("below-threshold"), teacher(GONE))(CALL)
    assert isinstance(answer, Completion)
    assert str(answer.route) == "student; confidence=0.4123; flag=teacher-unavailable"


@pytest.mark.parametrize("who", [student("prompt-not-fitting"), student(error=Unsupported("no", "tools"))])
async def test_nobody_guesses_in_his_place(who):
    with pytest.raises(TeacherUnavailable):
        await Cascade(who, teacher(GONE))(CALL)


async def test_his_refusal_is_an_answer():
    refusal = TeacherError("bad key", 401)
    with pytest.raises(TeacherError) as caught:
        await Cascade(student("below-threshold"), teacher(refusal))(CALL)
    assert caught.value is refusal
