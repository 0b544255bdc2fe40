"""A teacher behind a real HTTP server, in all moods."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator

import pytest

from stillhouse.chat import ChatCall, Message, Relayed
from stillhouse.errors import TeacherError, TeacherUnavailable
from stillhouse.teachers.api import Endpoint, Heard, TeacherApi, TeacherModel
from stillhouse.teachers.asking import Failure, Patience
from tests.gateway.serving import Teacher, served
from tests.generation.chaos import Chaos

BODY = {"model": "small", "messages": [{"role": "user", "content": "hé"}], "temperature": 0.3}
CALL = ChatCall("small", (Message("user", "hé"),), body=json.dumps(BODY).encode())
STREAM = ChatCall("small", (Message("user", "hé"),), stream=True, body=json.dumps({**BODY, "stream": True}).encode())
PATIENCE = Patience(total=1.0, connect=0.5, first_wait=0.01)


@pytest.fixture
def teacher() -> Teacher:
    return Teacher()


@pytest.fixture
def url(teacher) -> Iterator[str]:
    with served(teacher.app()) as url:
        yield url


async def ask(url: str, call: ChatCall = CALL, key: str | None = None) -> Relayed:
    async with TeacherApi(url, "large", key, PATIENCE) as api:
        return await api(call)


async def test_the_call_arrives_as_it_was_with_another_model(url, teacher):
    answer = await ask(url, key="secret")
    assert isinstance(answer.content, bytes)
    assert json.loads(answer.content)["choices"][0]["message"]["content"] == "teacher says"
    assert teacher.asked == [{**BODY, "model": "large"}]
    assert teacher.keys == ["Bearer secret"]
    assert str(answer.route) == "teacher"


async def test_without_a_key_none_is_sent(url, teacher):
    await ask(f"{url}/v1/")
    assert teacher.keys == [None]


@pytest.mark.parametrize("mood", ["broken 2", "busy 2"])
async def test_trouble_that_passes_is_waited_for(url, teacher, mood):
    teacher.mood = mood
    assert (await ask(url)).content
    assert len(teacher.asked) == 3


@pytest.mark.parametrize("call", [CALL, STREAM])
async def test_a_teacher_who_keeps_failing_is_unavailable(url, teacher, call):
    teacher.mood = "broken"
    with pytest.raises(TeacherUnavailable, match="500"):
        await ask(url, call)
    assert len(teacher.asked) == 3


@pytest.mark.parametrize(("mood", "status", "times"), [("strict", 401, 1), ("busy", 429, 3)])
async def test_a_refusal_keeps_its_status_and_body(url, teacher, mood, status, times):
    teacher.mood = mood
    with pytest.raises(TeacherError) as caught:
        await ask(url)
    assert isinstance(caught.value, TeacherUnavailable) == (status == 429)
    assert caught.value.status == status
    assert json.loads(caught.value.body)["error"]["message"]
    assert len(teacher.asked) == times


@pytest.mark.parametrize("call", [CALL, STREAM])
async def test_a_slow_teacher_is_given_up_in_time(url, teacher, call):
    teacher.mood = "slow"
    started = time.monotonic()
    with pytest.raises(TeacherUnavailable, match="within 1 s"):
        await ask(url, call)
    assert time.monotonic() - started < 2
    assert len(teacher.asked) == 1


async def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TeacherUnavailable, match="could not be reached"):
        await ask(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("call", [CALL, STREAM])
async def test_a_web_page_is_no_answer(url, teacher, call):
    teacher.mood = "page"
    with pytest.raises(TeacherUnavailable, match="base URL"):
        await ask(url, call)


async def test_a_stream_comes_as_it_is_sent(url):
    async with TeacherApi(url, "large", None, PATIENCE) as api:
        answer = await api(STREAM)
        assert not isinstance(answer.content, bytes)
        chunks = [chunk async for chunk in answer.content]
    assert b"".join(chunks).endswith(b"data: [DONE]\n\n")


async def test_a_stream_that_breaks_off_says_so(url, teacher):
    teacher.mood = "dying"
    async with TeacherApi(url, "large", None, PATIENCE) as api:
        answer = await api(STREAM)
        assert not isinstance(answer.content, bytes)
        with pytest.raises(TeacherUnavailable, match="broke off"):
            async for _ in answer.content:
                pass


async def test_a_stream_that_never_ends_is_given_up_in_time(url, teacher):
    teacher.mood = "endless"
    async with TeacherApi(url, "large", None, PATIENCE) as api:
        answer = await api(STREAM)
        assert not isinstance(answer.content, bytes)
        with pytest.raises(TeacherUnavailable, match="broke off"):
            async for _ in answer.content:
                pass
    assert teacher.hung_up.wait(2)


async def test_a_stream_that_ends_before_the_first_word_can_still_be_replaced(url, teacher):
    teacher.mood = "silent"
    with pytest.raises(TeacherUnavailable):
        await ask(url, STREAM)


async def test_a_call_for_the_very_model_goes_on_byte_for_byte(url, teacher):
    seen = []
    original = teacher.answer

    async def answer(request):
        seen.append(await request.body())
        return await original(request)

    teacher.answer = answer
    raw = b'{ "model":"large",  "messages":[{"role":"user","content":"h\\u00e9"}], "seed":1.0 }'
    with served(teacher.app()) as url:
        async with Endpoint(url) as endpoint:
            await TeacherModel(endpoint, "large")(ChatCall("large", (), body=raw))
    assert seen == [raw]


async def test_more_calls_than_connections_wait_and_more_than_twice_as_many_are_refused(url, teacher):
    teacher.mood = "endless"
    async with Endpoint(url, patience=Patience(connect=0.2), connections=1) as endpoint:
        model = TeacherModel(endpoint, "large")
        first = await model(STREAM)
        waiting = asyncio.create_task(model(CALL))
        await asyncio.sleep(0)
        with pytest.raises(TeacherUnavailable) as refused:
            await model(CALL)
        assert (refused.value.status, refused.value.retry_after) == (429, 1.0)
        with pytest.raises(TeacherUnavailable) as late:
            await waiting
        assert late.value.status == 429
        teacher.mood = "well"
        assert not isinstance(first.content, bytes)
        first.content.close()
        assert (await model(CALL)).content


async def test_who_tells_no_models_has_none(url):
    async with Endpoint(url) as endpoint:
        assert await endpoint.models() == []
    async with Endpoint("http://127.0.0.1:9") as nowhere:
        assert await nowhere.models() == []
    assert await Endpoint(url).models() == [], "the connections are not open"


async def test_the_time_to_wait_is_told_when_there_is_no_time_left(url, teacher):
    teacher.mood = "busy"
    with pytest.raises(TeacherUnavailable) as caught:
        await ask(url)
    assert caught.value.retry_after == 0


async def test_a_key_that_is_repeated_in_a_refusal_is_taken_out(url, teacher):
    teacher.mood = "repeating"
    with pytest.raises(TeacherError) as caught:
        await ask(url, key="sk-the-key-of-the-teacher")
    assert b"sk-the-key" not in caught.value.body
    assert b"No such key: Bearer ***" in caught.value.body


async def test_one_attempt_carries_its_key_and_says_whether_it_may_have_been_paid():
    chaos = Chaos(stall=1.0)
    with served(chaos.app()) as url:
        async with Endpoint(url, None, PATIENCE) as api:
            first, again = await api.ask_once(CALL.body, "k", 5), await api.ask_once(CALL.body, "k", 5)
            assert isinstance(first, Heard)
            assert isinstance(again, Heard)
            assert (first.replayed, again.replayed, again.content) == (False, True, first.content)
            found = {}
            for trouble in ("fails", "throttles", "stalls", "drops"):
                setattr(chaos, trouble, 1.0)
                found[trouble] = await api.ask_once(CALL.body, "k", 0.3)
                setattr(chaos, trouble, 0.0)
    assert chaos.bills == {"k": 1}
    assert [failure.doubtful for failure in found.values()] == [False, False, True, True]
    assert [failure.error.status for failure in found.values()] == [500, 429, None, None]
    assert found["throttles"].retry_after == 0.05


async def test_where_nobody_is_nothing_was_paid():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with Endpoint(f"http://127.0.0.1:{port}", None, PATIENCE) as api:
        failure = await api.ask_once(CALL.body, "k", 1)
    assert isinstance(failure, Failure)
    assert not failure.doubtful


async def test_a_page_is_no_answer_to_one_attempt(url, teacher):
    teacher.mood = "page"
    async with Endpoint(url, None, PATIENCE) as api:
        failure = await api.ask_once(b" " * 2_000_000 + CALL.body, "k", 5)
    assert isinstance(failure, Failure)
    assert not isinstance(failure.error, TeacherUnavailable)
