"""TeacherApi: any endpoint that speaks OpenAI's chat completions, as a `Chat`."""

from __future__ import annotations

import asyncio
import random
import time
from types import TracebackType
from typing import final
from urllib.parse import urlsplit

import aiohttp

from stillhouse.chat import ChatCall, Relayed, Route
from stillhouse.errors import TeacherError, TeacherUnavailable, UsageError
from stillhouse.teachers.asking import Failure, Patience, read_retry_after, wait_before_retry
from stillhouse.wire.chat import replace_model

__all__ = ["TeacherApi", "chat_address"]

LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError, OSError)


@final
class TeacherApi:
    """Passes calls on as they came, with another model's name, and answers as they come back.

    Use it as an async context manager: it keeps connections open between calls.
    """

    def __init__(self, url: str, model: str, key: str | None = None, patience: Patience | None = None) -> None:
        """`url` is the base URL, with or without `/v1`; raises UsageError when it is not an HTTP one."""
        self._address, self._model = chat_address(url), model
        self._key = key
        self._patience = patience or Patience()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> TeacherApi:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def __call__(self, call: ChatCall) -> Relayed:
        """The teacher's answer.

        Raises TeacherError with its status and body when it refuses the call (4xx), and
        TeacherUnavailable when it cannot be reached, is too slow or keeps failing.
        """
        body = replace_model(call.body, self._model)
        started, retries = time.monotonic(), 0
        while True:
            outcome = await self._attempt(body, call.stream, self._patience.total - (time.monotonic() - started))
            if isinstance(outcome, Relayed):
                return outcome
            elapsed = time.monotonic() - started
            wait = wait_before_retry(self._patience, outcome, retries, elapsed, random.random())
            if wait is None:
                raise outcome.error
            await asyncio.sleep(wait)
            retries += 1

    async def _attempt(self, body: bytes, stream: bool, seconds: float) -> Relayed | Failure:
        """One request, within some seconds; raises TeacherUnavailable when another would not help."""
        if self._session is None:
            raise TeacherUnavailable("The teacher's connections are not open.")
        timeout = aiohttp.ClientTimeout(total=seconds, connect=self._patience.connect)
        try:
            response = await self._session.post(self._address, data=body, timeout=timeout, allow_redirects=False)
            try:
                return await _read(response, stream)
            except BaseException:
                response.close()
                raise
        except aiohttp.ConnectionTimeoutError as error:
            raise TeacherUnavailable(f"No connection to the teacher within {self._patience.connect:g} s.") from error
        except TimeoutError as error:
            raise TeacherUnavailable(f"The teacher did not answer within {self._patience.total:g} s.") from error
        except LOST as error:
            return Failure(TeacherUnavailable(f"The teacher could not be reached ({type(error).__name__})."))


@final
class Events:
    """The server-sent events of a teacher, as they come; closing it hangs up."""

    def __init__(self, response: aiohttp.ClientResponse, first: bytes) -> None:
        self._response, self._first = response, first

    @classmethod
    async def open(cls, response: aiohttp.ClientResponse) -> Events:
        """Wait for the first bytes, so that a teacher that fails before them can still be replaced."""
        if response.content_type != "text/event-stream":
            raise TeacherUnavailable("The teacher does not stream. Is --teacher the base URL of its API?")
        first = await response.content.readany()
        if not first:
            raise TeacherUnavailable("The teacher hung up before the first word.")
        return cls(response, first)

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._first = self._first, b""
        try:
            chunk = chunk or await self._response.content.readany()
        except LOST as error:  # a TimeoutError is an OSError
            self.close()
            raise TeacherUnavailable(f"The teacher broke off in its answer ({type(error).__name__}).") from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """Hang up; after the last bytes the connection has gone back to be used again already."""
        self._response.close()


async def _read(response: aiohttp.ClientResponse, stream: bool) -> Relayed | Failure:
    if response.status >= 400:
        return await _read_refusal(response)
    if stream:
        return Relayed(await Events.open(response), Route("teacher"))
    content = await response.read()
    if response.status != 200 or content.lstrip()[:1] != b"{":
        raise TeacherUnavailable("The teacher's answer is not JSON. Is --teacher the base URL of its API?")
    return Relayed(content, Route("teacher"))


async def _read_refusal(response: aiohttp.ClientResponse) -> Failure:
    status, body = response.status, await response.read()
    retry_after = read_retry_after(response.headers.get("Retry-After"))
    if status >= 500 or status == 429:
        return Failure(TeacherUnavailable(f"The teacher failed with status {status}.", status, body), retry_after)
    return Failure(TeacherError(f"The teacher refused the call with status {status}.", status, body), retry_after)


def chat_address(url: str) -> str:
    """Where an API's chat completions are, given its base URL: a bare host means `/v1`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--teacher {url} is not the URL of an API. It looks like http://localhost:8000/v1")
    path = parts.path.rstrip("/") or "/v1"
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return parts._replace(path=path).geturl()
