"""Retention: stored completions that are older than a time, deleted a few at once so that nobody waits for it."""

from __future__ import annotations

from typing import final

import orjson
from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.completions import terms_of
from stillhouse.storage.database import Database
from stillhouse.storage.records import StoredCompletion
from stillhouse.storage.tables import COMPLETIONS, TERMS
from stillhouse.storage.writer import Writer

__all__ = ["Retention"]

AT_ONCE = 500
"""Completions that one commit deletes: whoever else writes waits for so many at most."""


@final
class Retention:
    """Deletes what may not be kept for longer. Nothing of it stays, not even where it stood."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    async def delete_before(self, time: int) -> int:
        """Delete the completions of all projects that were made before a time, in Unix seconds; how many these were."""
        deleted, project = 0, await self._project_after("")
        while project is not None:
            while found := await self._delete_some(project, time):
                deleted += found
            project = await self._project_after(project)
        return deleted

    async def _project_after(self, project: str) -> str | None:
        """The next project that has completions: one step in the index, where a list of all would read all of it."""
        query = select(func.min(COMPLETIONS.c.project)).where(COMPLETIONS.c.project > project)
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalar()

    async def _delete_some(self, project: str, time: int) -> int:
        columns = [COMPLETIONS.c[name] for name in ("id", "created", "asked", "model", "metadata")]
        mine, place = COMPLETIONS.c.project == project, (COMPLETIONS.c.created, COMPLETIONS.c.id)
        oldest = select(*columns).where(mine, COMPLETIONS.c.created < time).order_by(*place).limit(AT_ONCE)
        same = (
            TERMS.c.term == bindparam("a_term"),
            TERMS.c.created == bindparam("a_time"),
            TERMS.c.id == bindparam("an_id"),
        )

        async def change(connection: AsyncConnection) -> int:
            rows = (await connection.execute(oldest)).all()
            if not rows:
                return 0
            terms = [
                {"a_term": term, "a_time": row.created, "an_id": row.id}
                for row in rows
                for term in terms_of(project, _found(row.id, row.created, row.asked, row.model, row.metadata))
            ]
            await connection.execute(delete(TERMS).where(*same), terms)
            await connection.execute(delete(COMPLETIONS).where(mine, COMPLETIONS.c.id.in_([row.id for row in rows])))
            return len(rows)

        return await self._writer.change(change)


def _found(completion_id: str, created: int, asked: str, model: str, metadata: bytes) -> StoredCompletion:
    """As much of a completion as says what it is found by."""
    return StoredCompletion(completion_id, created, asked, model, "", orjson.loads(metadata), b"", b"")
