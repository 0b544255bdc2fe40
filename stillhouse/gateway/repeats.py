"""Repeats: a call sent again with its `Idempotency-Key` is answered as the first time, and not done again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message

from stillhouse.errors import StillhouseError, StorageError
from stillhouse.gateway.body import read_body
from stillhouse.gateway.faults import refused
from stillhouse.gateway.shelf import Shelf
from stillhouse.gateway.stream import EVENTS
from stillhouse.storage.records import Claim, KeptAnswer, Seen
from stillhouse.wire.errors import WireError

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["KEY", "LONGEST_KEY", "REPLAYED", "Endpoint", "Repeats"]

KEY, LONGEST_KEY = "idempotency-key", 255
REPLAYED = "idempotent-replayed"
"""The header of an answer that was given before."""

LARGEST = 2**20
"""Bytes of the largest answer that is kept."""

PASSING = (408, 409, 429, 499)
"""Statuses of what is worth another try, or was read by nobody; so are those of the server's own trouble."""

SECONDS = 5.0
"""Between two renewals of a claim."""

SPOKEN = ("/v1/chat/completions", "/v1/fine_tuning/alpha/graders/run", "/v1/fine_tuning/alpha/graders/validate")
"""Whose answers repeat what somebody said, which nothing else may have kept."""

Endpoint = Callable[[Request], Awaitable[Response]]


@final
class Repeats:
    """Keeps the answers of calls that have a key, and gives them again."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def answer(self, request: Request, project: str, endpoint: Endpoint) -> Response:
        """What a call with a key is answered: by `endpoint`, or as it was before.

        Raises WireError for a key that is none, or another call's, and with 409 while the first is being answered.
        """
        place = _place(request)
        if request.scope["path"] in SPOKEN and not self._may_keep_words:
            return await endpoint(request)
        body: bytes | None = None
        if not request.headers.get("content-type", "").lower().startswith("multipart/"):
            content = await read_body(request)
            request, body = _unread(request, content), hashlib.sha256(content).digest()
        store = await self._shelf.open()
        found = await store.answers.claim(project, place, body)
        if isinstance(found, Claim):
            return await _answer_first(store, found, request, endpoint)
        return _answer_again(found, body)

    @property
    def _may_keep_words(self) -> bool:
        return self._shelf.policy.keeps_words


async def _answer_first(store: Store, claim: Claim, request: Request, endpoint: Endpoint) -> Response:
    """What the endpoint says, kept before it is told if that may be."""
    async with _held(store, claim) as keep:
        try:
            response = await endpoint(request)
        except (HTTPException, StillhouseError) as error:
            response = await refused(request, error)
        answer = _worth_keeping(response)
        if answer:
            await keep(answer)
        return response


def _answer_again(seen: Seen, body: bytes | None) -> Response:
    if seen.body != body:
        words = "This Idempotency-Key came with another body before. Use a new one for each new call."
        raise WireError(words, "idempotency_key_reused", KEY)
    if seen.answer is None:
        words = "A call with this Idempotency-Key is being answered. Try again later."
        raise WireError(words, "idempotency_key_in_use", KEY, 409)
    headers = {**seen.answer.headers, REPLAYED: "true"}
    return Response(seen.answer.content, seen.answer.status, headers)


@asynccontextmanager
async def _held(store: Store, claim: Claim) -> AsyncGenerator[Callable[[KeptAnswer], Awaitable[None]]]:
    """A claim, renewed while a call is answered; what keeps its answer. Without one the claim is given up.

    A call that has been done is answered though its answer cannot be kept: its client would only ask again.
    """
    is_kept = False

    async def keep(answer: KeptAnswer) -> None:
        nonlocal is_kept
        try:
            is_kept = await store.answers.keep(claim, answer)
        except StorageError as error:
            _log("The answer to a call with an Idempotency-Key is not kept.", error)

    renewing = asyncio.create_task(_renew(store, claim), name="idempotency-claim")
    try:
        yield keep
    finally:
        renewing.cancel()
        if not is_kept:
            try:
                await store.answers.release(claim)
            except StorageError as error:
                _log("A call with an Idempotency-Key holds it for some seconds more.", error)


async def _renew(store: Store, claim: Claim) -> None:
    while True:
        await asyncio.sleep(SECONDS)
        try:
            await store.answers.renew(claim)
        except StorageError as error:
            _log("The claim to an Idempotency-Key was not renewed.", error)


def _worth_keeping(response: Response) -> KeptAnswer | None:
    """A response as it is kept; None for one that is not."""
    if isinstance(response, StreamingResponse) or response.status_code >= 500 or response.status_code in PASSING:
        return None
    content = bytes(response.body)
    if len(content) > LARGEST or response.headers.get("content-type", "").startswith(EVENTS):
        return None
    headers = {name: value for name, value in response.headers.items() if name not in ("content-length", "connection")}
    return KeptAnswer(response.status_code, headers, content)


def _place(request: Request) -> bytes:
    """The SHA-256 of what makes a call the same one in its project; raises WireError for a key that is none."""
    key = request.headers[KEY]
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        words = f"The header 'Idempotency-Key' must have 1 to {LONGEST_KEY} printable ASCII characters."
        raise WireError(words, "invalid_value", KEY)
    return hashlib.sha256(f"{request.method} {request.scope['path']}\n{key}".encode()).digest()


def _unread(request: Request, content: bytes) -> Request:
    """A request whose body can be read once more."""
    is_read = False

    async def receive() -> Message:
        nonlocal is_read
        if is_read:
            return await request.receive()
        is_read = True
        return {"type": "http.request", "body": content, "more_body": False}

    return Request(request.scope, receive)


def _log(words: str, error: StorageError) -> None:
    logging.getLogger("stillhouse.gateway").error("%s %s", words, error)
