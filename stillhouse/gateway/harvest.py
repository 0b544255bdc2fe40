"""Harvest: what teachers are asked for along with calls that are kept: log-probabilities, and tokens of streams."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import final

from stillhouse.chat import Answer, ChatCall
from stillhouse.errors import TeacherError
from stillhouse.gateway.house import Answerer
from stillhouse.wire.harvest import ask_for_logprobs, ask_for_usage

__all__ = ["Harvest", "More"]

UNWILLING = 600.0
"""Seconds for which a model that has refused to tell something is not asked for it again."""


class More(Enum):
    """What a teacher can be asked for beyond what the client wants."""

    LOGPROBS = "logprobs"
    """For soft labels."""
    USAGE = "usage"
    """Of a stream, for what it costs."""


@final
class Harvest:
    """Knows which models refuse to tell what."""

    def __init__(self) -> None:
        self._unwilling: dict[tuple[str, More], float] = {}

    def wanted(self, answerer: Answerer, call: ChatCall) -> list[More]:
        """What a model should be asked for beyond what the call says."""
        enough = call.logprobs and call.top_logprobs >= answerer.harvest
        wanted: list[More] = []
        if answerer.harvest > 0 and not enough:
            wanted.append(More.LOGPROBS)
        if answerer.price is not None and call.stream and not call.include_usage:
            wanted.append(More.USAGE)
        now, name = time.monotonic(), answerer.card.id
        return [more for more in wanted if now >= self._unwilling.get((name, more), 0.0)]

    async def ask(self, answerer: Answerer, call: ChatCall, wanted: list[More]) -> Answer:
        """The answer, with as much of what is wanted as the model does not refuse; raises TeacherError."""
        refused: list[More] = []
        for asked in _ever_less(wanted):
            body = call.body
            if More.LOGPROBS in asked:
                body = ask_for_logprobs(body, answerer.harvest)
            if More.USAGE in asked:
                body = ask_for_usage(body)
            try:
                answer = await answerer.chat(replace(call, body=body) if asked else call)
            except TeacherError as refusal:
                if refusal.status not in (400, 422) or not asked:
                    raise  # refused with nothing added, the call itself is to blame
                refused.append(asked[0])
                continue
            for more in refused:
                self._unwilling[answerer.card.id, more] = time.monotonic() + UNWILLING
            return answer
        raise AssertionError("the last attempt either answers or raises")


def _ever_less(wanted: list[More]) -> Iterator[list[More]]:
    """All of it, then without the first, and so on to nothing."""
    for start in range(len(wanted) + 1):
        yield wanted[start:]
