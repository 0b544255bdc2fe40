"""What goes into the database and comes out of it: frozen records, never rows; knows no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

__all__ = [
    "SUBJECT",
    "ApiKey",
    "Claim",
    "Cut",
    "Durability",
    "KeptAnswer",
    "Page",
    "Scope",
    "Seen",
    "StoredCompletion",
    "Wanted",
    "subjects_of",
]

SUBJECT = "subject"
"""The key of metadata that names the subject; it goes before all else."""

Record = TypeVar("Record")


class Durability(StrEnum):
    """When new rows are acknowledged."""

    SYNC = "sync"
    """After a commit of their own: they are on the disk."""
    BATCH = "batch"
    """After a commit that they share with others: they are on the disk."""
    ASYNC = "async"
    """At once: a crash loses what waits, which is about one commit's time of rows unless the disk cannot keep up."""


class Scope(StrEnum):
    """What a key may be used for."""

    INFER = "infer"
    """Ask models, and keep what they answer."""
    READ = "read"
    """Read what is kept."""
    TRAIN = "train"
    """Change and delete what is learnt from."""
    ADMIN = "admin"
    """All of that."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret, of which only the beginning is `shown`; times are in Unix seconds."""

    id: str
    project: str
    name: str
    shown: str
    scopes: frozenset[Scope]
    created: int
    expires: int | None = None
    revoked: int | None = None
    used: int | None = None

    def opens(self, now: float) -> bool:
        """Whether it is a key still: neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def allows(self, scope: Scope) -> bool:
        """Whether it may be used for something."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


@dataclass(frozen=True, slots=True)
class Cut:
    """Which rows of a list: at most `limit`, after the row with the id `after`, newest first unless `ascending`."""

    limit: int = 20
    after: str | None = None
    ascending: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[Record]):
    """Rows in order, and whether more follow."""

    rows: Sequence[Record]
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class StoredCompletion:
    """A call and its answer, as they are kept.

    `asked` is the model that was asked for and `model` the one that answered. `answer` is the JSON object that
    clients read, but for its metadata; `messages` is the JSON array of what was asked. `route` says who answered and
    why, as the header of the answer did. `created` is in Unix seconds.
    """

    id: str
    created: int
    asked: str
    model: str
    route: str
    metadata: Mapping[str, str]
    answer: bytes
    messages: bytes
    subject: str | None = None
    """The person whom it is about, by the name that the calling program gave."""
    is_erased: bool = False
    """Whether the key of its words was destroyed: `answer` has no choices then, and `messages` are none."""

    @property
    def subjects(self) -> frozenset[str]:
        """Every name of whom it is about: that which it was captured with, and that which its metadata give by now."""
        return subjects_of(self.subject, self.metadata)


def subjects_of(captured: str | None, metadata: Mapping[str, str]) -> frozenset[str]:
    """Every name of whom a call is about, by the name that it was captured with and its metadata."""
    return frozenset(name for name in (captured, metadata.get(SUBJECT)) if name is not None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What listed completions have in common: a model (asked for or answered by), pairs of metadata, a subject: all."""

    model: str | None = None
    metadata: Mapping[str, str] | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of `owner` to answer what was asked at a place of a project, while nobody else does."""

    project: str
    place: bytes
    owner: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a call was answered: status, headers and body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """A call that came before: the SHA-256 of its body if it is known, and its answer once there is one."""

    body: bytes | None
    answer: KeptAnswer | None
