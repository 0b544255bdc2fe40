"""A student answers in the teacher's form, says how sure it is, and refuses what it cannot do."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.chat import ChatCall, Completion, Message
from stillhouse.inference.student import Student
from stillhouse.wire.errors import Unsupported
from tests.gateway.serving import LABELS, MANIFEST, SYSTEM, Keywords


def fitting(text: str, **fields) -> ChatCall:
    return ChatCall("desk/triage", (Message("system", SYSTEM), Message("user", f"Request: {text}")), **fields)


async def answer(call: ChatCall, manifest=MANIFEST) -> Completion:
    student = Student(Keywords(manifest))
    try:
        return await student(call)
    finally:
        student.close()


async def test_a_sure_answer_in_the_exact_form():
    completion = await answer(fitting("refund now", n=2))
    assert [choice.text for choice in completion.choices] == ['{"intent": "refund", "priority": "high"}'] * 2
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (2, 10)
    assert completion.route.confidence == pytest.approx(0.95**2)
    assert str(completion.route) == "student; confidence=0.9025"


async def test_calls_answered_together_keep_their_own_answers():
    student = Student(Keywords())
    texts = [
        "a long story about a " + "very " * (37 * i % 23) + ("refund", "parcel", "kettle")[i % 3] for i in range(40)
    ]
    answers = await asyncio.gather(*[student(fitting(text)) for text in texts])
    intents = [json.loads(answer.choices[0].text)["intent"] for answer in answers]
    assert intents == [("refund", "delivery", "other 🙂")[i % 3] for i in range(40)]
    assert [answer.usage.prompt_tokens for answer in answers] == [len(text.split()) for text in texts]
    student.close()


async def test_logprobs_are_certain_for_what_never_varies_and_sorted_for_labels():
    completion = await answer(fitting("refund", logprobs=True, top_logprobs=20))
    pieces = completion.choices[0].pieces
    assert [piece.logprob == 0 for piece in pieces] == [True, False, True, False, True]
    tokens, logprobs = zip(*pieces[1].top, strict=True)
    assert tokens == ('"refund"', '"delivery"', '"other 🙂"')
    assert list(logprobs) == sorted(logprobs, reverse=True)
    assert logprobs[0] == pieces[1].logprob


@pytest.mark.parametrize(("threshold", "flag"), [(0.8, "below-threshold"), (None, "below-threshold"), (0.2, None)])
async def test_what_it_is_not_sure_of_is_flagged(threshold, flag):
    completion = await answer(fitting("maybe refund"), replace(MANIFEST, threshold=threshold))
    assert completion.route.flag == flag


async def test_a_prompt_of_another_form_is_read_by_its_last_user_message():
    messages = (Message("user", "hello"), Message("user", " parcel now "), Message("assistant", "Sure:"))
    completion = await answer(ChatCall("x", messages))
    assert completion.choices[0].text == '{"intent": "delivery", "priority": "high"}'
    assert str(completion.route) == "student; confidence=0.9025; flag=prompt-not-fitting"


@pytest.mark.parametrize(
    "call",
    [
        fitting("x", beyond="tools"),
        ChatCall("x", (Message("system", "only rules"),)),
        ChatCall("x", (Message("user", " "),)),
    ],
)
async def test_what_words_cannot_answer_is_refused(call):
    with pytest.raises(Unsupported):
        await answer(call)


INTENT = frozenset({'"refund"', '"delivery"', '"other 🙂"', '"new"'})


@pytest.mark.parametrize(
    ("shape", "manifest", "given"),
    [
        ({}, MANIFEST, True),
        ({"intent": None, "priority": None}, MANIFEST, True),
        ({"intent": INTENT, "priority": None}, MANIFEST, True),
        ({"intent": INTENT - {'"refund"'}, "priority": None}, MANIFEST, False),
        ({"intent": None}, MANIFEST, False),
        ({"intent": None, "priority": None, "reason": None}, MANIFEST, False),
        ({}, LABELS, False),
    ],
)
async def test_a_shape_is_kept_or_refused(shape, manifest, given):
    call = fitting("refund", shape=shape)
    if given:
        assert json.loads((await answer(call, manifest)).choices[0].text)["intent"] == "refund"
    else:
        with pytest.raises(Unsupported) as caught:
            await answer(call, manifest)
        assert caught.value.param == "response_format"


async def test_constant_keys_belong_to_the_shape_and_a_code_fence_is_no_json():
    field = Field("a", ("1", "2", "3"))
    constant = replace(LABELS, answer=AnswerForm((field,), ('{"v": 2, "a": ', 0, "}")))
    assert (await answer(fitting("x", shape={"v": frozenset({"2"}), "a": None}), constant)).choices
    fenced = replace(LABELS, answer=AnswerForm((field,), ('```json\n{"a": ', 0, "}\n```")))
    with pytest.raises(Unsupported):
        await answer(fitting("x", shape={}), fenced)
