"""`POST /v1/chat/completions`: a call read, answered by whoever may, and the answer written."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.chat import Answer, ChatCall, Completion
from stillhouse.errors import StorageError
from stillhouse.gateway.auth import Gate, project_of
from stillhouse.gateway.body import read_body
from stillhouse.gateway.capture import Capture, log_loss
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.harvest import Harvest, More
from stillhouse.gateway.house import Answerer, House
from stillhouse.gateway.leaving import while_there
from stillhouse.gateway.metrics import Tally
from stillhouse.gateway.shelf import Shelf
from stillhouse.gateway.stream import EVENTS, relay, relayed_response
from stillhouse.storage.ids import new_id
from stillhouse.storage.records import Scope
from stillhouse.wire.chat import read_call, read_usage, write_completion, write_stream
from stillhouse.wire.stored_completions import Keep, read_keep

__all__ = ["ROUTE", "ChatCompletions"]

ROUTE = "x-stillhouse-route"
GONE = 499
"""The status that is counted for a client that did not wait for its answer."""


@final
class ChatCompletions:
    """Answers chat completions with the models served here."""

    def __init__(self, house: House, shelf: Shelf | None = None) -> None:
        self._house, self._shelf, self._harvest = house, shelf, Harvest()

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        return [gate.route("/v1/chat/completions", self.create, Scope.INFER, "POST")]

    async def create(self, request: Request) -> Response:
        """Answer one call; the header `x-stillhouse-route` says who did, and why.

        One that asks to be stored is answered once it is: a stream's end comes after that.
        """
        call = read_call(await read_body(request))
        answerer = await self._house.find(project_of(request), call.model)
        keep = read_keep(call.body, self._shelf.policy.every) if self._shelf else None
        capture = await self._capture(self._shelf, call, keep, request) if self._shelf and keep else None
        if keep and keep.is_asked:
            call = replace(call, body=keep.rest)
        tally: Tally = request.scope["tally"]
        tally.model = answerer.counted or answerer.card.id
        asked = self._ask(answerer, call, capture)
        answer = await while_there(request, asked) if answerer.is_far else await asked
        if answer is None:
            return Response(status_code=GONE)
        tally.route = answer.route
        tally.price = answerer.price if answer.route.who == "teacher" else None
        return await respond(call, answer, capture, tally)

    async def _ask(self, answerer: Answerer, call: ChatCall, capture: Capture | None) -> Answer:
        """The answer; along with one that is kept, what is to be known of it beyond what the client wants."""
        wanted = self._harvest.wanted(answerer, call) if capture else []
        if capture and not capture.takes_words:
            wanted = [more for more in wanted if more != More.LOGPROBS]
        if capture is None or not wanted:
            return await answerer.chat(call)
        capture.is_harvested = True
        return await self._harvest.ask(answerer, call, wanted)

    async def _capture(self, shelf: Shelf, call: ChatCall, keep: Keep, request: Request) -> Capture | None:
        """What keeps a call; None when it cannot be kept and nobody asked for that."""
        try:
            return Capture(await shelf.open(), shelf.policy, call, keep, request)
        except StorageError as error:
            if keep.is_asked:
                raise
            log_loss(error)
            return None


async def respond(call: ChatCall, answer: Answer, capture: Capture | None, tally: Tally) -> Response:
    """An answer as an HTTP response, streamed where that was asked for, and kept where that was."""
    headers = {ROUTE: str(answer.route)}
    if isinstance(answer, Completion):
        tally.read, tally.written = answer.usage.prompt_tokens, answer.usage.completion_tokens
        completion_id, created = capture.id if capture else new_id("chatcmpl-"), int(time.time())
        whole = b"" if call.stream and not capture else write_completion(answer, call, completion_id, created)
        if capture:
            await capture.keep(whole, answer.route)
        if call.stream:
            events = b"".join(write_stream(answer, call, completion_id, created))
            return Response(events, headers=headers, media_type=EVENTS)
        return Response(whole, headers=headers, media_type=JSON)
    if isinstance(answer.content, bytes):
        tally.count(None if capture else read_usage(answer.content))
        content = await capture.keep(answer.content, answer.route) if capture else answer.content
        return Response(content, headers=headers, media_type=JSON)
    if capture:
        return relayed_response(answer.content, headers, capture.relayed(relay(answer.content), answer.route))
    return relayed_response(answer.content, headers)
