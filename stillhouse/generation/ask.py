"""Ask a teacher behind an API many questions, several at once, and hand over each answer as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast, final

import orjson

from stillhouse.chat import ChatCall, Relayed
from stillhouse.errors import TeacherError, TeacherUnavailable
from stillhouse.teachers.api import TeacherApi
from stillhouse.teachers.asking import Patience

__all__ = ["PATIENCE", "Keep", "ask_all"]

PATIENCE = Patience(total=600.0, connect=10.0, retries=8, first_wait=0.5, longest_wait=60.0)
"""Nobody waits for these answers, so a teacher in trouble is given time."""
OF_THE_QUESTION = (400, 413, 422)
"""Statuses by which a teacher refuses a question and not the one who asks."""
IN_A_ROW = 5
"""So many failures with no answer between them, and asking more is useless."""
SHOWN = 200

Keep = Callable[[str, Mapping[str, Any]], None]
"""Takes the key of a question, and its answer: the first choice as it came, or `refused` with the reason."""


def ask_all(api: TeacherApi, questions: Mapping[str, bytes], keep: Keep, at_once: int) -> dict[str, str]:
    """Ask everything (the bodies of requests, by key); the reasons why some got no answer, by key.

    `keep` is told each answer when it comes, and at the end which questions the teacher refused (for their words or
    their length), unless it answered none and was given up. Raises TeacherError where asking on is useless: a wrong key
    or model, or five failures in a row; answers under way are waited for first.
    """
    return asyncio.run(_Round(api, questions, keep).run(at_once))


@final
class _Round:
    """Questions that wait, and what became of the others."""

    def __init__(self, api: TeacherApi, questions: Mapping[str, bytes], keep: Keep) -> None:
        self.api, self.keep = api, keep
        self.waiting = deque(questions.items())
        self.refused: dict[str, str] = {}
        self.unheard: dict[str, str] = {}
        self.heard, self.in_a_row = 0, 0
        self.trouble: TeacherError | None = None

    async def run(self, at_once: int) -> dict[str, str]:
        async with self.api:
            await asyncio.gather(*(self._work() for _ in range(min(at_once, len(self.waiting)))))
        for key, reason in self.refused.items() if self.heard or self.trouble is None else ():
            self.keep(key, {"refused": reason})
        if self.trouble is not None:
            raise self.trouble
        return self.unheard

    async def _work(self) -> None:
        while self.waiting and self.trouble is None:
            key, body = self.waiting.popleft()
            try:
                choice = _choice(await self.api(ChatCall("", (), body=body)))
            except TeacherError as error:
                self._failed(key, error)
            else:
                self.heard, self.in_a_row = self.heard + 1, 0
                self.keep(key, choice)

    def _failed(self, key: str, error: TeacherError) -> None:
        said = _said(error)
        reason = f"{error}{f' It says: {said}' if said else ''}"
        self.in_a_row += 1
        of_the_question = error.status in OF_THE_QUESTION
        (self.refused if of_the_question else self.unheard)[key] = reason
        useless = not of_the_question and not isinstance(error, TeacherUnavailable)
        if useless or self.in_a_row >= IN_A_ROW:
            self.trouble = self.trouble or TeacherError(reason, error.status, error.body)


def _choice(answer: Relayed) -> Mapping[str, Any]:
    """The first choice of an answer; raises TeacherUnavailable where there is none."""
    try:
        return cast("Mapping[str, Any]", orjson.loads(cast("bytes", answer.content))["choices"][0])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise TeacherUnavailable("The teacher's answer holds no choice. Is this the base URL of its API?") from error


def _said(error: TeacherError) -> str:
    """The message in the envelope of an error, if it has one."""
    try:
        envelope: Any = orjson.loads(error.body)
        return str(envelope["error"]["message"])[:SHOWN]
    except (ValueError, KeyError, TypeError):
        return ""
