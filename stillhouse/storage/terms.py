"""TeacherTerms: what may be done with the answers of each teacher, as somebody wrote it down."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, final

import orjson
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.audit import Audit
from stillhouse.storage.audit_records import SERVER, Event
from stillhouse.storage.database import Database
from stillhouse.storage.terms_tables import TEACHER_TERMS
from stillhouse.storage.writer import Writer

__all__ = ["TeacherTerms"]


@final
class TeacherTerms:
    """The terms that a database keeps, as JSON objects by the name of the teacher; what they say is told elsewhere."""

    def __init__(self, database: Database, writer: Writer, audit: Audit | None = None) -> None:
        self._database, self._writer, self._audit = database, writer, audit

    async def put(self, teacher: str, terms: Mapping[str, Any], actor: str = SERVER) -> None:
        """Keep the terms of a teacher, in place of those that were kept before."""
        row = {"teacher": teacher, "changed": int(time.time()), "content": orjson.dumps(dict(terms))}

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(delete(TEACHER_TERMS).where(TEACHER_TERMS.c.teacher == teacher))
            await connection.execute(insert(TEACHER_TERMS), [row])
            if self._audit:
                await self._audit.append(connection, Event("terms.changed", actor, object=teacher))

        await self._writer.change(change)

    async def all(self) -> dict[str, dict[str, Any]]:
        """All terms by the name of the teacher."""
        query = select(TEACHER_TERMS).order_by(TEACHER_TERMS.c.teacher)
        async with self._database.reading() as connection:
            return {row.teacher: orjson.loads(row.content) for row in await connection.execute(query)}

    async def remove(self, teacher: str, actor: str = SERVER) -> bool:
        """Forget the terms of a teacher; whether there were any."""

        async def change(connection: AsyncConnection) -> bool:
            done = await connection.execute(delete(TEACHER_TERMS).where(TEACHER_TERMS.c.teacher == teacher))
            if self._audit and done.rowcount:
                await self._audit.append(connection, Event("terms.removed", actor, object=teacher))
            return done.rowcount > 0

        return await self._writer.change(change)
