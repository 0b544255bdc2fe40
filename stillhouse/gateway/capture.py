"""Capture: one call that is to be stored: its answer gets an id of ours, and is told whole only once it is kept."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

import orjson
from starlette.requests import Request

from stillhouse.chat import ChatCall, Route
from stillhouse.data.subjects import SUBJECT, subject_of
from stillhouse.errors import StillhouseError, StorageBusy, StorageError, TeacherUnavailable
from stillhouse.gateway.auth import project_of
from stillhouse.gateway.faults import NOT_KEPT
from stillhouse.gateway.metrics import Tally
from stillhouse.gateway.shelf import Policy
from stillhouse.storage.ids import new_id
from stillhouse.storage.records import StoredCompletion
from stillhouse.wire.assembly import Assembly
from stillhouse.wire.chat import write_event
from stillhouse.wire.errors import write_error
from stillhouse.wire.harvest import as_wanted
from stillhouse.wire.stored_completions import Keep, write_answer
from stillhouse.wire.words import (
    answer_reworded,
    answer_without_words,
    reworded,
    said_reworded,
    sampling_only,
    value_reworded,
)

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["Capture", "log_loss", "said_as_kept"]

DATA, END = b"data:", b"[DONE]"
LONG = 20_000
"""Bytes of a call and its answer from which they are redacted beside the loop that answers others."""


@final
class Capture:
    """Keeps one call with its answer. A teacher's own id is replaced: nothing says that it gave it only once.

    Where nobody asked for it, a call that cannot be kept is answered all the same.
    """

    def __init__(self, store: Store, policy: Policy, call: ChatCall, keep: Keep, request: Request) -> None:
        """Before anybody is asked; raises StorageBusy when the answer could not be kept soon."""
        store.writer.admit()
        self.id = new_id("chatcmpl-")
        self.is_harvested = False
        """Set when the answer holds more than the client wanted."""
        self._store, self._policy, self._call, self._keep = store, policy, call, keep
        self._project, self._request_id = project_of(request), request.scope["request_id"]
        self._tally: Tally = request.scope["tally"]
        self._began = time.perf_counter()

    @property
    def takes_words(self) -> bool:
        """Whether more than numbers is kept."""
        return self._policy.content

    async def keep(self, content: bytes, route: Route) -> bytes:
        """An answer's JSON as the client gets it, kept; raises StorageError when it is not."""
        told = orjson.loads(content)
        if not isinstance(told, dict) or not isinstance(cast(dict[str, Any], told).get("choices"), list):
            if not self._keep.is_asked:
                return content
            raise TeacherUnavailable("The teacher's answer is not a chat completion, so it was not stored.")
        named = {**cast(dict[str, Any], told), "id": self.id}
        await self._add(named, route)
        return self._handed_on(named)

    async def relayed(self, chunks: AsyncIterator[bytes], route: Route) -> AsyncIterator[bytes]:
        """A stream's chunks with our id, the end held back until all of it is kept; what breaks off is not.

        `chunks` are cut between events. When the answer cannot be kept, an error takes the place of the end.
        """
        assembly = Assembly()
        async for chunk in chunks:
            passed, held = self._rename(chunk, assembly)
            if passed:
                yield passed
            if held:
                yield await self._end(assembly, route) or held
                return
        if not assembly.is_broken:
            yield await self._end(assembly, route)

    def _rename(self, chunk: bytes, assembly: Assembly) -> tuple[bytes, bytes]:
        """A chunk with our id instead of the teacher's; the second part is the end, if it is in it."""
        lines = chunk.splitlines(keepends=True)
        for number, line in enumerate(lines):
            payload = line[len(DATA) :].strip() if line.startswith(DATA) else b""
            if payload == END:
                return b"".join(lines[:number]), b"".join(lines[number:])
            if payload:
                renamed = self._take(payload, assembly)
                lines[number] = line.replace(payload, renamed, 1) if renamed else b""
        return b"".join(lines), b""

    def _take(self, payload: bytes, assembly: Assembly) -> bytes:
        try:
            told = orjson.loads(payload)
        except orjson.JSONDecodeError:
            told = None
        if not isinstance(told, dict) or "error" in told:
            assembly.is_broken = True
            return payload
        named = {**cast(dict[str, Any], told), "id": self.id}
        assembly.add(named)
        return self._handed_on(named)

    def _handed_on(self, told: dict[str, Any]) -> bytes:
        """What the client gets; nothing, when it did not want any of it."""
        wanted = as_wanted(told, self._call) if self.is_harvested else told
        return orjson.dumps(wanted) if wanted else b""

    async def _end(self, assembly: Assembly, route: Route) -> bytes:
        """Keep what has come; the error to tell when that fails, else nothing."""
        if assembly.is_broken or not assembly.is_whole:
            if not self._keep.is_asked:
                return b""
            return _error("The answer came in parts that make no whole, so it was not stored.", 502, "not_stored")
        try:
            await self._add(assembly.completion(), route)
        except StorageBusy as error:
            return _error(str(error), 429, "storage_busy")
        except StorageError as error:
            logging.getLogger("stillhouse.gateway").error("%s", error)
            return _error(NOT_KEPT, 500, "storage_error")
        return b""

    async def _add(self, told: dict[str, Any], route: Route) -> None:
        """Keep a call; raises StorageError when that fails, or its words cannot be redacted, if it was asked for."""
        try:
            await self._store.completions.add(self._project, await self._stored(told, route))
        except StorageError as error:
            if self._keep.is_asked:
                raise
            log_loss(error)

    async def _stored(self, told: dict[str, Any], route: Route) -> StoredCompletion:
        """A call as it is kept; raises StorageError where it cannot be made, such as without a key to redact it by."""
        try:
            return await self._redacted(told, route)
        except StillhouseError as error:
            raise StorageError(f"What may be kept of a call could not be told: {error}") from error
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"  # its words may be personal
            raise StorageError(f"What may be kept of a call could not be told: {where}.") from error

    async def _redacted(self, told: dict[str, Any], route: Route) -> StoredCompletion:
        created = told.get("created")
        if not isinstance(created, int):
            created = told["created"] = int(time.time())
        model = told.get("model")
        if self._is_long_to_redact(told):
            answer, messages = await asyncio.to_thread(self._allowed, told, route)
        else:
            answer, messages = self._allowed(told, route)
        return StoredCompletion(
            id=self.id,
            created=created,
            asked=self._call.model,
            model=model if isinstance(model, str) else self._call.model,
            route=str(route),
            metadata=self._metadata(),
            answer=answer,
            messages=messages,
            subject=subject_of(self._keep.metadata, self._keep.request if self._policy.content else {}),
        )

    def _is_long_to_redact(self, told: dict[str, Any]) -> bool:
        """Whether looking through a call would keep others waiting: a hundred thousand letters take tens of ms."""
        if self._policy.keeps_words or not self._policy.content:
            return False
        return len(orjson.dumps([told["choices"], self._keep.request["messages"]])) > LONG

    def _metadata(self) -> Mapping[str, str]:
        """Metadata as they may be kept: the name of a value is a word before it, and whom a call is about stays."""
        given, redact = self._keep.metadata, self._policy.redact_of(self._project)
        if not redact:
            return given
        return {
            name: value if name == SUBJECT else value_reworded(name, value, redact) for name, value in given.items()
        }

    def _allowed(self, told: dict[str, Any], route: Route) -> tuple[bytes, bytes]:
        """Answer and messages, with as many of their words as may be kept."""
        self._tally.count(told.get("usage"))
        ours: dict[str, Any] = {"route": str(route), "latency_ms": round((time.perf_counter() - self._began) * 1e3, 1)}
        if self._tally.cost is not None:
            ours["cost"] = self._tally.cost
        request, messages = self._keep.request, cast(list[Any], self._keep.request["messages"])
        if not self._policy.content:
            return write_answer(answer_without_words(told), sampling_only(request), self._request_id, ours), b"[]"
        if redact := self._policy.redact_of(self._project):
            told, messages = answer_reworded(told, redact), reworded(messages, redact)
        return write_answer(told, request, self._request_id, ours), orjson.dumps(messages)


async def said_as_kept(policy: Policy, project: str, said: Mapping[str, Any]) -> Mapping[str, Any]:
    """What people say of an answer as it may be kept, made beside the loop that answers others."""
    if policy.keeps_words:
        return said
    redact = await asyncio.to_thread(policy.redact_of, project)
    return await asyncio.to_thread(said_reworded, said, redact) if redact else said


def log_loss(error: StorageError) -> None:
    """Note that a call is answered without being kept, because nobody asked for that."""
    logging.getLogger("stillhouse.gateway").error("A call is not kept. %s", error)


def _error(message: str, status: int, code: str) -> bytes:
    return write_event(write_error(message, status, code))
