"""Budget: the most that calls may cost, reserved before each is sent and settled when it is answered; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast, final

import orjson

from stillhouse.errors import DataError, UsageError
from stillhouse.teachers.prices import Price

__all__ = ["Budget", "Count", "Ledger", "Size", "measure"]

IMAGE_TOKENS = 50_000
"""No known model reads more tokens of one picture."""
MESSAGE_TOKENS = 16
"""Enough for the marks around a message, and for those of the whole."""
BYTES_PER_TOKEN = 4
"""A rule of thumb for English; other languages and code need more tokens."""
PICTURE_TOKENS = 800
"""About so many are read of a picture."""
MOST = ("max_completion_tokens", "max_tokens")

Count = Callable[[str], int]
"""How many tokens a text is."""


@final
@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent on one piece of work, also when it is killed and goes on."""

    most: Decimal | None = None
    """None: no limit."""
    price: Price = field(default_factory=Price)
    job: str = ""
    """What the money is spent on: calls of another job are not counted."""
    kind: str = ""
    """What is asked for, such as labels: answers of one kind are about as long as each other."""

    def __post_init__(self) -> None:
        if self.most is not None and not (self.most.is_finite() and self.most >= 0):
            raise UsageError(f"A budget is 0 or more; it is {self.most}.")


@final
@dataclass(frozen=True, slots=True)
class Size:
    """Tokens of one request."""

    likely: int
    """About so many in the prompt."""
    most: int
    """No more than so many in the prompt."""
    written: int | None
    """No more than so many are answered, all choices together; None: the request sets no limit."""


@final
class Ledger:
    """What one job has spent, and what is reserved for calls of which it is not known whether they were paid."""

    def __init__(self) -> None:
        self.spent = Decimal(0)
        self._open: dict[str, list[Decimal]] = {}
        self.reserved = Decimal(0)
        """For calls that are under way, or whose answers were lost."""

    def fits(self, amount: Decimal, most: Decimal | None) -> bool:
        """Whether a call that costs at most `amount` may be sent."""
        return most is None or self.spent + self.reserved + amount <= most

    def reserve(self, digest: str, amount: Decimal) -> None:
        """A call is about to be sent."""
        self._open.setdefault(digest, []).append(amount)
        self.reserved += amount

    def release(self, digest: str, amount: Decimal) -> None:
        """One attempt was not paid for."""
        amounts = self._open.get(digest, [])
        if amount in amounts:
            amounts.remove(amount)
            self.reserved -= amount

    def settle(self, digest: str, reserved: Decimal, cost: Decimal, replayed: bool) -> None:
        """A call was answered. `replayed`: the server knew it from an earlier attempt, so only one was paid for."""
        for amount in list(self._open.get(digest, ())) if replayed else [reserved]:
            self.release(digest, amount)
        self.spent += cost


def measure(body: bytes, count: Count | None = None) -> Size:
    """The tokens of a request, by a tokenizer where one is given.

    Without one, a prompt has no more tokens than bytes: tokenizers of today write at worst a token for a byte, and the
    JSON around a message is longer than the marks that a chat template puts there. Raises DataError for what is no
    request.
    """
    try:
        request = cast("dict[str, Any]", orjson.loads(body))
        messages = cast("list[Mapping[str, Any]]", request["messages"])
        pictures, hidden = _pictures(messages)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"A question is no chat request: {type(error).__name__} ({error}).") from error
    marks = MESSAGE_TOKENS * (len(messages) + 1)
    plain = len(body) - hidden
    most = plain + marks
    if count is not None:
        beside = {name: request[name] for name in ("tools", "response_format") if name in request}
        texts = count("\n".join(_texts(messages))) + (len(orjson.dumps(beside)) if beside else 0)
        likely, most = texts + marks, texts + marks
    else:
        likely = plain // BYTES_PER_TOKEN
    limit = next((int(request[name]) for name in MOST if isinstance(request.get(name), int)), None)
    written = None if limit is None else limit * int(request.get("n") or 1)
    return Size(likely + PICTURE_TOKENS * pictures, most + IMAGE_TOKENS * pictures, written)


def _pictures(messages: list[Mapping[str, Any]]) -> tuple[int, int]:
    """How many pictures there are, and the bytes of their addresses, which are no text."""
    found = hidden = 0
    for message in messages:
        content: Any = message.get("content")
        for part in cast("list[Any]", content) if isinstance(content, list) else []:
            if part.get("type") == "image_url":
                found += 1
                hidden += len(str(part["image_url"].get("url", "")))
    return found, hidden


def _texts(messages: list[Mapping[str, Any]]) -> list[str]:
    """The words of a request."""
    found: list[str] = []
    for message in messages:
        content: Any = message.get("content")
        if isinstance(content, str):
            found.append(content)
        elif isinstance(content, list):
            found.extend(str(part.get("text") or "") for part in cast("list[Any]", content))
        if message.get("tool_calls"):
            found.append(orjson.dumps(message["tool_calls"]).decode())
    return found
