"""`POST /v1/chat/completions`: a call read, answered by whoever may, and the answer written."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.chat import Answer, Chat, ChatCall, Completion
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.metrics import Tally
from stillhouse.gateway.stream import EVENTS, relayed_response
from stillhouse.wire.chat import read_call, write_completion, write_stream
from stillhouse.wire.errors import unknown_model

__all__ = ["LARGEST_BODY", "ROUTE", "ChatCompletions"]

LARGEST_BODY = 8 * 2**20
"""Bytes of a request's body; more is refused."""

ROUTE = "x-stillhouse-route"


@final
class ChatCompletions:
    """Answers chat completions with the models served here."""

    def __init__(self, chats: Mapping[str, Chat]) -> None:
        self._chats = chats

    def routes(self) -> list[Route]:
        """Where it is found."""
        return [Route("/v1/chat/completions", self.create, methods=["POST"])]

    async def create(self, request: Request) -> Response:
        """Answer one call; the header `x-stillhouse-route` says who did, and why."""
        call = read_call(await read_body(request))
        chat = self._chats.get(call.model)
        if chat is None:
            raise unknown_model(call.model)
        tally: Tally = request.scope["tally"]
        tally.model = call.model
        answer = await chat(call)
        tally.route = answer.route
        return respond(call, answer)


def respond(call: ChatCall, answer: Answer) -> Response:
    """An answer as an HTTP response, streamed where that was asked for."""
    headers = {ROUTE: str(answer.route)}
    if isinstance(answer, Completion):
        completion_id, created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
        if call.stream:
            events = b"".join(write_stream(answer, call, completion_id, created))
            return Response(events, headers=headers, media_type=EVENTS)
        return Response(write_completion(answer, call, completion_id, created), headers=headers, media_type=JSON)
    if isinstance(answer.content, bytes):
        return Response(answer.content, headers=headers, media_type=JSON)
    return relayed_response(answer.content, headers)


async def read_body(request: Request) -> bytes:
    """The body of a request; of one that is too large nothing is kept, and most is read so that the client listens."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= LARGEST_BODY:
            chunks.append(chunk)
        elif size > 8 * LARGEST_BODY:
            break
        else:
            chunks.clear()
    if size > LARGEST_BODY:
        raise HTTPException(413, f"The request is too large: at most {LARGEST_BODY // 2**20} MiB are read.")
    return b"".join(chunks)
