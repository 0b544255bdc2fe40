"""Limits: how fast a teacher is asked, when a failed call is tried again, and when asking on is useless; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, final

import orjson

from stillhouse.errors import UsageError
from stillhouse.teachers.asking import Failure

__all__ = ["Advice", "Limits", "Pace", "Step", "advise", "reason_of"]

OF_THE_QUESTION = (400, 413, 415, 422)
"""Statuses by which a teacher refuses a question and not the one who asks."""
PASSING = (408, 409, 425)
"""Statuses, beside overload and the server's own trouble, after which the same call may succeed."""
NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached")
"""Codes that come with status 429, and that waiting does not help against."""
SHOWN = 200
LARGEST = 32 * 2**20


@final
@dataclass(frozen=True, kw_only=True)
class Limits:
    """How a teacher is asked; all times are in seconds."""

    at_once: int = 8
    """Calls under way together."""
    per_minute: float | None = None
    """Calls begun within any minute."""
    tokens_per_minute: float | None = None
    """Tokens of the calls begun within any minute: those of the prompt, and the most that may be written."""
    seconds: float = 180.0
    """For one attempt, to its last byte; a call that stalls for longer is tried again."""
    retries: int = 8
    """Of one call; being told to wait (429) is not counted."""
    first_wait: float = 0.5
    """Doubles with every retry."""
    longest_wait: float = 60.0
    silence: float = 1800.0
    """With nothing but 429 for so long, the teacher is given up."""
    largest: int = LARGEST
    """Bytes of the largest request that is sent."""

    def __post_init__(self) -> None:
        for name in ("at_once", "seconds", "largest", "silence"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be more than 0; it is {getattr(self, name)}.")
        for name in ("per_minute", "tokens_per_minute"):
            value: float | None = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"{name} must be more than 0; it is {value}. Leave it out for no limit.")
        if min(self.retries, self.first_wait, self.longest_wait) < 0:
            raise UsageError("retries and waits must be 0 or more.")


class Step(Enum):
    """What is done after a failure."""

    RETRY = auto()
    COOL = auto()
    """Everybody waits, and then it is tried again."""
    REFUSED = auto()
    """The question gets no answer, ever."""
    GIVEN_UP = auto()
    """The question gets no answer this time."""
    USELESS = auto()
    """No question gets an answer: a wrong key, a model that is not there, no money."""


@final
@dataclass(frozen=True, slots=True)
class Advice:
    """What to do after a failure, and how long to wait before."""

    step: Step
    wait: float = 0.0


def advise(limits: Limits, failure: Failure, retries: int, coolings: int, jitter: float) -> Advice:
    """What to do after an attempt that failed, `retries` having been made and `coolings` in a row been waited for.

    Waits are `first_wait * 2 ** tries`, of which `jitter` (0..1) takes up to a quarter off, and never less than what
    the teacher asked for; only what it asked for may be longer than `longest_wait`.
    """
    status = failure.error.status
    if status == 429 and _code(failure) not in NO_MONEY:
        return Advice(Step.COOL, _wait(limits, failure, coolings, jitter))
    if status in OF_THE_QUESTION:
        return Advice(Step.REFUSED)
    passes = status is None or status >= 500 or status in PASSING
    if not passes:
        return Advice(Step.USELESS)
    if retries >= limits.retries:
        return Advice(Step.GIVEN_UP)
    return Advice(Step.RETRY, _wait(limits, failure, retries, jitter))


def reason_of(failure: Failure) -> str:
    """What went wrong, with the words of the teacher."""
    said = str(_envelope(failure).get("message") or "")[:SHOWN]
    return f"{failure.error}{f' It says: {said}' if said else ''}"


@final
class Pace:
    """When the next call may begin. Times are given to it, on any clock that does not jump.

    Calls are spread evenly, so that any minute holds no more than it may. After a 429 nobody begins until the wait is
    over, and then half as many are under way at once; each round of answers without one adds one again.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._next_call = self._next_tokens = self._cool_until = float("-inf")
        self._room = float(limits.at_once)
        self.coolings = 0
        """429s since the last answer, those of one wait counted once."""

    @property
    def room(self) -> int:
        """How many calls may be under way."""
        return max(1, int(self._room))

    def wait(self, now: float) -> float:
        """Seconds until the next call may begin; 0: now."""
        return max(0.0, self._next_call - now, self._next_tokens - now, self._cool_until - now)

    def begin(self, now: float, tokens: int) -> None:
        """A call of so many tokens begins."""
        if self._limits.per_minute:
            self._next_call = now + 60 / self._limits.per_minute
        if self._limits.tokens_per_minute:
            self._next_tokens = now + 60 * tokens / self._limits.tokens_per_minute

    def cool(self, now: float, seconds: float) -> None:
        """The teacher wants to be left alone for some seconds."""
        if now >= self._cool_until:
            self.coolings += 1
            self._room = max(1.0, self._room / 2)
        self._cool_until = max(self._cool_until, now + seconds)

    def answered(self) -> None:
        """A call was answered."""
        self.coolings = 0
        self._room = min(float(self._limits.at_once), self._room + 1 / self.room)


def _wait(limits: Limits, failure: Failure, tries: int, jitter: float) -> float:
    wait = min(limits.first_wait * 2 ** min(tries, 30), limits.longest_wait) * (1 - jitter / 4)
    return max(wait, min(failure.retry_after or 0.0, limits.silence))


def _code(failure: Failure) -> str:
    return str(_envelope(failure).get("code") or "")


def _envelope(failure: Failure) -> dict[str, Any]:
    """The error that an API describes, if it does."""
    try:
        error: Any = orjson.loads(failure.error.body)["error"]
        return dict(error)
    except (ValueError, KeyError, TypeError):
        return {}
