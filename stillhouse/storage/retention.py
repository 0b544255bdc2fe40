"""Retention: stored completions that are older than may be, deleted a few at once so that nobody waits for it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import orjson
from sqlalchemy import Row, bindparam, delete, func, insert, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.errors import UsageError
from stillhouse.storage.audit import Audit
from stillhouse.storage.audit_records import SERVER, Event
from stillhouse.storage.completions import is_wanted, places, terms_of
from stillhouse.storage.database import Database
from stillhouse.storage.holds import protected
from stillhouse.storage.ids import new_id
from stillhouse.storage.pages import Place
from stillhouse.storage.records import StoredCompletion, Wanted
from stillhouse.storage.tables import COMPLETIONS, RETENTION_POLICIES, TERMS
from stillhouse.storage.writer import Writer

__all__ = ["Policy", "Retention", "Swept"]

AT_ONCE = 500
"""Completions that one commit deletes: whoever else writes waits for so many at most."""


@final
@dataclass(frozen=True, slots=True)
class Policy:
    """For how long completions of a project are kept: all, or those that are wanted."""

    id: str
    project: str
    seconds: int
    wanted: Wanted = field(default_factory=Wanted)


@final
@dataclass(frozen=True, slots=True)
class Swept:
    """What a policy has deleted, or would, and what legal holds protected from it."""

    policy: Policy
    before: int
    """The time in Unix seconds before which completions are too old."""
    deleted: int
    held: int


@final
class Retention:
    """Deletes what may not be kept for longer, but for what is on hold. Nothing stays, not even where it stood."""

    def __init__(self, database: Database, writer: Writer, audit: Audit | None = None) -> None:
        self._database, self._writer, self._audit = database, writer, audit

    async def delete_before(self, time: int) -> int:
        """Delete the completions of all projects that were made before a time, in Unix seconds; how many these were."""
        deleted, project = 0, await self._project_after("")
        while project is not None:
            swept = await self._sweep(Policy("", project, 0), time, SERVER, dry=False)
            deleted += swept.deleted
            project = await self._project_after(project)
        return deleted

    async def keep_for(self, project: str, seconds: int, wanted: Wanted, actor: str = SERVER) -> Policy:
        """A policy, in place of one for the same completions; raises UsageError."""
        if seconds <= 0:
            raise UsageError("Completions are kept for more than 0 seconds, or not kept at all (`stillhouse serve`).")
        policy = Policy(new_id("keep_"), project, seconds, wanted)

        async def change(connection: AsyncConnection) -> None:
            for row in await _rows(connection, project):
                if _policy(row).wanted == wanted:
                    await connection.execute(delete(RETENTION_POLICIES).where(RETENTION_POLICIES.c.id == row.id))
            await connection.execute(insert(RETENTION_POLICIES), [_values(policy)])
            await self._tell(connection, Event("retention.set", actor, project, policy.id, details=_said(policy)))

        await self._writer.change(change)
        return policy

    async def forget(self, policy_id: str, actor: str = SERVER) -> Policy:
        """End a policy; raises UsageError where there is none of this id."""

        async def change(connection: AsyncConnection) -> Policy | None:
            mine = RETENTION_POLICIES.c.id == policy_id
            row = (await connection.execute(select(RETENTION_POLICIES).where(mine))).first()
            if row is None:
                return None
            await connection.execute(delete(RETENTION_POLICIES).where(mine))
            policy = _policy(row)
            await self._tell(connection, Event("retention.removed", actor, policy.project, policy_id))
            return policy

        gone = await self._writer.change(change)
        if gone is None:
            raise UsageError(f"There is no policy {policy_id}. `stillhouse retention show` lists those that there are.")
        return gone

    async def policies(self, project: str | None = None) -> list[Policy]:
        """Every policy, or those of a project, oldest first."""
        async with self._database.reading() as connection:
            return [_policy(row) for row in await _rows(connection, project)]

    async def run(self, project: str | None = None, actor: str = SERVER, dry: bool = False) -> list[Swept]:
        """Delete what policies no longer let be kept, or only count it; killed, the next run goes on."""
        now = int(time.time())
        return [await self._sweep(each, now - each.seconds, actor, dry) for each in await self.policies(project)]

    async def _project_after(self, project: str) -> str | None:
        """The next project that has completions: one step in the index, where a list of all would read all of it."""
        query = select(func.min(COMPLETIONS.c.project)).where(COMPLETIONS.c.project > project)
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalar()

    async def _sweep(self, policy: Policy, before: int, actor: str, dry: bool) -> Swept:
        deleted, held, after = 0, 0, None

        async def some(connection: AsyncConnection) -> tuple[int, int, Place | None]:
            rows = await _oldest(connection, policy, before, after, alone=not dry)
            old = [row for row in rows if is_wanted(policy.project, row, policy.wanted)]
            safe = await protected(connection, policy.project)
            mine = [row for row in old if not safe.covers(row)]
            if mine and not dry:
                await _delete(connection, policy.project, mine)
                details = {"before": before, "deleted": len(mine), "held": len(old) - len(mine)}
                await self._tell(
                    connection, Event("retention.deleted", actor, policy.project, policy.id, "done", details)
                )
            return len(mine), len(old) - len(mine), (rows[-1].created, rows[-1].id) if rows else None

        while True:
            if dry:
                async with self._database.reading() as connection:
                    gone, kept, last = await some(connection)
            else:
                gone, kept, last = await self._writer.change(some)
            deleted, held = deleted + gone, held + kept
            if last is None:
                return Swept(policy, before, deleted, held)
            after = last

    async def _tell(self, connection: AsyncConnection, event: Event) -> None:
        if self._audit:
            await self._audit.append(connection, event)


async def _oldest(
    connection: AsyncConnection, policy: Policy, before: int, after: Place | None, alone: bool
) -> list[StoredCompletion]:
    """Some completions that are too old and are found by what a policy wants, the oldest first, after one that was
    looked at; `alone`: nobody else changes them until the transaction ends."""
    query, created, row_id = await places(connection, policy.project, policy.wanted)
    query = query.where(created < before)
    if after is not None:
        query = query.where(tuple_(created, row_id) > tuple_(literal(after[0]), literal(after[1])))
    found = query.order_by(created, row_id).limit(AT_ONCE).subquery("old")
    columns = [COMPLETIONS.c[name] for name in ("id", "created", "asked", "model", "metadata", "subject")]
    mine = (COMPLETIONS.c.id == found.c.id) & (COMPLETIONS.c.project == policy.project)
    query = select(*columns).join(found, mine).order_by(found.c.created, found.c.id)
    if alone:
        query = query.with_for_update(of=COMPLETIONS)
    return [_found(row) for row in await connection.execute(query)]


async def _delete(connection: AsyncConnection, project: str, rows: Sequence[StoredCompletion]) -> None:
    same = (
        TERMS.c.term == bindparam("a_term"),
        TERMS.c.created == bindparam("a_time"),
        TERMS.c.id == bindparam("an_id"),
    )
    terms = [
        {"a_term": term, "a_time": row.created, "an_id": row.id} for row in rows for term in terms_of(project, row)
    ]
    await connection.execute(delete(TERMS).where(*same), terms)
    mine = (COMPLETIONS.c.project == project) & COMPLETIONS.c.id.in_([row.id for row in rows])
    await connection.execute(delete(COMPLETIONS).where(mine))


def _found(row: Row[Any]) -> StoredCompletion:
    """As much of a completion as says what it is found by."""
    subject = None if row.subject is None else row.subject.decode()
    return StoredCompletion(
        row.id, row.created, row.asked, row.model, "", orjson.loads(row.metadata), b"", b"", subject
    )


async def _rows(connection: AsyncConnection, project: str | None) -> Sequence[Row[Any]]:
    query = select(RETENTION_POLICIES).order_by(RETENTION_POLICIES.c.created, RETENTION_POLICIES.c.id)
    if project is not None:
        query = query.where(RETENTION_POLICIES.c.project == project)
    return (await connection.execute(query)).all()


def _values(policy: Policy) -> dict[str, Any]:
    return {
        "id": policy.id,
        "project": policy.project,
        "seconds": policy.seconds,
        "model": None if policy.wanted.model is None else policy.wanted.model.encode(),
        "metadata": orjson.dumps(dict(policy.wanted.metadata or {})),
        "created": int(time.time()),
    }


def _policy(row: Row[Any]) -> Policy:
    model = None if row.model is None else bytes(row.model).decode()
    metadata: Mapping[str, str] = orjson.loads(row.metadata)
    return Policy(row.id, row.project, row.seconds, Wanted(model, metadata or None))


def _said(policy: Policy) -> dict[str, Any]:
    return {
        "seconds": policy.seconds,
        "model": policy.wanted.model,
        "metadata": dict(policy.wanted.metadata or {}),
    }
