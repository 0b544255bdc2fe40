"""TeacherApi: any endpoint that speaks OpenAI's chat completions, as a `Chat`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from types import TracebackType
from typing import final

import aiohttp

from stillhouse.chat import ChatCall, Relayed, Route
from stillhouse.errors import TeacherError, TeacherUnavailable
from stillhouse.teachers.address import chat_address
from stillhouse.teachers.asking import Failure, Patience, read_retry_after, wait_before_retry
from stillhouse.wire.chat import replace_model
from stillhouse.wire.models import read_models

__all__ = ["Endpoint", "Heard", "TeacherApi", "TeacherModel"]

LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError, OSError)
SECRET = 12
"""Characters from which on a key is no word that a refusal may hold by chance."""
SECONDS_TO_LIST = 3.0
LARGEST_ANSWER = 64 * 2**20
"""Bytes of an answer that is not streamed; a larger one is an error."""
LARGE = 2**19
"""Bytes from which on a request is sent piece by piece."""
LOST_ON_THE_WAY = (408, 502, 504)
"""Statuses by which something between us and the teacher gives up a call that the teacher may still answer."""


@final
@dataclass(frozen=True, slots=True)
class Heard:
    """The JSON of an answer, and whether the teacher had given it before to the same Idempotency-Key."""

    content: bytes
    replayed: bool = False


@final
class Endpoint:
    """The connections to one API, shared by all that ask it. Use it as an async context manager."""

    def __init__(
        self, url: str, key: str | None = None, patience: Patience | None = None, connections: int = 0
    ) -> None:
        """`url` is the base URL, with or without `/v1`; raises UsageError when it is not an HTTP one.

        At most `connections` calls are under way at once, and as many again wait for them; 0 means any number.
        """
        self.address, self._key, self._connections = chat_address(url), key, connections
        self._patience = patience or Patience()
        self._session: aiohttp.ClientSession | None = None
        self._busy = 0

    async def __aenter__(self) -> Endpoint:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        connector = aiohttp.TCPConnector(limit=self._connections)
        self._session = aiohttp.ClientSession(headers=headers, connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def ask(self, body: bytes, stream: bool) -> Relayed:
        """The answer to a request's body.

        Raises TeacherError with its status and body when the API refuses the call (4xx), and TeacherUnavailable when
        it cannot be reached, is too slow, keeps failing, or has as many calls under way and waiting as it may.
        """
        if self._connections and self._busy >= 2 * self._connections:
            raise _busy(self._busy)
        self._busy += 1
        answer: Relayed | None = None
        try:
            answer = await self._persist(body, stream)
            return answer
        finally:
            if answer is None or isinstance(answer.content, bytes):
                self._busy -= 1

    async def ask_once(self, body: bytes, key: str, seconds: float) -> Heard | Failure:
        """One attempt within some seconds, and no other: when to try again is the caller's matter.

        `key` goes along as Idempotency-Key: servers that honour it, as Stillhouse does, answer the same call once.
        """
        if self._session is None:
            raise TeacherUnavailable("The teacher's connections are not open.")
        timeout = aiohttp.ClientTimeout(total=seconds, connect=self._patience.connect)
        data = BytesIO(body) if len(body) > LARGE else body
        headers = {"Idempotency-Key": key}
        try:
            async with self._session.post(
                self.address, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                return await self._hear(response)
        except aiohttp.ConnectionTimeoutError:
            return Failure(TeacherUnavailable(f"No connection to the teacher within {self._patience.connect:g} s."))
        except aiohttp.ClientConnectorError as error:
            return Failure(TeacherUnavailable(f"The teacher could not be reached ({type(error).__name__})."))
        except TimeoutError:
            words = f"The teacher did not answer within {seconds:g} s."
            return Failure(TeacherUnavailable(words), doubtful=True)
        except LOST as error:
            words = f"The connection to the teacher was lost ({type(error).__name__})."
            return Failure(TeacherUnavailable(words), doubtful=True)
        except TeacherUnavailable as error:
            return Failure(error, doubtful=True)

    async def models(self) -> list[str]:
        """The names of the API's models; none when it does not tell them within seconds."""
        if self._session is None:
            return []
        timeout = aiohttp.ClientTimeout(total=SECONDS_TO_LIST)
        address = self.address.removesuffix("/chat/completions") + "/models"
        try:
            async with self._session.get(address, timeout=timeout, allow_redirects=False) as response:
                return read_models(await _read_whole(response)) if response.status == 200 else []
        except (*LOST, TeacherUnavailable):
            return []

    async def _persist(self, body: bytes, stream: bool) -> Relayed:
        started, retries = time.monotonic(), 0
        while True:
            outcome = await self._attempt(body, stream, self._patience.total - (time.monotonic() - started))
            if isinstance(outcome, Relayed):
                return outcome
            elapsed = time.monotonic() - started
            wait = wait_before_retry(self._patience, outcome, retries, elapsed, random.random())
            if wait is None:
                outcome.error.retry_after = outcome.retry_after
                raise outcome.error
            await asyncio.sleep(wait)
            retries += 1

    async def _attempt(self, body: bytes, stream: bool, seconds: float) -> Relayed | Failure:
        """One request, within some seconds; raises TeacherUnavailable when another would not help."""
        if self._session is None:
            raise TeacherUnavailable("The teacher's connections are not open.")
        timeout = aiohttp.ClientTimeout(total=seconds, connect=self._patience.connect)
        try:
            response = await self._session.post(self.address, data=body, timeout=timeout, allow_redirects=False)
            try:
                return await self._read(response, stream)
            except BaseException:
                response.close()
                raise
        except aiohttp.ConnectionTimeoutError as error:
            if self._connections and self._busy > self._connections:
                raise _busy(self._busy) from error
            raise TeacherUnavailable(f"No connection to the teacher within {self._patience.connect:g} s.") from error
        except TimeoutError as error:
            raise TeacherUnavailable(f"The teacher did not answer within {self._patience.total:g} s.") from error
        except LOST as error:
            return Failure(TeacherUnavailable(f"The teacher could not be reached ({type(error).__name__})."))

    async def _hear(self, response: aiohttp.ClientResponse) -> Heard | Failure:
        status = response.status
        if status >= 400:
            return replace(await self._read_refusal(response), doubtful=status in LOST_ON_THE_WAY)
        content = await _read_whole(response)
        if status != 200 or content.lstrip()[:1] != b"{":
            words = "The teacher's answer is not JSON. Is its URL the base URL of an API?"
            return Failure(TeacherError(words, status, content[:LARGE]))
        return Heard(content, response.headers.get("Idempotent-Replayed", "").lower() == "true")

    async def _read(self, response: aiohttp.ClientResponse, stream: bool) -> Relayed | Failure:
        if response.status >= 400:
            return await self._read_refusal(response)
        if stream:
            return Relayed(await Events.open(response, self._free), Route("teacher"))
        content = await _read_whole(response)
        if response.status != 200 or content.lstrip()[:1] != b"{":
            raise TeacherUnavailable("The teacher's answer is not JSON. Is its URL the base URL of an API?")
        return Relayed(content, Route("teacher"))

    async def _read_refusal(self, response: aiohttp.ClientResponse) -> Failure:
        status, body = response.status, await _read_whole(response)
        if self._key and len(self._key) >= SECRET:
            body = body.replace(self._key.encode(), b"***")  # some servers repeat the key that they refuse
        retry_after = read_retry_after(response.headers.get("Retry-After"))
        if status >= 500 or status == 429:
            return Failure(TeacherUnavailable(f"The teacher failed with status {status}.", status, body), retry_after)
        return Failure(TeacherError(f"The teacher refused the call with status {status}.", status, body), retry_after)

    def _free(self) -> None:
        self._busy -= 1


@final
class TeacherModel:
    """One model of an API, as a `Chat`: calls are passed on as they came, answers as they come back."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self._endpoint, self._model = endpoint, model

    async def __call__(self, call: ChatCall) -> Relayed:
        """The teacher's answer; raises TeacherError."""
        body = call.body if call.model == self._model else replace_model(call.body, self._model)
        return await self._endpoint.ask(body, call.stream)


@final
class TeacherApi:
    """One model of an API that is asked for nothing else. Use it as an async context manager."""

    def __init__(self, url: str, model: str, key: str | None = None, patience: Patience | None = None) -> None:
        """`url` is the base URL, with or without `/v1`; raises UsageError when it is not an HTTP one."""
        self._endpoint = Endpoint(url, key, patience)
        self._chat = TeacherModel(self._endpoint, model)

    async def __aenter__(self) -> TeacherApi:
        await self._endpoint.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._endpoint.__aexit__(kind, error, trace)

    async def __call__(self, call: ChatCall) -> Relayed:
        """The teacher's answer; raises TeacherError."""
        return await self._chat(call)


@final
class Events:
    """The server-sent events of a teacher, as they come; closing it hangs up."""

    def __init__(self, response: aiohttp.ClientResponse, first: bytes, on_end: Callable[[], None]) -> None:
        self._response, self._first = response, first
        self._on_end: Callable[[], None] | None = on_end

    @classmethod
    async def open(cls, response: aiohttp.ClientResponse, on_end: Callable[[], None]) -> Events:
        """Wait for the first bytes, so that a teacher that fails before them can still be replaced.

        `on_end` is called once, when the last bytes have come or nobody wants more.
        """
        if response.content_type != "text/event-stream":
            raise TeacherUnavailable("The teacher does not stream. Is its URL the base URL of an API?")
        first = await response.content.readany()
        if not first:
            raise TeacherUnavailable("The teacher hung up before the first word.")
        return cls(response, first, on_end)

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
            self._end()
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """Hang up; after the last bytes the connection has gone back to be used again already."""
        self._response.close()
        self._end()

    def _end(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end:
            on_end()


async def _read_whole(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > LARGEST_ANSWER:
            raise TeacherUnavailable(f"The teacher's answer is larger than {LARGEST_ANSWER // 2**20} MiB.")
        parts.append(part)
    return b"".join(parts)


def _busy(calls: int) -> TeacherUnavailable:
    error = TeacherUnavailable(f"{calls} calls are under way to this teacher or wait already. Try again later.", 429)
    error.retry_after = 1.0
    return error
