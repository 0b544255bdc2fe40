"""Reviews: items of datasets that a person is to look at, those that are worth most first; what was said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.database import Database
from stillhouse.storage.feedback_records import ReviewState, StoredReview
from stillhouse.storage.feedback_tables import REVIEWS
from stillhouse.storage.sealing import Place
from stillhouse.storage.vault import Vault
from stillhouse.storage.writer import Writer

__all__ = ["Reviews"]

TOGETHER = 500


@final
class Reviews:
    """The queues of a database's projects; encrypted where there is a vault."""

    def __init__(self, database: Database, writer: Writer, vault: Vault) -> None:
        self._database, self._writer, self._vault = database, writer, vault

    async def add(self, project: str, reviews: Sequence[StoredReview]) -> int:
        """Put some into the queue; items that are or were in it are left as they are. How many are new."""
        sealers = await self._vault.sealers(project, [(each.subject, each.created) for each in reviews])
        rows = [
            {
                "project": project,
                "id": each.id,
                "created": each.created,
                "worth": each.worth,
                "state": each.state.value,
                "item": each.item,
                "origin": each.origin,
                "content": sealer.seal(each.content, _place(project, each.id)),
                "subject": None if each.subject is None else each.subject.encode(),
            }
            for each, sealer in zip(reviews, sealers, strict=True)
        ]

        async def change(connection: AsyncConnection) -> int:
            added = 0
            for start in range(0, len(rows), TOGETHER):
                some = rows[start : start + TOGETHER]
                mine = (REVIEWS.c.project == project) & REVIEWS.c.item.in_([row["item"] for row in some])
                there = {row.item for row in await connection.execute(select(REVIEWS.c.item).where(mine))}
                new = {row["item"]: row for row in some if row["item"] not in there}
                if new:
                    await connection.execute(insert(REVIEWS), list(new.values()))
                added += len(new)
            return added

        return await self._writer.change(change)

    async def list(
        self, project: str, state: ReviewState | None = ReviewState.WAITING, most: int | None = None
    ) -> list[StoredReview]:
        """Those in a state, or all; the ones that are worth most first. Those whose key was destroyed are left out."""
        query = select(REVIEWS).where(REVIEWS.c.project == project).order_by(REVIEWS.c.worth.desc(), REVIEWS.c.id)
        if state is not None:
            query = query.where(REVIEWS.c.state == state.value)
        found: list[StoredReview] = []
        seen = 0
        while most is None or len(found) < most:
            async with self._database.reading() as connection:
                rows = (await connection.execute(query.limit(most).offset(seen))).all()
            found += await self._opened(project, [_review(row) for row in rows])
            seen += len(rows)
            if most is None or len(rows) < most:
                break
        return found[:most]

    async def get(self, project: str, review_id: str) -> StoredReview | None:
        """One by its id, None when there is none, or its key was destroyed."""
        query = select(REVIEWS).where(REVIEWS.c.project == project, REVIEWS.c.id == review_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        return next(iter(await self._opened(project, [] if row is None else [_review(row)])), None)

    async def settle(self, project: str, one: StoredReview) -> None:
        """Keep what was said of one: its state and content."""
        [sealer] = await self._vault.sealers(project, [(one.subject, one.created)])
        mine = (REVIEWS.c.project == project) & (REVIEWS.c.id == one.id)
        values = {"state": one.state.value, "content": sealer.seal(one.content, _place(project, one.id))}

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(update(REVIEWS).where(mine).values(**values))

        await self._writer.change(change)

    async def counts(self, project: str) -> dict[str, int]:
        """How many there are in each state."""
        query = select(REVIEWS.c.state, func.count().label("number")).where(REVIEWS.c.project == project)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.group_by(REVIEWS.c.state))).all()
        return {row.state: row.number for row in rows}

    async def clear(self, project: str) -> int:
        """Take what waits out of the queue; how many these were."""
        mine = (REVIEWS.c.project == project) & (REVIEWS.c.state == ReviewState.WAITING.value)

        async def change(connection: AsyncConnection) -> int:
            return (await connection.execute(delete(REVIEWS).where(mine))).rowcount

        return await self._writer.change(change)

    async def _opened(self, project: str, found: Sequence[StoredReview]) -> list[StoredReview]:
        opened = await self._vault.opened([(each.content, _place(project, each.id)) for each in found])
        return [replace(each, content=content) for each, content in zip(found, opened, strict=True) if content]


def _place(project: str, review_id: str) -> Place:
    return project, REVIEWS.name, review_id, "content"


def _review(row: Row[Any]) -> StoredReview:
    return StoredReview(
        id=row.id,
        created=row.created,
        worth=row.worth,
        state=ReviewState(row.state),
        item=row.item,
        origin=row.origin,
        content=row.content,
        subject=None if row.subject is None else row.subject.decode(),
    )
