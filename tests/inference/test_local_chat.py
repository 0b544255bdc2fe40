"""A local language model behind a real socket, called by the unmodified `openai` client."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal

import jsonschema
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from stillhouse.chat import ChatCall, Relayed
from stillhouse.errors import ModelFailed
from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import Answerer, House
from stillhouse.gateway.shelf import Shelf
from stillhouse.inference.decode import Limits
from stillhouse.inference.local_chat import LocalChat
from stillhouse.wire.chat import read_call
from stillhouse.wire.errors import WireError
from stillhouse.wire.models import ModelCard
from tests.gateway.serving import served
from tests.inference.speakers import HELLO, LEARNT, POSITIONS, WEATHER

PARCEL = [{"role": "user", "content": "Where is my parcel?"}]
RAIN = [{"role": "user", "content": "Is it raining in Ulm?"}]
JSON = [{"role": "user", "content": "json"}]
ODD = [{"role": "user", "content": "Tell me something the lazy dog does not know."}]


@pytest.fixture(scope="module")
def chat(taught) -> Iterator[LocalChat]:
    made = LocalChat.open(str(taught), name="tiny", threads=1, limits=Limits(rows=4, waiting=16))
    yield made
    made.close()


@pytest.fixture(scope="module")
def url(chat, tmp_path_factory) -> Iterator[str]:
    house = House()
    house.add(Answerer(chat, ModelCard("tiny", created=1), is_far=True))
    with served(create_app(house, Shelf(None, tmp_path_factory.mktemp("home")))) as url:
        yield f"{url}/v1"


@pytest.fixture(scope="module")
def client(url) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def create(client) -> Any:
    def create(messages: Any = PARCEL, **options: Any) -> Any:
        return client.chat.completions.create(model="tiny", messages=messages, **{"temperature": 0, **options})

    return create


def joined(stream: Any) -> tuple[str, str, list[Any]]:
    """Text, reason and chunks of a streamed answer."""
    chunks = list(stream)
    choices = [choice for chunk in chunks for choice in chunk.choices]
    text = "".join(choice.delta.content or "" for choice in choices)
    return text, [choice.finish_reason for choice in choices if choice.finish_reason][-1], chunks


def test_a_whole_answer(create):
    told = create()
    assert told.choices[0].message.content == HELLO
    assert told.choices[0].finish_reason == "stop"
    assert told.choices[0].logprobs is None
    assert (told.model, told.id[:9]) == ("tiny", "chatcmpl-")
    assert told.usage.total_tokens == told.usage.prompt_tokens + told.usage.completion_tokens
    assert told.usage.prompt_tokens > 5


def test_who_answered_is_in_the_header(client):
    raw = client.chat.completions.with_raw_response.create(model="tiny", messages=PARCEL, temperature=0)
    assert raw.headers["x-stillhouse-route"] == "local"


def test_a_stream_comes_piece_by_piece_in_whole_characters(create):
    text, reason, chunks = joined(create(stream=True, stream_options={"include_usage": True}))
    assert (text, reason) == (HELLO, "stop")
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert len(pieces) > 5
    assert all("\ufffd" not in piece for piece in pieces)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].usage == create().usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_sdks_own_stream_and_async_client(client, url):
    with client.chat.completions.stream(model="tiny", messages=PARCEL, temperature=0, logprobs=True) as stream:
        whole = stream.get_final_completion()
    assert whole.choices[0].message.content == HELLO
    assert b"".join(bytes(piece.bytes) for piece in whole.choices[0].logprobs.content).decode() == HELLO

    async def ask() -> list[str]:
        async with AsyncOpenAI(base_url=url, api_key="k") as client:
            calls = [client.chat.completions.create(model="tiny", messages=PARCEL, temperature=0) for _ in range(6)]
            return [told.choices[0].message.content for told in await asyncio.gather(*calls)]

    assert asyncio.run(ask()) == [HELLO] * 6


def test_answers_together_are_those_one_by_one(create):
    asked = [question for question, *_ in LEARNT] * 2 + ["fox", "Thank you! dog"]

    def answer(question: str) -> Any:
        return create([{"role": "user", "content": question}], max_tokens=40).choices[0].to_dict()

    alone = [answer(question) for question in asked]
    together: list[Any] = [None] * len(asked)

    def put(at: int) -> None:
        together[at] = answer(asked[at])

    threads = [threading.Thread(target=put, args=(at,)) for at in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_seed_and_n(create):
    def answers(**options: Any) -> list[str]:
        told = create(ODD, temperature=1.5, max_tokens=12, **options)
        return [choice.message.content for choice in told.choices]

    three = answers(seed=7, n=3)
    assert answers(seed=7, n=3) == three
    assert answers(seed=7) == three[:1]
    assert len(set(three)) == 3
    assert answers(seed=8) != three[:1]
    text, _, chunks = joined(create(ODD, temperature=1.5, max_tokens=12, seed=7, n=3, stream=True))
    parts = ["", "", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            parts[choice.index] += choice.delta.content or ""
    assert parts == three
    assert len(text) == sum(map(len, three))


def test_n_counts_the_prompt_once(create):
    one, three = create(max_tokens=3), create(max_tokens=3, n=3)
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    assert three.usage.completion_tokens == 9


def test_max_tokens_and_stop(create):
    short = create(max_completion_tokens=4)
    assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 4)
    assert HELLO.startswith(short.choices[0].message.content)
    for stop in ("is on", ["zzz", "s on i", "its"]):
        told = create(stop=stop).choices[0]
        assert (told.message.content, told.finish_reason) == (HELLO[: HELLO.index("is on") + (stop != "is on")], "stop")
        text, reason, _ = joined(create(stop=stop, stream=True))
        assert (text, reason) == (told.message.content, "stop")


def test_logprobs(create):
    told = create(logprobs=True, top_logprobs=3).choices[0]
    pieces = told.logprobs.content
    assert b"".join(bytes(piece.bytes) for piece in pieces).decode() == HELLO
    assert all(len(piece.top_logprobs) == 3 for piece in pieces)
    assert all(piece.top_logprobs[0].logprob == piece.logprob <= 0 for piece in pieces)
    assert all(piece.top_logprobs == [] for piece in create(logprobs=True).choices[0].logprobs.content)
    _, _, chunks = joined(create(logprobs=True, top_logprobs=3, stream=True))
    streamed = [piece for chunk in chunks if chunk.choices[0].logprobs for piece in chunk.choices[0].logprobs.content]
    assert [piece.to_dict() for piece in streamed] == [piece.to_dict() for piece in pieces]


def test_biases_and_penalties(create):
    first = create(max_tokens=1, logprobs=True, top_logprobs=1).choices[0]
    assert create(max_tokens=1, logit_bias={"40": 100}).choices[0].message.content != first.message.content
    plain = create(ODD, max_tokens=60).choices[0].message.content
    assert create(ODD, max_tokens=60, frequency_penalty=2, presence_penalty=2).choices[0].message.content != plain


def test_calls_of_tools(create):
    told = create(RAIN, tools=[WEATHER]).choices[0]
    assert (told.message.content, told.finish_reason) == ("Yes, it is.", "tool_calls")
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in told.message.tool_calls]
    assert calls == [("weather", {"town": "Ulm"}), ("weather", {"town": "Bonn"})]
    one = create(RAIN, tools=[WEATHER], parallel_tool_calls=False).choices[0]
    assert [json.loads(call.function.arguments) for call in one.message.tool_calls] == [{"town": "Ulm"}]
    assert one.finish_reason == "tool_calls"
    bare = create([{"role": "user", "content": "bare"}], tools=[WEATHER]).choices[0]
    assert json.loads(bare.message.tool_calls[0].function.arguments) == {"town": "Bonn"}
    assert bare.message.content is None


def test_calls_of_tools_in_a_stream(client):
    with client.chat.completions.stream(model="tiny", messages=RAIN, temperature=0, tools=[WEATHER]) as stream:
        told = stream.get_final_completion().choices[0]
    assert (told.message.content, told.finish_reason) == ("Yes, it is.", "tool_calls")
    assert [json.loads(call.function.arguments)["town"] for call in told.message.tool_calls] == ["Ulm", "Bonn"]
    assert len({call.id for call in told.message.tool_calls}) == 2


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_a_call_that_must_be_made(create, choice):
    for seed in range(2):
        told = create(ODD, tools=[WEATHER], tool_choice=choice, temperature=1.5, seed=seed, max_tokens=300).choices[0]
        assert told.finish_reason == "tool_calls"
        for call in told.message.tool_calls:
            assert json.loads(call.function.arguments)["town"] in ("Ulm", "Bonn")


def test_what_a_tool_said_is_read(create):
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Ulm"}'}}
    messages = [
        *RAIN,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
    ]
    assert (
        create(messages, tools=[WEATHER], max_tokens=3).usage.prompt_tokens
        > create(RAIN, max_tokens=1).usage.prompt_tokens
    )


class Trip(BaseModel):
    town: Literal["Ulm", "Bonn"]
    rain: bool
    stops: list[Literal[1, 2]] | None


def test_parse(client):
    for seed in range(5):
        told = client.chat.completions.parse(
            model="tiny", messages=ODD, response_format=Trip, temperature=1.5, seed=seed, max_tokens=400, stop=["] ]"]
        )
        if told.choices[0].finish_reason == "stop":
            assert isinstance(told.choices[0].message.parsed, Trip)


def test_json_object(create):
    told = create(JSON, response_format={"type": "json_object"}).choices[0]
    assert json.loads(told.message.content) == {"town": "Ulm", "rain": True}
    assert told.finish_reason == "stop"


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Schemas whose every answer ends, as a model that knows nothing would never end otherwise."""
    names = st.text('abcdefgh_ü "\\', min_size=1, max_size=4)
    leaves = st.one_of(
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.integers(-50, 50).map(lambda low: {"type": "integer", "minimum": low, "maximum": low + 7}),
        st.tuples(st.integers(0, 2), st.integers(2, 5)).map(
            lambda sizes: {"type": "string", "minLength": sizes[0], "maxLength": sizes[1]}
        ),
        st.lists(st.one_of(names, st.integers(-9, 9), st.booleans(), st.none()), min_size=1, max_size=3).map(
            lambda values: {"enum": values}
        ),
        names.map(lambda value: {"const": value}),
        st.sampled_from(["[ab]{1,3}", "x|yz", "[0-9]{4}-[0-9]{2}"]).map(
            lambda pattern: {"type": "string", "pattern": f"^({pattern})$"}
        ),
        st.just({"type": "string", "format": "date"}),
    )

    def inner(children: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        def an_object(properties: dict[str, Any], is_all: bool) -> dict[str, Any]:
            required = list(properties) if is_all else list(properties)[:1]
            return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

        return st.one_of(
            st.builds(an_object, st.dictionaries(names, children, max_size=3), st.booleans()),
            st.builds(
                lambda items, most: {"type": "array", "items": items, "maxItems": most}, children, st.integers(0, 2)
            ),
            st.lists(children, min_size=1, max_size=2).map(lambda options: {"anyOf": options}),
        )

    return st.recursive(leaves, inner, max_leaves=4)


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(schema=schemas(), seed=st.integers(0, 1 << 40), heat=st.sampled_from([0, 1, 2]))
def test_whatever_the_schema_the_answer_validates(create, schema, seed, heat):
    form = {"type": "json_schema", "json_schema": {"name": "any", "schema": schema, "strict": True}}
    told = create(ODD, response_format=form, seed=seed, temperature=heat, max_tokens=450).choices[0]
    assert told.finish_reason == "stop"
    jsonschema.validate(json.loads(told.message.content), schema)


def test_what_cannot_be_done_is_refused(create):
    def refused(messages: Any = PARCEL, **options: Any) -> tuple[int, str | None, str | None]:
        with pytest.raises(openai.APIStatusError) as caught:
            create(messages, **options)
        return caught.value.status_code, caught.value.code, caught.value.param

    bad = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array", "uniqueItems": True}}}
    assert refused(response_format=bad) == (400, "invalid_json_schema", "response_format")
    long = [{"role": "user", "content": "dog " * POSITIONS}]
    assert refused(long) == (400, "context_length_exceeded", "messages")
    assert refused(temperature=3) == (400, "decimal_above_max_value", "temperature")
    assert refused(logit_bias={"99999": 1}) == (400, "invalid_value", "logit_bias")
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]
    assert refused(picture)[:2] == (400, "unsupported_feature")
    assert refused(stream=True, stop=["a"] * 5)[0] == 400


def test_answers_are_stored_whole_and_streamed(client, create):
    whole = create(store=True, metadata={"test": "local"})
    _, _, chunks = joined(create(RAIN, tools=[WEATHER], store=True, metadata={"test": "local"}, stream=True))
    stored = {each.id: each for each in client.chat.completions.list(metadata={"test": "local"})}
    assert set(stored) == {whole.id, chunks[0].id}
    assert stored[whole.id].choices[0].message.content == HELLO
    message = stored[chunks[0].id].choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["weather"] * 2
    assert message.content == "Yes, it is."


def running(chat: LocalChat) -> int:
    return len(chat._decoder._batch.rows)


def settle(chat: LocalChat, count: int, seconds: float = 10) -> bool:
    """Wait until so many answers are being written."""
    ends = time.monotonic() + seconds
    while running(chat) != count and time.monotonic() < ends:
        time.sleep(0.002)
    return running(chat) == count


ENDLESS = {"logit_bias": {"2": -100}, "temperature": 1.0}
"""Options of an answer that goes on as long as there is room."""


@pytest.fixture(scope="module")
def slow(taught) -> Iterator[LocalChat]:
    """A model that is kept from being quick, so that leaving it can be seen."""
    made = LocalChat.open(str(taught), name="slow", threads=1, limits=Limits(rows=4, waiting=8))
    model, forward = made._decoder._batch._model, made._decoder._batch._model.forward

    def lingering(*args: Any, **options: Any) -> Any:
        time.sleep(0.01)
        return forward(*args, **options)

    model.forward = lingering
    yield made
    made.close()


@pytest.fixture(scope="module")
def slow_url(slow) -> Iterator[str]:
    house = House()
    house.add(Answerer(slow, ModelCard("slow", created=1), is_far=True))
    with served(create_app(house)) as url:
        yield f"{url}/v1"


def test_a_client_that_leaves_a_stream_takes_its_answer_out_of_the_batch(slow, slow_url):
    with OpenAI(base_url=slow_url, api_key="k", max_retries=0) as client:
        stream = client.chat.completions.create(model="slow", messages=ODD, stream=True, n=3, **ENDLESS)
        next(iter(stream))
        assert settle(slow, 3)
        stream.close()
        assert settle(slow, 0, 2)


def test_so_does_one_that_hangs_up_before_its_answer_is_whole(slow, slow_url):
    body = json.dumps({"model": "slow", "messages": ODD, **ENDLESS}).encode()
    host, port = slow_url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port))) as door:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        door.sendall(head.encode() + body)
        assert settle(slow, 1)
    assert settle(slow, 0, 2)


def test_too_many_calls_are_told_to_come_back(slow, slow_url):
    async def ask() -> list[Any]:
        async with AsyncOpenAI(base_url=slow_url, api_key="k", max_retries=0) as client:
            make = client.chat.completions.create
            calls = [make(model="slow", messages=ODD, max_tokens=30, **ENDLESS) for _ in range(30)]
            return await asyncio.gather(*calls, return_exceptions=True)

    told = asyncio.run(ask())
    refused = [error for error in told if isinstance(error, openai.RateLimitError)]
    assert 30 - 4 - 8 <= len(refused) <= 30 - 8  # the first calls wait too, until a step has ended
    assert {(error.code, error.response.headers["retry-after"]) for error in refused} == {("overloaded", "1")}
    assert all(each.usage.completion_tokens == 30 for each in told if not isinstance(each, Exception))


def call_of(**fields: Any) -> ChatCall:
    return read_call(json.dumps({"model": "tiny", "messages": PARCEL, "temperature": 0, **fields}).encode())


async def test_it_is_a_chat_like_any_other(chat):
    told = await chat(call_of())
    assert isinstance(told, Relayed)
    assert json.loads(told.content)["choices"][0]["message"]["content"] == HELLO
    with pytest.raises(WireError):
        await chat(call_of(stop=[""]))


async def test_a_model_that_breaks_down(taught, caplog):
    made = LocalChat.open(str(taught), name="tiny")
    model, forward = made._decoder._batch._model, made._decoder._batch._model.forward
    calls = 0

    def breaking(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 4 == 0:
            raise RuntimeError("a secret detail of the inside")
        return forward(*args, **options)

    model.forward = breaking
    with pytest.raises(ModelFailed, match="RuntimeError") as caught:
        await made(call_of())
    assert "secret" not in str(caught.value)
    answer = await made(call_of(stream=True))
    events = [event async for event in answer.content]
    assert b'"code":"model_failed"' in events[-1]
    assert b"[DONE]" not in b"".join(events)
    calls = 3
    with pytest.raises(ModelFailed):
        await made(call_of(stream=True))
    house = House()
    house.add(Answerer(made, ModelCard("tiny", created=1)))
    house.on_close(made.close)
    with (
        served(create_app(house)) as url,
        OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as seen,
    ):
        client.chat.completions.create(model="tiny", messages=PARCEL)
    assert (seen.value.code, "secret" in str(seen.value)) == ("model_failed", False)
    assert "secret" in caplog.text
