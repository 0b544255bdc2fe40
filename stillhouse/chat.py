"""Message, ChatCall, Completion, Relayed and `Chat`, the protocol of anything that answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = [
    "Answer",
    "ByteStream",
    "Chat",
    "ChatCall",
    "Choice",
    "Completion",
    "Message",
    "Relayed",
    "Route",
    "Shape",
    "TokenLogprob",
    "Usage",
]

Shape = Mapping[str, frozenset[str] | None]
"""The JSON object an answer must be: its fields and, as JSON texts, the values each may take (None: any).

Without fields, any JSON object will do."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `content` is its text, parts already joined."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One piece of an answer, its natural-log probability, and the likeliest alternatives."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and tokens written."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Route:
    """Who answered and why that one: counted, and shown in a response header."""

    who: Literal["student", "teacher", "local"]
    reason: str | None = None
    """Why the teacher was asked."""
    confidence: float | None = None
    """The student's confidence, 0..1, where it was asked."""
    flag: str | None = None
    """What is doubtful about a student's answer."""

    def __str__(self) -> str:
        parts: list[str] = [self.who]
        if self.reason:
            parts.append(f"reason={self.reason}")
        if self.confidence is not None:
            parts.append(f"confidence={self.confidence:.4g}")
        if self.flag:
            parts.append(f"flag={self.flag}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A request to answer `messages`; `body` is the request as it came, for those who pass it on."""

    model: str
    messages: tuple[Message, ...]
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    logprobs: bool = False
    top_logprobs: int = 0
    beyond: str | None = None
    """The first part of the request that asks for more than words (`tools`, an image): no narrow student gives it."""
    shape: Shape | None = None
    """The JSON object that was asked for; None: any text."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: its pieces in order (their tokens joined are the text) and why it ended."""

    pieces: tuple[TokenLogprob, ...]
    finish_reason: str = "stop"

    @property
    def text(self) -> str:
        return "".join([piece.token for piece in self.pieces])


@dataclass(frozen=True, slots=True)
class Completion:
    """What was answered, by which model, and why that one."""

    model: str
    choices: tuple[Choice, ...]
    usage: Usage
    route: Route


class ByteStream(Protocol):
    """Bytes that arrive bit by bit, and can be given up at any time, even before the first."""

    def __aiter__(self) -> ByteStream: ...

    async def __anext__(self) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Relayed:
    """A teacher's answer passed on as it came: whole, or as a stream of server-sent events."""

    content: bytes | ByteStream
    route: Route


Answer = Completion | Relayed


class Chat(Protocol):
    """Anything that answers: a student, a teacher, a cascade of the two."""

    async def __call__(self, call: ChatCall) -> Answer: ...
