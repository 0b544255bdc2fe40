"""Evals: kept, listed by when they were made or last changed, renamed, and deleted with all their runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import orjson
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.database import Database
from stillhouse.storage.eval_records import StoredEval
from stillhouse.storage.pages import Query, cut, place_of
from stillhouse.storage.records import Cut, Page
from stillhouse.storage.tables import DELETED_EVALS, EVAL_ITEMS, EVAL_RUNS, EVALS
from stillhouse.storage.writer import Writer

__all__ = ["Evals"]


@final
class Evals:
    """The evals of a database. What was added is found by whoever asks next."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    async def add(self, project: str, one: StoredEval) -> None:
        """Keep one; raises StorageError."""

        async def change(connection: AsyncConnection) -> None:
            row = {
                "project": project,
                "id": one.id,
                "created": one.created,
                "updated": one.updated,
                "name": one.name.encode(),
                "metadata": orjson.dumps(dict(one.metadata)),
                "content": one.content,
            }
            await connection.execute(insert(EVALS), [row])

        await self._writer.change(change)

    async def get(self, project: str, eval_id: str) -> StoredEval | None:
        """One by its id, None when there is none."""
        async with self._database.reading() as connection:
            row = (await connection.execute(_one(project, eval_id))).first()
        return None if row is None else _eval(row)

    async def page(self, project: str, asked: Cut, by_update: bool = False) -> Page[StoredEval] | None:
        """Some in the order in which they were made, or last changed; None when the one to go on after never was."""
        when = EVALS.c.updated if by_update else EVALS.c.created
        async with self._database.reading() as connection:
            after = None
            if asked.after is not None:
                after = await place_of(connection, (EVALS, DELETED_EVALS), project, asked.after, when.name)
                if after is None:
                    return None
            query = cut(select(EVALS).where(EVALS.c.project == project), when, EVALS.c.id, asked, after)
            rows = (await connection.execute(query)).all()
        return Page([_eval(row) for row in rows[: asked.limit]], has_more=len(rows) > asked.limit)

    async def change(
        self, project: str, eval_id: str, name: str | None, metadata: Mapping[str, str] | None
    ) -> StoredEval | None:
        """One with another name or other metadata, where they are not None; None when there is none of this id."""

        async def change(connection: AsyncConnection) -> StoredEval | None:
            row = (await connection.execute(_one(project, eval_id))).first()
            if row is None:
                return None
            found = _eval(row)
            changed = replace(
                found,
                updated=int(time.time()),
                name=found.name if name is None else name,
                metadata=found.metadata if metadata is None else metadata,
            )
            values = {
                "updated": changed.updated,
                "name": changed.name.encode(),
                "metadata": orjson.dumps(dict(changed.metadata)),
            }
            mine = (EVALS.c.project == project) & (EVALS.c.id == eval_id)
            await connection.execute(update(EVALS).where(mine).values(**values))
            return changed

        return await self._writer.change(change)

    async def delete(self, project: str, eval_id: str) -> bool:
        """Forget one with its runs and their items, but for where it stood; whether it was there."""

        async def change(connection: AsyncConnection) -> bool:
            row = (await connection.execute(_one(project, eval_id))).first()
            if row is None:
                return False
            runs = (EVAL_RUNS.c.project == project) & (EVAL_RUNS.c.eval_id == eval_id)
            await connection.execute(
                delete(EVAL_ITEMS).where(EVAL_ITEMS.c.run_id.in_(select(EVAL_RUNS.c.id).where(runs)))
            )
            await connection.execute(delete(EVAL_RUNS).where(runs))
            await connection.execute(delete(EVALS).where(EVALS.c.project == project, EVALS.c.id == eval_id))
            stood = {"project": project, "id": eval_id, "created": row.created, "updated": row.updated}
            await connection.execute(insert(DELETED_EVALS), [stood])
            return True

        return await self._writer.change(change)


def _one(project: str, eval_id: str) -> Query:
    return select(EVALS).where(EVALS.c.project == project, EVALS.c.id == eval_id)


def _eval(row: Row[Any]) -> StoredEval:
    return StoredEval(
        id=row.id,
        created=row.created,
        updated=row.updated,
        name=row.name.decode(),
        metadata=orjson.loads(row.metadata),
        content=row.content,
    )
