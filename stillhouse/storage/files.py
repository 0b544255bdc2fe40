"""Files: what was uploaded or made here, by purpose; their bytes are blobs, removed when no file has them any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, BinaryIO, final

from sqlalchemy import ColumnElement, Row, delete, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.blobs import Blobs, Draft
from stillhouse.storage.database import Database
from stillhouse.storage.file_records import Blob, NewFile, StoredFile
from stillhouse.storage.ids import new_id
from stillhouse.storage.pages import cut, place_of
from stillhouse.storage.records import Cut, Page
from stillhouse.storage.tables import DATASET_MEDIA, DELETED_FILES, FILES, UPLOAD_PARTS
from stillhouse.storage.writer import Writer

__all__ = ["Files", "alone", "insert_file"]

LOCK = 5_742_906_818
"""By this number programs that add or remove bytes wait for each other on PostgreSQL; on SQLite writing does it."""

TOGETHER = 1_000
"""Expired files that are removed in one transaction."""

GATHERED = 2**20
"""Bytes of a file made here that are written at once."""

HOUR = 3_600
"""Seconds after which bytes that belong to nothing are known to be leftovers."""


@final
class Files:
    """The files of a database. One that has expired is gone at once, and its bytes with the next `tidy`."""

    def __init__(self, database: Database, writer: Writer, blobs: Blobs) -> None:
        self._database, self._writer, self.blobs = database, writer, blobs

    async def add(self, project: str, draft: Draft, new: NewFile) -> StoredFile:
        """Keep what was written; raises StorageError, and then nothing is kept."""
        blob = await draft.seal()

        async def change(connection: AsyncConnection) -> StoredFile:
            return await insert_file(connection, self.blobs, project, (draft, blob), new)

        return await self._writer.change(change)

    async def put(self, project: str, new: NewFile, pieces: Iterable[bytes]) -> StoredFile:
        """Keep a file that is made here, of pieces however small."""
        async with self.blobs.draft() as draft:
            gathered = bytearray()
            for piece in pieces:
                gathered += piece
                if len(gathered) >= GATHERED:
                    await draft.write(bytes(gathered))
                    gathered.clear()
            await draft.write(bytes(gathered))
            return await self.add(project, draft, new)

    async def get(self, project: str, file_id: str) -> StoredFile | None:
        """One by its id, None when there is none."""
        query = select(FILES).where(FILES.c.project == project, FILES.c.id == file_id, _lasting())
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _file(row)

    async def open(self, file: StoredFile) -> BinaryIO:
        """The bytes of a file, which can be read to their end whatever becomes of it; raises StorageError."""
        return await asyncio.to_thread(self.blobs.open, file.blob)

    async def page(self, project: str, purpose: str | None, asked: Cut) -> Page[StoredFile] | None:
        """Some files of a purpose, or of any; None when the one to go on after never was."""
        if purpose is not None and "\0" in purpose:  # which PostgreSQL cannot compare with
            return Page([], has_more=False)
        query = select(FILES).where(FILES.c.project == project, _lasting())
        if purpose is not None:
            query = query.where(FILES.c.purpose == purpose)
        async with self._database.reading() as connection:
            after = None
            if asked.after is not None:
                after = await place_of(connection, (FILES, DELETED_FILES), project, asked.after)
                if after is None:
                    return None
            rows = (await connection.execute(cut(query, FILES.c.created, FILES.c.id, asked, after))).all()
        return Page([_file(row) for row in rows[: asked.limit]], has_more=len(rows) > asked.limit)

    async def rewrite(self, project: str, file: StoredFile, pieces: Iterable[bytes]) -> StoredFile:
        """Give a file other bytes, by which it keeps its id and its name; those that it had are removed."""
        async with self.blobs.draft() as draft:
            for piece in pieces:
                await draft.write(piece)
            blob = await draft.seal()

            async def change(connection: AsyncConnection) -> None:
                await alone(connection)
                await asyncio.to_thread(self.blobs.keep, draft, blob)
                mine = (FILES.c.project == project) & (FILES.c.id == file.id)
                await connection.execute(update(FILES).where(mine).values(bytes=blob.bytes, digest=blob.digest))

            await self._writer.change(change)
        if blob.digest != file.blob.digest:
            await self.release([file.blob.digest])
        return replace(file, blob=blob)

    async def delete(self, project: str, file_id: str) -> bool:
        """Forget one, but for where it stood; whether it was there."""

        async def change(connection: AsyncConnection) -> list[str]:
            mine = (FILES.c.project == project) & (FILES.c.id == file_id) & _lasting()
            return await _remove(connection, mine)

        digests = await self._writer.change(change)
        await self.release(digests)
        return bool(digests)

    async def release(self, digests: Sequence[str]) -> None:
        """Remove those bytes that nothing refers to, neither now nor once what waits to be written is undone."""
        if not digests:
            return

        async def change(connection: AsyncConnection) -> None:
            await alone(connection)
            for start in range(0, len(digests), TOGETHER):
                some = set(digests[start : start + TOGETHER])
                some -= await _referred(connection, some)
                async with self._database.reading() as committed:
                    some -= await _referred(committed, some)
                for digest in some:
                    await asyncio.to_thread(self.blobs.remove, digest)

        await self._writer.change(change)

    async def tidy(self, thorough: bool = False) -> None:
        """Remove expired files, and what programs left that were killed; `thorough` looks at every byte's owner."""

        async def change(connection: AsyncConnection) -> list[str]:
            query = select(FILES.c.id).where(FILES.c.expires <= int(time.time())).limit(TOGETHER)
            ids = [row.id for row in await connection.execute(query)]
            return await _remove(connection, FILES.c.id.in_(ids)) if ids else []

        while digests := await self._writer.change(change):
            await self.release(digests)
        await asyncio.to_thread(self.blobs.drop_drafts)
        if thorough:
            await self.release(await asyncio.to_thread(self.blobs.leftovers, time.time() - HOUR))


async def insert_file(
    connection: AsyncConnection, blobs: Blobs, project: str, draft: tuple[Draft, Blob], new: NewFile
) -> StoredFile:
    """A row for a file whose bytes were sealed; both are there once the transaction is."""
    await alone(connection)
    await asyncio.to_thread(blobs.keep, *draft)
    now = int(time.time())
    file = StoredFile(
        id=new_id("file-"),
        created=now,
        filename=new.filename,
        purpose=new.purpose,
        blob=draft[1],
        expires=None if new.lasts is None else now + new.lasts,
    )
    row = {
        "project": project,
        "id": file.id,
        "created": file.created,
        "filename": file.filename,
        "purpose": file.purpose,
        "bytes": file.blob.bytes,
        "digest": file.blob.digest,
        "expires": file.expires,
    }
    await connection.execute(insert(FILES), [row])
    return file


async def alone(connection: AsyncConnection) -> None:
    """Until the transaction ends, no other program adds or removes bytes."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})


def _lasting() -> ColumnElement[bool]:
    """Files that have not expired."""
    return or_(FILES.c.expires.is_(None), FILES.c.expires > int(time.time()))


async def _remove(connection: AsyncConnection, which: ColumnElement[bool]) -> list[str]:
    """Delete files, and note where they stood; the digests of their bytes."""
    rows = (await connection.execute(select(FILES).where(which))).all()
    if rows:
        stood = [{"project": row.project, "id": row.id, "created": row.created} for row in rows]
        await connection.execute(delete(FILES).where(which))
        await connection.execute(insert(DELETED_FILES), stood)
    return [row.digest for row in rows]


async def _referred(connection: AsyncConnection, digests: set[str]) -> set[str]:
    """Those of some digests that files, parts of uploads or items of datasets have."""
    found: set[str] = set()
    for table in (FILES, UPLOAD_PARTS, DATASET_MEDIA):
        if digests:
            query = select(table.c.digest).where(table.c.digest.in_(digests)).distinct()
            found |= {row.digest for row in await connection.execute(query)}
    return found


def _file(row: Row[Any]) -> StoredFile:
    return StoredFile(
        id=row.id,
        created=row.created,
        filename=row.filename,
        purpose=row.purpose,
        blob=Blob(row.digest, row.bytes),
        expires=row.expires,
    )
