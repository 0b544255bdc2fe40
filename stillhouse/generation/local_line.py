"""LocalLine: the way to a model on this machine, as if it were behind an API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, final

from stillhouse.chat import Answer, ChatCall, Relayed
from stillhouse.errors import ModelFailed, TeacherError, TeacherUnavailable
from stillhouse.storage.ids import new_id
from stillhouse.teachers.api import Heard
from stillhouse.teachers.asking import Failure
from stillhouse.wire.chat import read_call, write_completion
from stillhouse.wire.errors import WireError, write_error

__all__ = ["LocalLine", "Speaker"]


class Speaker(Protocol):
    """A `Chat` that is closed after use."""

    async def __call__(self, call: ChatCall) -> Answer: ...

    def close(self) -> None: ...


@final
class LocalLine:
    """Asks a model that is opened with the first question and closed with the last."""

    def __init__(self, address: str, open_speaker: Callable[[], Speaker]) -> None:
        """`address` says which model it is: another one has other answers."""
        self.address = address
        self._open = open_speaker
        self._speaker: Speaker | None = None
        self._opening: asyncio.Lock | None = None

    async def __aenter__(self) -> LocalLine:
        self._opening = asyncio.Lock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._speaker is not None:
            self._speaker.close()
        self._speaker = self._opening = None

    async def ask_once(self, body: bytes, key: str, seconds: float) -> Heard | Failure:
        """One answer; nobody is paid, so the key is not needed."""
        if self._opening is None:
            return Failure(TeacherUnavailable("The model is not open."))
        async with self._opening:  # where all answers are in the book, no model is read
            speaker = self._speaker = self._speaker or await asyncio.to_thread(self._open)
        try:
            call = read_call(body)
            answer = await asyncio.wait_for(speaker(call), seconds)
        except WireError as error:
            body = write_error(str(error), error.status, error.code, error.param)
            return Failure(
                TeacherError(f"The model here refused the call with status {error.status}.", error.status, body)
            )
        except ModelFailed as error:
            return Failure(TeacherUnavailable(str(error)))
        except TimeoutError:
            return Failure(TeacherUnavailable(f"The model here did not answer within {seconds:g} s."))
        if isinstance(answer, Relayed):
            return Heard(answer.content) if isinstance(answer.content, bytes) else Failure(_streamed())
        return Heard(write_completion(answer, call, new_id("chatcmpl-"), int(time.time())))


def _streamed() -> TeacherError:
    return TeacherError("The model here streams though it was not asked to.", 500)
