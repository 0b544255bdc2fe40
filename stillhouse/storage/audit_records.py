"""Records of the audit log: an event as it is told, an entry as it is kept, and what a check of the log has found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast, final

import orjson

__all__ = ["SERVER", "START", "Entry", "Event", "Verdict", "anonymous", "canonical"]

SERVER = "server"
"""Who does what a server does by itself, such as deleting what is too old."""

START = bytes(32)
"""What stands for the hash of the row before the first."""


@final
@dataclass(frozen=True, slots=True)
class Event:
    """Something that was done, or refused.

    The log is never shortened, so that it must not name subjects: `anonymous` gives a name for one.
    """

    action: str
    """What, as `key.created` or `completion.deleted`: a noun, a period, a participle."""
    actor: str = SERVER
    """Who: `key:ID` for a caller with an API key, `terminal:USER` for a command, `worker`, or `server`."""
    project: str = ""
    object: str = ""
    """On what: an id or a name."""
    outcome: str = "done"
    """`done`, `refused` or `failed`."""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Plain values that say more."""


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """An event in the log: its number from 1, when it was, and the hash that the next one carries."""

    number: int
    time: int
    """Microseconds since 1970."""
    event: Event
    previous: bytes
    hash: bytes

    @property
    def shown(self) -> dict[str, Any]:
        """Everything as plain values, in the form in which the log is exported."""
        return {**described(self.number, self.time, self.event, self.previous), "hash": self.hash.hex()}

    @property
    def content(self) -> bytes:
        """What the hash is of."""
        return canonical(described(self.number, self.time, self.event, self.previous))


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the log has found."""

    count: int
    """Rows that are right, from the first on."""
    hash: bytes
    """The hash of the last of these: whoever keeps it finds out later when the log was cut or written anew."""
    signed: int | None = None
    """Rows up to which a signature of the master key holds; None where none was checked."""
    bad: int | None = None
    """The first row that is wrong, or lacks."""
    reason: str = ""
    """What is wrong."""
    is_unchecked: bool = False
    """Whether there is a signature that nobody could check, for want of the master key."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found to be wrong."""
        return not self.reason


def described(number: int, time: int, event: Event, previous: bytes) -> dict[str, Any]:
    """An event in its place as plain values."""
    return {
        "number": number,
        "time": time,
        "action": event.action,
        "actor": event.actor,
        "project": event.project,
        "object": event.object,
        "outcome": event.outcome,
        "details": dict(event.details),
        "previous": previous.hex(),
    }


def canonical(value: object) -> bytes:
    """JSON in the one form that is hashed: keys in order, no spaces, UTF-8, what is no Unicode replaced."""
    return orjson.dumps(_sound(value), option=orjson.OPT_SORT_KEYS)


def anonymous(project: str, subject: str) -> str:
    """A name for a subject that does not tell who it is; whoever guesses the subject can check the guess."""
    return f"subject:{hashlib.sha256(canonical([project, subject])).hexdigest()[:32]}"


def _sound(value: object) -> object:
    """A value without lone surrogates, which JSON in UTF-8 cannot have."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value)
        return {str(_sound(str(key))): _sound(each) for key, each in pairs.items()}
    if isinstance(value, (list, tuple)):
        return [_sound(each) for each in cast("list[object]", value)]
    return value
