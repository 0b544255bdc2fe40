"""Erasures: who was erased, by a keyed hash of the name, how far that has come, and the receipts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import orjson
from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.database import Database
from stillhouse.storage.ids import new_id
from stillhouse.storage.terms_tables import ERASURE_STEPS, ERASURES
from stillhouse.storage.writer import Writer

__all__ = ["Erasures", "StoredErasure"]


@dataclass(frozen=True, slots=True)
class StoredErasure:
    """An erasure; times are in Unix seconds."""

    id: str
    project: str
    subject: str
    """A keyed hash of the subject's name."""
    begun: int
    ended: int | None = None
    receipt: bytes | None = None
    """Signed JSON, once all is done."""


@final
class Erasures:
    """The erasures of a database."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    async def begin(self, project: str, subject: str) -> StoredErasure:
        """The erasure of a subject that was begun and has not ended, or else a new one."""

        async def change(connection: AsyncConnection) -> StoredErasure:
            mine = (ERASURES.c.project == project) & (ERASURES.c.subject == subject) & ERASURES.c.ended.is_(None)
            row = (await connection.execute(select(ERASURES).where(mine))).first()
            if row is not None:
                return _erasure(row)
            new = StoredErasure(new_id("erasure-"), project, subject, int(time.time()))
            values = {"id": new.id, "project": project, "subject": subject, "begun": new.begun}
            await connection.execute(insert(ERASURES), [values])
            return new

        return await self._writer.change(change)

    async def all(self) -> list[StoredErasure]:
        """Every erasure, oldest first."""
        async with self._database.reading() as connection:
            rows = await connection.execute(select(ERASURES).order_by(ERASURES.c.begun, ERASURES.c.id))
            return [_erasure(row) for row in rows]

    async def note(self, erasure: str, step: str, content: Mapping[str, Any], done: bool = True) -> None:
        """Write down what is about to be done, or was; a step has one note, the last."""
        row = {"erasure": erasure, "name": step, "done": done, "content": orjson.dumps(dict(content))}

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(delete(ERASURE_STEPS).where(_step(erasure, step)))
            await connection.execute(insert(ERASURE_STEPS), [row])

        await self._writer.change(change)

    async def notes(self, erasure: str) -> dict[str, tuple[bool, dict[str, Any]]]:
        """By the name of a step whether it is done, and what was noted of it."""
        query = select(ERASURE_STEPS).where(ERASURE_STEPS.c.erasure == erasure).order_by(ERASURE_STEPS.c.name)
        async with self._database.reading() as connection:
            rows = await connection.execute(query)
            return {row.name: (bool(row.done), orjson.loads(row.content)) for row in rows}

    async def end(self, erasure: str, receipt: bytes) -> None:
        """Keep the receipt: all is done. The notes are dropped, for the receipt says what they said."""

        async def change(connection: AsyncConnection) -> None:
            if connection.dialect.name == "sqlite":
                await connection.exec_driver_sql("PRAGMA secure_delete = ON")
            values = {"ended": int(time.time()), "receipt": receipt}
            await connection.execute(update(ERASURES).where(ERASURES.c.id == erasure).values(**values))
            await connection.execute(delete(ERASURE_STEPS).where(ERASURE_STEPS.c.erasure == erasure))

        await self._writer.change(change)


def _step(erasure: str, name: str) -> ColumnElement[bool]:
    return (ERASURE_STEPS.c.erasure == erasure) & (ERASURE_STEPS.c.name == name)


def _erasure(row: Row[Any]) -> StoredErasure:
    return StoredErasure(row.id, row.project, row.subject, row.begun, row.ended, row.receipt)
