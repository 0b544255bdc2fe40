"""Holds: what a legal hold protects, nothing deletes or changes until the hold is released."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, final

import orjson
from sqlalchemy import ColumnElement, Row, and_, delete, insert, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.errors import UsageError
from stillhouse.storage.audit import Audit
from stillhouse.storage.audit_records import Event, anonymous
from stillhouse.storage.database import Database
from stillhouse.storage.ids import new_id
from stillhouse.storage.records import StoredCompletion, subjects_of
from stillhouse.storage.tables import COMPLETIONS, FEEDBACK, HOLDS
from stillhouse.storage.writer import Writer

__all__ = ["Hold", "Holds", "Protected", "hold_beside", "hold_on_subject", "holds_on", "protected"]

LOCK = 5_742_906_819
"""By this number programs that delete and those that place holds wait for each other on PostgreSQL."""


@final
@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold on a subject's calls, on one call, or on all of a project where neither is named."""

    id: str
    project: str
    reason: str
    actor: str
    created: int
    subject: str | None = None
    completion: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is on all of a project."""
        return self.subject is None and self.completion is None

    @property
    def words(self) -> str:
        """What it protects and why, for whoever wanted to delete."""
        what = f"the project {self.project}"
        if self.completion is not None:
            what = f"the call {self.completion}"
        elif self.subject is not None:
            what = f"a subject of the project {self.project}"
        return (
            f"A legal hold on {what} forbids that ({self.id}: {self.reason}). "
            f"Once it has ended: stillhouse hold release {self.id}"
        )


@final
@dataclass(frozen=True, slots=True)
class Protected:
    """What the holds of a project protect, all of them at once."""

    everything: bool
    subjects: frozenset[str]
    completions: frozenset[str]

    def covers(self, call: StoredCompletion) -> bool:
        """Whether a call is protected."""
        return self.everything or call.id in self.completions or not self.subjects.isdisjoint(call.subjects)


@final
class Holds:
    """The legal holds of a database."""

    def __init__(self, database: Database, writer: Writer, audit: Audit) -> None:
        self._database, self._writer, self._audit = database, writer, audit

    async def place(
        self, project: str, reason: str, actor: str, subject: str | None = None, completion: str | None = None
    ) -> Hold:
        """Protect something from now on; raises UsageError for a call that is not there."""
        if subject is not None and completion is not None:
            raise UsageError("A hold is on a subject or on one call, not on both. Place two.")
        if not reason.strip():
            raise UsageError("A hold needs a reason: it is shown to whoever wants to delete what it protects.")
        hold = Hold(new_id("hold_"), project, reason, actor, int(time.time()), subject, completion)

        async def change(connection: AsyncConnection) -> bool:
            await _wait_for_others(connection, alone=True)
            if completion is not None:
                mine = (COMPLETIONS.c.project == project) & (COMPLETIONS.c.id == completion)
                if (await connection.execute(select(COMPLETIONS.c.id).where(mine))).first() is None:
                    return False
            await connection.execute(insert(HOLDS), [_values(hold)])
            await self._audit.append(connection, Event("hold.placed", actor, project, hold.id, details=_what(hold)))
            return True

        if not await self._writer.change(change):
            raise UsageError(f"There is no stored call {completion} in the project {project}.")
        return hold

    async def release(self, hold_id: str, actor: str) -> Hold:
        """End a hold; raises UsageError where there is none of this id."""

        async def change(connection: AsyncConnection) -> Hold | None:
            await _wait_for_others(connection, alone=True)
            row = (await connection.execute(select(HOLDS).where(HOLDS.c.id == hold_id))).first()
            if row is None:
                return None
            hold = _hold(row)
            await connection.execute(delete(HOLDS).where(HOLDS.c.id == hold_id))
            await self._audit.append(connection, Event("hold.released", actor, hold.project, hold.id))
            return hold

        released = await self._writer.change(change)
        if released is None:
            raise UsageError(f"There is no hold {hold_id}. `stillhouse hold list` shows those that there are.")
        return released

    async def all(self, project: str | None = None) -> list[Hold]:
        """Every hold, or those of a project, oldest first."""
        query = select(HOLDS) if project is None else select(HOLDS).where(HOLDS.c.project == project)
        async with self._database.reading() as connection:
            return [_hold(row) for row in await connection.execute(query.order_by(HOLDS.c.created, HOLDS.c.id))]

    async def on_subject(self, project: str, subject: str) -> Hold | None:
        """The hold that protects what is kept about a subject: all of it, or one call of it; None where none does."""
        async with self._database.reading() as connection:
            return await _subject_hold(connection, project, subject)

    async def origins(self, hold: Hold) -> tuple[list[str], list[str]]:
        """By what items that come of what is held are known: the subject; of one call its subjects, and the ids of
        that and of the feedback on it."""
        if hold.completion is None:
            return [] if hold.subject is None else [hold.subject], []
        mine = (COMPLETIONS.c.project == hold.project) & (COMPLETIONS.c.id == hold.completion)
        said = (FEEDBACK.c.project == hold.project) & (FEEDBACK.c.completion == hold.completion)
        async with self._database.reading() as connection:
            row = (await connection.execute(select(COMPLETIONS.c.subject, COMPLETIONS.c.metadata).where(mine))).first()
            feedback = (await connection.execute(select(FEEDBACK.c.id).where(said))).scalars().all()
        return [] if row is None else sorted(_subjects(row.subject, row.metadata)), [hold.completion, *feedback]


async def holds_on(connection: AsyncConnection, project: str, call: StoredCompletion) -> Hold | None:
    """The hold that protects a call, to be asked in the transaction that would delete it; None where none does."""
    await _wait_for_others(connection)
    named = (_whole(), HOLDS.c.completion == call.id, HOLDS.c.subject.in_([_bytes(name) for name in call.subjects]))
    query = select(HOLDS).where(HOLDS.c.project == project, or_(*named)).order_by(HOLDS.c.created, HOLDS.c.id)
    row = (await connection.execute(query.limit(1))).first()
    return None if row is None else _hold(row)


async def hold_beside(connection: AsyncConnection, project: str, known: Collection[str]) -> Hold | None:
    """A hold of a project that is none of those known, to be asked in the transaction that deletes what these allow;
    None where there is no other."""
    await _wait_for_others(connection)
    rows = await connection.execute(select(HOLDS).where(HOLDS.c.project == project).order_by(HOLDS.c.created))
    return next((_hold(row) for row in rows if row.id not in known), None)


async def protected(connection: AsyncConnection, project: str) -> Protected:
    """All that holds of a project protect, to be asked in the transaction that deletes."""
    await _wait_for_others(connection)
    holds = [_hold(row) for row in await connection.execute(select(HOLDS).where(HOLDS.c.project == project))]
    return Protected(
        any(hold.is_whole for hold in holds),
        frozenset(hold.subject for hold in holds if hold.subject is not None),
        frozenset(hold.completion for hold in holds if hold.completion is not None),
    )


async def hold_on_subject(connection: AsyncConnection, project: str, subject: str) -> Hold | None:
    """The hold that protects what is kept about a subject, all of it or one call of it; None where none does."""
    await _wait_for_others(connection)
    return await _subject_hold(connection, project, subject)


async def _subject_hold(connection: AsyncConnection, project: str, subject: str) -> Hold | None:
    called = (COMPLETIONS.c.project == HOLDS.c.project) & (COMPLETIONS.c.id == HOLDS.c.completion)
    may_be = (_whole(), HOLDS.c.subject == _bytes(subject), COMPLETIONS.c.id.is_not(None))
    theirs = (COMPLETIONS.c.subject.label("captured"), COMPLETIONS.c.metadata)
    query = select(HOLDS, *theirs).outerjoin(COMPLETIONS, called).where(HOLDS.c.project == project, or_(*may_be))
    rows = await connection.execute(query.order_by(HOLDS.c.created, HOLDS.c.id))
    found = (row for row in rows if row.completion is None or subject in _subjects(row.captured, row.metadata))
    row = next(found, None)
    return None if row is None else _hold(row)


def _subjects(captured: bytes | None, metadata: bytes) -> frozenset[str]:
    return subjects_of(None if captured is None else bytes(captured).decode(), orjson.loads(metadata))


def _whole() -> ColumnElement[bool]:
    """A hold on all of a project."""
    return and_(HOLDS.c.subject.is_(None), HOLDS.c.completion.is_(None))


async def _wait_for_others(connection: AsyncConnection, alone: bool = False) -> None:
    """Until the transaction ends no hold is placed, or `alone` nothing deleted; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        how = "" if alone else "_shared"
        await connection.execute(text(f"SELECT pg_advisory_xact_lock{how}(:lock)"), {"lock": LOCK})


def _what(hold: Hold) -> dict[str, Any]:
    """What a hold protects, for the log, which names no subject."""
    if hold.subject is not None:
        return {"subject": anonymous(hold.project, hold.subject)}
    return {} if hold.completion is None else {"completion": hold.completion}


def _values(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "project": hold.project,
        "subject": None if hold.subject is None else _bytes(hold.subject),
        "completion": hold.completion,
        "reason": _bytes(hold.reason),
        "actor": _bytes(hold.actor),
        "created": hold.created,
    }


def _hold(row: Row[Any]) -> Hold:
    subject = None if row.subject is None else bytes(row.subject).decode()
    reason, actor = bytes(row.reason).decode(), bytes(row.actor).decode()
    return Hold(row.id, row.project, reason, actor, row.created, subject, row.completion)


def _bytes(words: str) -> bytes:
    return words.encode("utf-8", "replace")
