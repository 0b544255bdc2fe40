"""`POST /v1/chat/completions`: a call read, answered by whoever may, and the answer written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.chat import Answer, Chat, ChatCall, Completion
from stillhouse.errors import StorageError
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.body import read_body
from stillhouse.gateway.capture import Capture, log_loss
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.metrics import Tally
from stillhouse.gateway.shelf import Shelf
from stillhouse.gateway.stream import EVENTS, relay, relayed_response
from stillhouse.storage.ids import new_id
from stillhouse.storage.records import Scope
from stillhouse.wire.chat import read_call, write_completion, write_stream
from stillhouse.wire.errors import unknown_model
from stillhouse.wire.stored_completions import Keep, read_keep

__all__ = ["ROUTE", "ChatCompletions"]

ROUTE = "x-stillhouse-route"


@final
class ChatCompletions:
    """Answers chat completions with the models served here."""

    def __init__(self, chats: Mapping[str, Chat], shelf: Shelf | None = None) -> None:
        self._chats, self._shelf = chats, shelf

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        return [gate.route("/v1/chat/completions", self.create, Scope.INFER, "POST")]

    async def create(self, request: Request) -> Response:
        """Answer one call; the header `x-stillhouse-route` says who did, and why.

        One that asks to be stored is answered once it is: a stream's end comes after that.
        """
        call = read_call(await read_body(request))
        chat = self._chats.get(call.model)
        if chat is None:
            raise unknown_model(call.model)
        keep = read_keep(call.body, self._shelf.every) if self._shelf else None
        capture = await self._capture(self._shelf, call, keep, request) if self._shelf and keep else None
        if keep and keep.is_asked:
            call = replace(call, body=keep.rest)
        tally: Tally = request.scope["tally"]
        tally.model = call.model
        answer = await chat(call)
        tally.route = answer.route
        return await respond(call, answer, capture)

    async def _capture(self, shelf: Shelf, call: ChatCall, keep: Keep, request: Request) -> Capture | None:
        """What keeps a call; None when it cannot be kept and nobody asked for that."""
        try:
            return Capture(await shelf.open(), call, keep, request)
        except StorageError as error:
            if keep.is_asked:
                raise
            log_loss(error)
            return None


async def respond(call: ChatCall, answer: Answer, capture: Capture | None) -> Response:
    """An answer as an HTTP response, streamed where that was asked for, and kept where that was."""
    headers = {ROUTE: str(answer.route)}
    if isinstance(answer, Completion):
        completion_id, created = capture.id if capture else new_id("chatcmpl-"), int(time.time())
        whole = b"" if call.stream and not capture else write_completion(answer, call, completion_id, created)
        if capture:
            await capture.keep(whole, answer.route)
        if call.stream:
            events = b"".join(write_stream(answer, call, completion_id, created))
            return Response(events, headers=headers, media_type=EVENTS)
        return Response(whole, headers=headers, media_type=JSON)
    if isinstance(answer.content, bytes):
        content = await capture.keep(answer.content, answer.route) if capture else answer.content
        return Response(content, headers=headers, media_type=JSON)
    if capture:
        return relayed_response(answer.content, headers, capture.relayed(relay(answer.content), answer.route))
    return relayed_response(answer.content, headers)
