"""Cascade: the student answers what it is sure of, the teacher the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from stillhouse.chat import Answer, Chat, ChatCall, Route
from stillhouse.errors import TeacherUnavailable
from stillhouse.wire.errors import Unsupported

__all__ = ["Cascade"]

REASONS = {"below-threshold": "low-confidence", "prompt-not-fitting": "prompt-not-fitting"}
"""Why the teacher is asked, by the flag of the student's answer."""


@final
class Cascade:
    """A `Chat` of two: an answer that the student flags, or cannot give, is the teacher's.

    When the teacher cannot be reached, the student's own answer is given and flagged, provided that
    it was only unsure; a prompt it never learnt to read is not answered by guessing.
    """

    def __init__(self, student: Chat, teacher: Chat) -> None:
        self._student, self._teacher = student, teacher

    async def __call__(self, call: ChatCall) -> Answer:
        """The answer to one call; raises TeacherError when only the teacher may answer and does not."""
        try:
            own = await self._student(call)
        except Unsupported:
            return await self._ask(call, Route("teacher", reason="unsupported-by-student"))
        if own.route.flag is None:
            return own
        reason = REASONS[own.route.flag]
        if reason != "low-confidence":
            return await self._ask(call, Route("teacher", reason=reason))
        try:
            return await self._ask(call, Route("teacher", reason=reason, confidence=own.route.confidence))
        except TeacherUnavailable:
            return replace(own, route=replace(own.route, flag="teacher-unavailable"))

    async def _ask(self, call: ChatCall, route: Route) -> Answer:
        return replace(await self._teacher(call), route=route)
