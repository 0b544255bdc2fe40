"""FeedbackBook: what people said of stored completions; added, listed and deleted; encrypted where there is a vault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.database import Database
from stillhouse.storage.feedback_records import StoredFeedback
from stillhouse.storage.feedback_tables import FEEDBACK
from stillhouse.storage.pages import cut, place_of
from stillhouse.storage.records import Cut, Page
from stillhouse.storage.sealing import Place
from stillhouse.storage.vault import Vault
from stillhouse.storage.writer import Writer

__all__ = ["FeedbackBook"]


@final
class FeedbackBook:
    """The feedback of a database."""

    def __init__(self, database: Database, writer: Writer, vault: Vault) -> None:
        self._database, self._writer, self._vault = database, writer, vault

    async def add(self, project: str, one: StoredFeedback) -> None:
        """Keep one; raises StorageError."""
        [sealer] = await self._vault.sealers(project, [(one.subject, one.created)])
        row = {
            "project": project,
            "id": one.id,
            "created": one.created,
            "completion": one.completion,
            "content": sealer.seal(one.content, _place(project, one.id)),
            "subject": None if one.subject is None else one.subject.encode(),
        }

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(insert(FEEDBACK), [row])

        await self._writer.change(change)

    async def get(self, project: str, feedback_id: str) -> StoredFeedback | None:
        """One by its id, None when there is none."""
        query = select(FEEDBACK).where(FEEDBACK.c.project == project, FEEDBACK.c.id == feedback_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else (await self._opened(project, [_feedback(row)]))[0]

    async def page(self, project: str, asked: Cut, completion: str | None = None) -> Page[StoredFeedback] | None:
        """Some, of one completion or of all; None when the one to go on after is not there."""
        query = select(FEEDBACK).where(FEEDBACK.c.project == project)
        if completion is not None:
            query = query.where(FEEDBACK.c.completion == completion)
        async with self._database.reading() as connection:
            after = None
            if asked.after is not None:
                after = await place_of(connection, (FEEDBACK,), project, asked.after)
                if after is None:
                    return None
            rows = (await connection.execute(cut(query, FEEDBACK.c.created, FEEDBACK.c.id, asked, after))).all()
        found = await self._opened(project, [_feedback(row) for row in rows[: asked.limit]])
        return Page(found, has_more=len(rows) > asked.limit)

    async def delete(self, project: str, feedback_id: str) -> bool:
        """Forget one; whether it was there."""
        mine = (FEEDBACK.c.project == project) & (FEEDBACK.c.id == feedback_id)

        async def change(connection: AsyncConnection) -> bool:
            return (await connection.execute(delete(FEEDBACK).where(mine))).rowcount > 0

        return await self._writer.change(change)

    async def _opened(self, project: str, found: Sequence[StoredFeedback]) -> list[StoredFeedback]:
        """As they were before they were encrypted; of those whose key was destroyed nothing is left."""
        opened = await self._vault.opened([(each.content, _place(project, each.id)) for each in found])
        return [replace(each, content=content or b"{}") for each, content in zip(found, opened, strict=True)]


def _place(project: str, feedback_id: str) -> Place:
    return project, FEEDBACK.name, feedback_id, "content"


def _feedback(row: Row[Any]) -> StoredFeedback:
    subject = None if row.subject is None else row.subject.decode()
    return StoredFeedback(row.id, row.created, row.completion, row.content, subject)
