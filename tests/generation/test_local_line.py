"""A model here is asked as an API is: the same answers, and failures by their kind."""

from __future__ import annotations

import asyncio
import json

import pytest

from stillhouse.chat import ChatCall, Choice, Completion, Relayed, Route, TokenLogprob, Usage
from stillhouse.errors import ModelFailed
from stillhouse.generation.local_line import LocalLine
from stillhouse.teachers.api import Heard
from stillhouse.wire.errors import WireError

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()


class Speaker:
    """Says what it is told to, or fails so."""

    def __init__(self, said) -> None:
        self.said, self.closed = said, False

    async def __call__(self, call: ChatCall):
        if isinstance(self.said, float):
            await asyncio.sleep(self.said)
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    def close(self) -> None:
        self.closed = True


WHOLE = Completion("m", (Choice((TokenLogprob("hello", -0.1),)),), Usage(1, 1), Route("local"))


async def asked(said, body: bytes = BODY):
    speaker = Speaker(said)
    async with LocalLine("local:x", lambda: speaker) as line:
        outcome = await line.ask_once(body, "k", 0.2)
        assert not speaker.closed
    assert speaker.closed
    return outcome


@pytest.mark.parametrize("said", [WHOLE, Relayed(b'{"choices": [{"message": {"content": "hello"}}]}', Route("local"))])
async def test_its_answer_is_the_json_of_an_api(said):
    heard = await asked(said)
    assert isinstance(heard, Heard)
    assert json.loads(heard.content)["choices"][0]["message"]["content"] == "hello"


@pytest.mark.parametrize(
    ("said", "body", "status", "words"),
    [
        (WireError("too long", "context_length_exceeded", "messages"), BODY, 400, "refused the call with status 400"),
        (WireError("busy", "rate_limit", None, 429), BODY, 429, "status 429"),
        (ModelFailed("out of memory"), BODY, None, "out of memory"),
        (5.0, BODY, None, "did not answer within 0.2 s"),
        (WHOLE, b"{}", 400, "refused the call"),
        (Relayed(None, Route("local")), BODY, 500, "streams"),  # type: ignore[arg-type]
    ],
)
async def test_its_failures_are_told_by_their_kind(said, body, status, words):
    failure = await asked(said, body)
    assert not isinstance(failure, Heard)
    assert failure.error.status == status
    assert words in str(failure.error)
    assert not failure.doubtful


async def test_it_is_opened_by_the_first_question_and_once():
    opened: list[Speaker] = []

    def open_speaker() -> Speaker:
        opened.append(Speaker(WHOLE))
        return opened[-1]

    async with LocalLine("local:x", open_speaker) as line:
        assert opened == []
        heard = await asyncio.gather(*(line.ask_once(BODY, "k", 1) for _ in range(4)))
        assert all(isinstance(each, Heard) for each in heard)
    assert [speaker.closed for speaker in opened] == [True]


async def test_it_answers_only_while_it_is_open():
    line = LocalLine("local:x", lambda: Speaker(WHOLE))
    assert "not open" in str((await line.ask_once(BODY, "k", 1)).error)  # type: ignore[union-attr]
