"""Datasets: records of their versions, what these were made of, who learnt from them, and filters that are kept."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, final

from sqlalchemy import ColumnElement, Row, Table, and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.errors import OnHold
from stillhouse.storage.audit import Audit
from stillhouse.storage.audit_records import SERVER, Event
from stillhouse.storage.database import Database
from stillhouse.storage.dataset_records import Edge, StoredMedia, StoredUse, StoredVersion
from stillhouse.storage.holds import Hold, hold_beside
from stillhouse.storage.tables import (
    DATASET_MEDIA,
    DATASET_PARENTS,
    DATASET_USES,
    DATASET_VERSIONS,
    DATASETS,
    SAVED_FILTERS,
)
from stillhouse.storage.writer import Writer

__all__ = ["Datasets"]

TOGETHER = 500
"""Versions or files that are named in one statement."""


@final
class Datasets:
    """The datasets of a database. Their rows are files in the home folder: the matter of `data/catalogue.py`."""

    def __init__(self, database: Database, writer: Writer, audit: Audit | None = None) -> None:
        self._database, self._writer, self._audit = database, writer, audit

    async def next_number(self, project: str, name: str) -> int:
        """A number for a new version, that no other has had or will have."""

        async def change(connection: AsyncConnection) -> int:
            mine = (DATASETS.c.project == project) & (DATASETS.c.name == name)
            taken = await connection.execute(
                update(DATASETS).where(mine).values(last=DATASETS.c.last + 1).returning(DATASETS.c.last)
            )
            number = taken.scalar()
            if number is not None:
                return int(number)
            row = {"project": project, "name": name, "created": int(time.time()), "last": 1}
            await connection.execute(insert(DATASETS), [row])
            return 1

        return await self._writer.change(change)

    async def add(self, project: str, version: StoredVersion, media: Iterable[StoredMedia] = ()) -> None:
        """Keep the record of a version whose files are in their place, and say which bytes its items need."""
        mine = {"project": project, "name": version.name, "number": version.number}
        row = {
            **mine,
            "created": version.created,
            "hash": version.hash,
            "items": version.items,
            "dropped": version.dropped,
            "bytes": version.bytes,
            "step": version.step,
        }
        edges = [{**mine, "parent_name": name, "parent_number": number} for name, number in set(version.parents)]
        files = [
            {**mine, "digest": each.digest, "bytes": each.bytes} for each in {one.digest: one for one in media}.values()
        ]

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(insert(DATASET_VERSIONS), [row])
            if edges:
                await connection.execute(insert(DATASET_PARENTS), edges)
            for start in range(0, len(files), TOGETHER):
                await connection.execute(insert(DATASET_MEDIA), files[start : start + TOGETHER])

        await self._writer.change(change)

    async def find(self, project: str, name: str, number: int | None = None) -> StoredVersion | None:
        """A version, the newest of its name unless a number says which; None when there is none."""
        query = select(DATASET_VERSIONS).where(DATASET_VERSIONS.c.project == project, DATASET_VERSIONS.c.name == name)
        if number is not None:
            query = query.where(DATASET_VERSIONS.c.number == number)
        query = query.order_by(DATASET_VERSIONS.c.number.desc()).limit(1)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
            return None if row is None else _version(row, await _parents(connection, project, [(row.name, row.number)]))

    async def all(self, project: str) -> list[StoredVersion]:
        """Every version of a project, by name and number."""
        query = select(DATASET_VERSIONS).where(DATASET_VERSIONS.c.project == project)
        query = query.order_by(DATASET_VERSIONS.c.name, DATASET_VERSIONS.c.number)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
            edges = await _parents(connection, project, None)
        return [_version(row, edges) for row in rows]

    async def projects(self) -> list[str]:
        """The projects that have datasets."""
        query = select(DATASET_VERSIONS.c.project).distinct().order_by(DATASET_VERSIONS.c.project)
        async with self._database.reading() as connection:
            return [row.project for row in await connection.execute(query)]

    async def children(self, project: str, edge: Edge) -> list[Edge]:
        """The versions that were made of one, by name and number."""
        query = select(DATASET_PARENTS.c.name, DATASET_PARENTS.c.number).where(
            DATASET_PARENTS.c.project == project,
            DATASET_PARENTS.c.parent_name == edge[0],
            DATASET_PARENTS.c.parent_number == edge[1],
        )
        async with self._database.reading() as connection:
            return sorted((row.name, row.number) for row in await connection.execute(query))

    async def delete(
        self, project: str, edges: Sequence[Edge], actor: str = SERVER, holds: Collection[str] = ()
    ) -> list[str]:
        """Forget versions, but for their numbers; the digests of the files that their items carried.

        What learnt from them, and that versions were made of them, stays known. `holds` are those that were found to
        protect nothing in them; raises OnHold where there is another by now.
        """

        async def change(connection: AsyncConnection) -> list[str] | Hold:
            if hold := await hold_beside(connection, project, holds):
                return hold
            digests: set[str] = set()
            for start in range(0, len(edges), TOGETHER):
                some = edges[start : start + TOGETHER]
                carried = select(DATASET_MEDIA.c.digest).where(_these(DATASET_MEDIA, project, some)).distinct()
                digests |= {row.digest for row in await connection.execute(carried)}
                for table in (DATASET_MEDIA, DATASET_PARENTS, DATASET_VERSIONS):
                    await connection.execute(delete(table).where(_these(table, project, some)))
            if self._audit:
                names = [f"{name}@{number}" for name, number in edges]
                events = [Event("dataset.deleted", actor, project, each) for each in names]
                await self._audit.append(connection, *events)
            return sorted(digests)

        return _unless_held(await self._writer.change(change))

    async def bury(self, project: str, edge: Edge, step: bytes, holds: Collection[str] = ()) -> list[str]:
        """Keep of a version only that it was, with another step; the digests of the files that its items carried.

        Its parents, what was made of it and what learnt from it stay known. `holds` and OnHold as in `delete`.
        """

        async def change(connection: AsyncConnection) -> list[str] | Hold:
            if hold := await hold_beside(connection, project, holds):
                return hold
            carried = select(DATASET_MEDIA.c.digest).where(_these(DATASET_MEDIA, project, [edge])).distinct()
            digests = [row.digest for row in await connection.execute(carried)]
            await connection.execute(delete(DATASET_MEDIA).where(_these(DATASET_MEDIA, project, [edge])))
            mine = _these(DATASET_VERSIONS, project, [edge])
            gone = {"step": step, "items": 0, "dropped": 0, "bytes": 0}
            await connection.execute(update(DATASET_VERSIONS).where(mine).values(**gone))
            return digests

        return _unless_held(await self._writer.change(change))

    async def used(self, project: str, use: StoredUse) -> None:
        """Note that something learnt from a version; once, however often it is said."""
        row = {
            "project": project,
            "name": use.version[0],
            "number": use.version[1],
            "kind": use.kind,
            "user": use.user.encode("utf-8", "surrogatepass"),
            "created": use.created,
        }

        async def change(connection: AsyncConnection) -> None:
            same = and_(*[DATASET_USES.c[name] == row[name] for name in ("project", "name", "number", "kind", "user")])
            await connection.execute(delete(DATASET_USES).where(same))
            await connection.execute(insert(DATASET_USES), [row])

        await self._writer.change(change)

    async def uses(self, project: str, edges: Sequence[Edge]) -> list[StoredUse]:
        """What learnt from some versions, oldest first."""
        found: list[StoredUse] = []
        async with self._database.reading() as connection:
            for start in range(0, len(edges), TOGETHER):
                query = select(DATASET_USES).where(_these(DATASET_USES, project, edges[start : start + TOGETHER]))
                for row in await connection.execute(query):
                    user = row.user.decode("utf-8", "surrogatepass")
                    found.append(StoredUse((row.name, row.number), row.kind, user, row.created))
        return sorted(found, key=lambda use: (use.created, use.version, use.kind, use.user))

    async def save_filter(self, project: str, name: str, content: bytes) -> None:
        """Keep a filter by a name, in place of the one that had it."""
        row = {"project": project, "name": name, "created": int(time.time()), "content": content}

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(delete(SAVED_FILTERS).where(_named(project, name)))
            await connection.execute(insert(SAVED_FILTERS), [row])

        await self._writer.change(change)

    async def filters(self, project: str) -> dict[str, bytes]:
        """The filters that are kept, by name."""
        query = select(SAVED_FILTERS).where(SAVED_FILTERS.c.project == project).order_by(SAVED_FILTERS.c.name)
        async with self._database.reading() as connection:
            return {row.name: row.content for row in await connection.execute(query)}

    async def forget_filter(self, project: str, name: str) -> bool:
        """Delete a filter; whether it was there."""

        async def change(connection: AsyncConnection) -> bool:
            done = await connection.execute(delete(SAVED_FILTERS).where(_named(project, name)))
            return done.rowcount > 0

        return await self._writer.change(change)


def _unless_held(digests: list[str] | Hold) -> list[str]:
    """What a deletion gave; raises OnHold where a hold was in its way."""
    if isinstance(digests, Hold):
        raise OnHold(digests.words)
    return digests


def _named(project: str, name: str) -> ColumnElement[bool]:
    return (SAVED_FILTERS.c.project == project) & (SAVED_FILTERS.c.name == name)


def _these(table: Table, project: str, edges: Sequence[Edge]) -> ColumnElement[bool]:
    return and_(
        table.c.project == project,
        or_(*[and_(table.c.name == name, table.c.number == number) for name, number in edges]),
    )


async def _parents(connection: AsyncConnection, project: str, edges: Sequence[Edge] | None) -> dict[Edge, list[Edge]]:
    """What some versions of a project, or all, were made of."""
    query = select(DATASET_PARENTS).where(DATASET_PARENTS.c.project == project)
    if edges is not None:
        query = query.where(_these(DATASET_PARENTS, project, edges))
    found: dict[Edge, list[Edge]] = {}
    for row in await connection.execute(query):
        found.setdefault((row.name, row.number), []).append((row.parent_name, row.parent_number))
    return found


def _version(row: Row[Any], edges: dict[Edge, list[Edge]]) -> StoredVersion:
    return StoredVersion(
        name=row.name,
        number=row.number,
        created=row.created,
        hash=row.hash,
        items=row.items,
        dropped=row.dropped,
        bytes=row.bytes,
        step=row.step,
        parents=tuple(sorted(edges.get((row.name, row.number), ()))),
    )
