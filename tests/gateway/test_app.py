"""The whole gateway through the unmodified SDK: students alone, and with a teacher in all moods."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from stillhouse.errors import UsageError
from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from tests.gateway.serving import LABELS, Keywords, prompt, served

MODEL = "desk/triage"
ROUTE = "x-stillhouse-route"
UNKNOWN_PROMPT = [{"role": "user", "content": "refund"}]


def ask(client, text: str, **options):
    """The route and the words of an answer."""
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=prompt(text), **options)
    return raw.headers[ROUTE], raw.parse().choices[0].message.content


def test_a_student_alone_answers_and_flags(alone, client):
    sdk = client(alone)
    assert ask(sdk, "refund") == ("student; confidence=0.9025", '{"intent": "refund", "priority": "low"}')
    assert ask(sdk, "maybe refund")[0] == "student; confidence=0.25; flag=below-threshold"
    raw = sdk.chat.completions.with_raw_response.create(model=MODEL, messages=UNKNOWN_PROMPT)
    assert raw.headers[ROUTE].endswith("flag=prompt-not-fitting")


def test_each_model_answers_by_its_own_name(alone, client):
    answer = client(alone).chat.completions.create(model="plain", messages=[{"role": "user", "content": "a parcel"}])
    assert (answer.model, answer.choices[0].message.content) == ("plain", "delivery")


class Triage(BaseModel):
    intent: Literal["refund", "delivery", "other 🙂"]
    priority: Literal["low", "high"]


class Reasoned(Triage):
    reason: str


def test_a_parsed_answer_satisfies_its_schema_or_is_refused(alone, client):
    parse = client(alone).chat.completions.parse
    parsed = parse(model=MODEL, messages=prompt("refund now"), response_format=Triage)
    assert parsed.choices[0].message.parsed == Triage(intent="refund", priority="high")
    with pytest.raises(openai.BadRequestError) as caught:
        parse(model=MODEL, messages=prompt("refund now"), response_format=Reasoned)
    assert (caught.value.code, caught.value.param) == ("unsupported_feature", "response_format")


TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize(
    ("options", "kind", "code", "param"),
    [
        ({"model": "nobody"}, openai.NotFoundError, "model_not_found", "model"),
        ({"messages": []}, openai.BadRequestError, "empty_array", "messages"),
        ({"n": 500}, openai.BadRequestError, "integer_above_max_value", "n"),
        ({"tools": [TOOL]}, openai.BadRequestError, "unsupported_feature", "tools"),
        ({"messages": prompt("crash")}, openai.InternalServerError, "internal_error", None),
    ],
)
def test_errors_are_the_sdk_s_own(alone, client, options, kind, code, param):
    with pytest.raises(kind) as caught:
        client(alone).chat.completions.create(**{"model": MODEL, "messages": prompt("x"), **options})
    error = caught.value
    assert (error.code, error.param) == (code, param)
    assert error.request_id.startswith("req_")
    assert "secret" not in str(error.body)


def test_every_answer_has_an_id_and_its_time(alone, client):
    raw = client(alone).models.with_raw_response.list()
    assert raw.headers["x-request-id"].startswith("req_")
    assert int(raw.headers["openai-processing-ms"]) >= 0


async def test_many_calls_at_once_are_answered_each_with_its_own(alone):
    words = ["refund", "parcel", "else"]
    async with AsyncOpenAI(base_url=f"{alone}/v1", api_key="k", max_retries=0) as sdk:
        create = sdk.chat.completions.create
        answers = await asyncio.gather(*[create(model=MODEL, messages=prompt(words[i % 3])) for i in range(60)])
    intents = ["refund", "delivery", "other 🙂"]
    assert [answer.choices[0].message.content for answer in answers] == [
        f'{{"intent": "{intents[i % 3]}", "priority": "low"}}' for i in range(60)
    ]


def test_two_models_of_one_name_are_refused():
    with pytest.raises(UsageError, match="desk/triage"):
        create_app(House.of([Keywords(), Keywords(LABELS), Keywords()]))


# With a teacher.


def test_a_sure_student_answers_by_itself(cascade, client, teacher):
    assert ask(client(cascade), "refund")[0] == "student; confidence=0.9025"
    assert teacher.asked == []


@pytest.mark.parametrize(
    ("text", "options", "route"),
    [
        ("maybe", {}, "teacher; reason=low-confidence; confidence=0.25"),
        ("refund", {"tools": [TOOL]}, "teacher; reason=unsupported-by-student"),
        ("refund", {"extra_body": {"messages": UNKNOWN_PROMPT}}, "teacher; reason=prompt-not-fitting"),
    ],
)  # fmt: skip
def test_the_teacher_answers_what_the_student_leaves(cascade, client, teacher, text, options, route):
    assert ask(client(cascade), text, temperature=0.5, **options) == (route, "teacher says")
    assert (teacher.asked[0]["model"], teacher.asked[0]["temperature"]) == ("large-1", 0.5)
    assert teacher.keys == ["Bearer key"]


def streamed(sdk, text: str) -> str:
    chunks = sdk.chat.completions.create(model=MODEL, messages=prompt(text), stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_streams_come_from_whoever_answers(cascade, client):
    sdk = client(cascade)
    assert streamed(sdk, "refund") == '{"intent": "refund", "priority": "low"}'
    assert streamed(sdk, "maybe") == "teacher says"


@pytest.mark.parametrize("mood", ["broken", "slow", "page"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_teacher_in_trouble_gives_the_student_s_answer_or_502_but_no_hang(cascade, client, teacher, mood, stream):
    teacher.mood, sdk = mood, client(cascade)
    started = time.monotonic()
    create = sdk.chat.completions.with_raw_response.create
    raw = create(model=MODEL, messages=prompt("maybe refund"), stream=stream)
    assert raw.headers[ROUTE] == "student; confidence=0.25; flag=teacher-unavailable"
    with pytest.raises(openai.InternalServerError) as caught:
        create(model=MODEL, messages=UNKNOWN_PROMPT, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (502, "teacher_unavailable")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(("mood", "kind", "code"), [
    ("strict", openai.AuthenticationError, "bad_key"),
])  # fmt: skip
def test_a_teacher_s_refusal_arrives_as_it_was(cascade, client, teacher, mood, kind, code):
    teacher.mood = mood
    with pytest.raises(kind) as caught:
        ask(client(cascade), "maybe")
    assert caught.value.code == code


def test_an_overloaded_teacher_leaves_the_doubtful_call_to_the_student(cascade, client, teacher):
    teacher.mood = "busy"
    sdk = client(cascade)
    raw = sdk.chat.completions.with_raw_response.create(model=MODEL, messages=prompt("maybe refund"))
    assert raw.headers[ROUTE] == "student; confidence=0.25; flag=teacher-unavailable"
    with pytest.raises(openai.RateLimitError) as caught:
        sdk.chat.completions.create(model=MODEL, messages=UNKNOWN_PROMPT)
    assert caught.value.code == "rate_limit"


def test_a_stream_that_breaks_off_is_an_error_of_the_sdk(cascade, client, teacher):
    teacher.mood = "dying"
    chunks = client(cascade).chat.completions.create(model=MODEL, messages=prompt("maybe"), stream=True)
    assert [next(chunks).choices[0].delta.content for _ in range(2)] == ["", "teacher "]
    with pytest.raises(openai.APIError) as caught:
        next(chunks)
    assert caught.value.code == "teacher_unavailable"


def test_the_teacher_is_hung_up_on_when_the_client_leaves(cascade, client, teacher):
    teacher.mood = "endless"
    stream = client(cascade).chat.completions.create(model=MODEL, messages=prompt("maybe"), stream=True)
    next(iter(stream))
    started = time.monotonic()
    stream.close()
    assert teacher.hung_up.wait(2)
    assert time.monotonic() - started < 0.8  # sooner than the second after which it is given up anyway


def test_a_slow_teacher_holds_up_nobody_else(cascade, client, teacher):
    teacher.mood, sdk = "slow", client(cascade)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, sdk, "maybe")
        time.sleep(0.2)
        started = time.monotonic()
        ask(sdk, "refund")
        assert time.monotonic() - started < 0.5
        assert waiting.result()[0].endswith("teacher-unavailable")


def test_what_happened_is_counted(cascade, client, teacher):
    sdk = client(cascade)
    ask(sdk, "refund")
    ask(sdk, "maybe")
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("made-up-name")
    text = urllib.request.urlopen(f"{cascade}/metrics").read().decode()
    assert f'requests_total{{model="{MODEL}",route="student",status="200",why=""}} 1.0' in text
    assert f'requests_total{{model="{MODEL}",route="teacher",status="200",why="low-confidence"}} 1.0' in text
    assert 'requests_total{model="",route="none",status="404",why=""} 1.0' in text
    assert "made-up-name" not in text
    assert "stillhouse_requests_in_flight 1.0" in text


def test_a_gateway_can_be_started_again(tmp_path):
    for _ in range(2):
        with served(create_app(House.of([Keywords()]))) as url:
            assert urllib.request.urlopen(f"{url}/healthz").status == 200
