"""Question and Reply: what a teacher is asked and what became of it, with what asking comes to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, final

from stillhouse.chat import Usage

__all__ = ["Estimate", "Question", "Reply", "Tally"]

Choice = Mapping[str, Any]
"""A choice as the teacher sent it: `message`, `finish_reason`, perhaps `logprobs`."""


@final
@dataclass(frozen=True, slots=True)
class Question:
    """One request to a teacher. Equal bodies are one call, however many questions they are of."""

    key: str
    """What the asker calls it."""
    body: bytes
    """A chat request without `stream`, as it is sent: the same question has the same bytes."""
    again: int = 0
    """The number of a repetition: with another number the same body is another call, for another answer."""

    def digest(self, address: str) -> str:
        """SHA-256 of where the request goes and what it says: what the call is found by, and its Idempotency-Key."""
        head = f"{address}\n{self.again}\n" if self.again else f"{address}\n"
        digest = hashlib.sha256(head.encode())
        digest.update(self.body)
        return digest.hexdigest()


@final
@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a question: choices, or the reason why the teacher refused it."""

    key: str
    choices: Sequence[Choice] = ()
    usage: Usage | None = None
    cost: Decimal = Decimal(0)
    cached: bool = False
    """Whether it was answered before, and cost nothing now."""
    refused: str | None = None


@final
@dataclass(frozen=True, slots=True)
class Tally:
    """What asking came to."""

    asked: int = 0
    """Calls that were answered now."""
    cached: int = 0
    """Questions that an answer was there for."""
    refused: int = 0
    """Questions that the teacher refuses for what they say."""
    unheard: Mapping[str, str] = field(default_factory=dict[str, str])
    """By key, why a question got no answer: it can be asked again."""
    stopped: str | None = None
    """Why not all was asked: the budget."""
    spent: Decimal = Decimal(0)
    """All that was paid within the budget, earlier runs included."""
    doubtful: Decimal = Decimal(0)
    """At most so much may have been paid besides: for calls whose answers were lost on the way."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@final
@dataclass(frozen=True, slots=True)
class Estimate:
    """What asking would come to; nothing is sent for it."""

    questions: int
    calls: int
    """Those that would be sent, if none has to be repeated."""
    cached: int
    too_large: int
    """Questions larger than what is sent."""
    prompt_tokens: int
    """About so many are read."""
    completion_tokens: int
    """About so many are written, by how many this teacher wrote to questions of the same kind; else the most."""
    most_tokens: int
    """Read and written together there are no more."""
    cost: Decimal | None
    """None: no price is known."""
    most_cost: Decimal | None
    spent: Decimal
    """Paid before, and part of the same budget."""
    measured: bool = True
    """Whether it is known how long this teacher's answers of that kind are; else each is counted at its longest."""

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            **{name: getattr(self, name) for name in ("questions", "calls", "cached", "too_large")},
            "tokens": {"read": self.prompt_tokens, "written": self.completion_tokens, "most": self.most_tokens},
            "cost": None if self.cost is None else float(self.cost),
            "most_cost": None if self.most_cost is None else float(self.most_cost),
            "spent_before": float(self.spent),
            "measured": self.measured,
        }
