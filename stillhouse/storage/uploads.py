"""Uploads: files that come in parts, each kept as it comes, until they are put together, cancelled or expired."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from typing import Any, final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.blobs import Draft
from stillhouse.storage.database import Database
from stillhouse.storage.file_records import Blob, NewFile, StoredFile, Upload, UploadPart, UploadState
from stillhouse.storage.files import Files, alone, insert_file
from stillhouse.storage.ids import new_id
from stillhouse.storage.tables import UPLOAD_PARTS, UPLOADS
from stillhouse.storage.writer import Writer

__all__ = ["SECONDS_OPEN", "Uploads"]

SECONDS_OPEN = 3_600
"""How long an upload takes parts."""

PIECE = 2**20
"""Bytes that are copied at once."""


@final
class Uploads:
    """The uploads of a database; what they become is given to its files."""

    def __init__(self, database: Database, writer: Writer, files: Files) -> None:
        self._database, self._writer, self._files = database, writer, files

    async def create(self, project: str, new: NewFile, size: int) -> Upload:
        """A new upload, of a file that shall have so many bytes."""
        now = int(time.time())
        upload = Upload(new_id("upload_"), now, now + SECONDS_OPEN, new, size)
        row = {
            "project": project,
            "id": upload.id,
            "created": now,
            "expires": upload.expires,
            "filename": new.filename,
            "purpose": new.purpose,
            "bytes": size,
            "lasts": new.lasts,
            "state": upload.state.value,
        }

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(insert(UPLOADS), [row])

        await self._writer.change(change)
        return upload

    async def get(self, project: str, upload_id: str) -> Upload | None:
        """One by its id, None when there is none."""
        query = select(UPLOADS).where(UPLOADS.c.project == project, UPLOADS.c.id == upload_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _upload(row)

    async def parts(self, project: str, upload_id: str) -> dict[str, UploadPart]:
        """The parts that have come, by their ids."""
        mine = (UPLOAD_PARTS.c.project == project) & (UPLOAD_PARTS.c.upload == upload_id)
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(UPLOAD_PARTS).where(mine))).all()
        return {row.id: UploadPart(row.id, row.created, Blob(row.digest, row.bytes)) for row in rows}

    async def add_part(self, project: str, upload: Upload, draft: Draft, most: int) -> UploadPart | None:
        """Keep one part; None when the upload is no longer pending, or its parts would have more than `most` bytes."""
        blob = await draft.seal()
        part = UploadPart(new_id("part_"), int(time.time()), blob)
        row = {
            "project": project,
            "upload": upload.id,
            "id": part.id,
            "created": part.created,
            "bytes": blob.bytes,
            "digest": blob.digest,
        }

        async def change(connection: AsyncConnection) -> bool:
            await alone(connection)
            mine = (UPLOAD_PARTS.c.project == project) & (UPLOAD_PARTS.c.upload == upload.id)
            there = (await connection.execute(select(func.sum(UPLOAD_PARTS.c.bytes)).where(mine))).scalar()
            if not await _is_pending(connection, project, upload.id) or int(there or 0) + blob.bytes > most:
                return False
            await asyncio.to_thread(self._files.blobs.keep, draft, blob)
            await connection.execute(insert(UPLOAD_PARTS), [row])
            return True

        return part if await self._writer.change(change) else None

    async def assemble(self, parts: Sequence[UploadPart], draft: Draft) -> str:
        """Write parts into a draft, one after the other; the MD5 of all in hex. Raises StorageError."""
        digest = hashlib.md5(usedforsecurity=False)
        for part in parts:
            with await asyncio.to_thread(self._files.blobs.open, part.blob) as file:
                while piece := await asyncio.to_thread(file.read, PIECE):
                    await draft.write(piece)
                    digest.update(piece)
        return digest.hexdigest()

    async def complete(self, project: str, upload: Upload, draft: Draft) -> StoredFile | None:
        """The file that an upload becomes, its parts forgotten; None when it was no longer pending."""
        blob = await draft.seal()

        async def change(connection: AsyncConnection) -> tuple[StoredFile, list[str]] | None:
            if not await _is_pending(connection, project, upload.id):
                return None
            file = await insert_file(connection, self._files.blobs, project, (draft, blob), upload.new)
            return file, await _end(connection, project, upload.id, UploadState.COMPLETED, file.id)

        done = await self._writer.change(change)
        if done is None:
            return None
        await self._files.release(done[1])
        return done[0]

    async def cancel(self, project: str, upload: Upload) -> bool:
        """Take no more parts and forget those that came; False when it was no longer pending."""

        async def change(connection: AsyncConnection) -> list[str] | None:
            if not await _is_pending(connection, project, upload.id):
                return None
            return await _end(connection, project, upload.id, UploadState.CANCELLED)

        digests = await self._writer.change(change)
        await self._files.release(digests or ())
        return digests is not None

    async def tidy(self) -> None:
        """Forget the parts of uploads that have expired."""

        async def change(connection: AsyncConnection) -> list[str]:
            late = (UPLOADS.c.state == UploadState.PENDING.value) & (UPLOADS.c.expires <= int(time.time()))
            digests: list[str] = []
            for row in (await connection.execute(select(UPLOADS.c.project, UPLOADS.c.id).where(late))).all():
                digests += await _end(connection, row.project, row.id, UploadState.EXPIRED)
            return digests

        await self._files.release(await self._writer.change(change))


async def _is_pending(connection: AsyncConnection, project: str, upload_id: str) -> bool:
    query = select(UPLOADS).where(UPLOADS.c.project == project, UPLOADS.c.id == upload_id)
    row = (await connection.execute(query)).first()
    return row is not None and _upload(row).at(time.time()) == UploadState.PENDING


async def _end(
    connection: AsyncConnection, project: str, upload_id: str, state: UploadState, file: str | None = None
) -> list[str]:
    """Note what became of an upload and delete its parts; the digests of their bytes."""
    mine = (UPLOAD_PARTS.c.project == project) & (UPLOAD_PARTS.c.upload == upload_id)
    digests = [row.digest for row in await connection.execute(select(UPLOAD_PARTS.c.digest).where(mine))]
    await connection.execute(delete(UPLOAD_PARTS).where(mine))
    this = (UPLOADS.c.project == project) & (UPLOADS.c.id == upload_id)
    await connection.execute(update(UPLOADS).where(this).values(state=state.value, file=file))
    return digests


def _upload(row: Row[Any]) -> Upload:
    return Upload(
        id=row.id,
        created=row.created,
        expires=row.expires,
        new=NewFile(row.filename, row.purpose, row.lasts),
        bytes=row.bytes,
        state=UploadState(row.state),
        file=row.file,
    )
