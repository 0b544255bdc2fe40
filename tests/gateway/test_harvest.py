"""What is asked of whom along with a call: see `test_furnish` for what becomes of it."""

from __future__ import annotations

import json

import pytest

from stillhouse.chat import ChatCall, Relayed, Route
from stillhouse.errors import TeacherError, TeacherUnavailable
from stillhouse.gateway.harvest import Harvest, More
from stillhouse.gateway.house import Answerer
from stillhouse.gateway.metrics import Price
from stillhouse.wire.models import ModelCard

STREAM = ChatCall("m", (), stream=True, body=b'{"model": "m", "stream": true}')
BOTH = [More.LOGPROBS, More.USAGE]


def answerer(chat, harvest: int = 20, price: Price | None = None) -> Answerer:
    return Answerer(chat, ModelCard("m", 1), harvest=harvest, price=price)


class Fussy:
    """A model that refuses calls with some of these keys."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.asked = refused, []

    async def __call__(self, call: ChatCall) -> Relayed:
        keys = set(json.loads(call.body))
        self.asked.append(sorted(keys - {"model", "stream", "top_logprobs"}))
        if keys & set(self.refused):
            raise TeacherError("no", 400)
        return Relayed(b"{}", Route("teacher"))


@pytest.mark.parametrize(
    ("harvest", "logprobs", "top", "wanted"),
    [(20, False, 0, True), (0, False, 0, False), (5, True, 2, True), (5, True, 5, False), (5, True, 20, False)],
)
def test_log_probabilities_are_wanted_where_the_call_does_not_get_as_many(harvest, logprobs, top, wanted):
    call = ChatCall("m", (), logprobs=logprobs, top_logprobs=top)
    assert Harvest().wanted(answerer(None, harvest), call) == ([More.LOGPROBS] if wanted else [])


@pytest.mark.parametrize(
    ("price", "stream", "include", "wanted"),
    [(True, True, False, True), (False, True, False, False), (True, False, False, False), (True, True, True, False)],
)
def test_tokens_of_streams_are_wanted_where_they_have_a_price(price, stream, include, wanted):
    call = ChatCall("m", (), stream=stream, include_usage=include)
    priced = answerer(None, 0, Price(1, 1) if price else None)
    assert Harvest().wanted(priced, call) == ([More.USAGE] if wanted else [])


@pytest.mark.parametrize(
    ("refused", "asked", "left"),
    [
        ((), [["logprobs", "stream_options"]], BOTH),
        (("logprobs",), [["logprobs", "stream_options"], ["stream_options"]], [More.USAGE]),
        (("stream_options",), [["logprobs", "stream_options"], ["stream_options"], []], []),
    ],
)
async def test_a_model_that_refuses_something_is_asked_for_less_and_then_left_alone(refused, asked, left):
    model, harvest = Fussy(*refused), Harvest()
    one = answerer(model, price=Price(1, 1))
    assert (await harvest.ask(one, STREAM, harvest.wanted(one, STREAM))).content == b"{}"
    assert model.asked == asked
    assert harvest.wanted(one, STREAM) == left


@pytest.mark.parametrize(
    ("error", "times"), [(TeacherError("no", 400), 3), (TeacherError("no", 401), 1), (TeacherUnavailable("no", 500), 1)]
)
async def test_a_call_that_is_wrong_is_no_sign_against_the_model(error, times):
    asked = []

    async def refuse(call):
        asked.append(call)
        raise error

    harvest, one = Harvest(), answerer(refuse, price=Price(1, 1))
    with pytest.raises(TeacherError):
        await harvest.ask(one, STREAM, BOTH)
    assert len(asked) == times
    assert harvest.wanted(one, STREAM) == BOTH


async def test_after_a_while_it_is_asked_again(monkeypatch):
    monkeypatch.setattr("stillhouse.gateway.harvest.UNWILLING", 0.0)
    harvest, one = Harvest(), answerer(Fussy("logprobs"))
    await harvest.ask(one, STREAM, [More.LOGPROBS])
    assert harvest.wanted(one, STREAM) == [More.LOGPROBS]
