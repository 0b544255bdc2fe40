"""`/v1/files`: files uploaded, listed, read and deleted; their bytes go to the disk as they come, and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, BinaryIO, final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from stillhouse.gateway.auth import Gate, project_of
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.multipart import read_form
from stillhouse.gateway.paging import read_cut, unknown_cursor
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.file_records import NewFile, StoredFile
from stillhouse.storage.ids import is_id
from stillhouse.storage.records import Scope
from stillhouse.wire.files import (
    LARGEST_BATCH,
    LARGEST_FILE,
    LONGEST_LINE,
    FileCard,
    check_lines,
    read_wish_form,
    unknown_file,
    write_deleted_file,
    write_file,
    write_files,
)

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["LEFT", "Files", "card_of", "check_room"]

MOST = 10_000
"""Files of a page, at most and when nothing is said."""

PIECE = 256 * 2**10
"""Bytes that are sent at once."""

LEFT = 499
"""The status of an answer that nobody reads: the client has left."""


@final
class Files:
    """Keeps files and gives them back."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        all_of_them, one = "/v1/files", "/v1/files/{file_id}"
        return [
            gate.route(all_of_them, self.create, Scope.TRAIN, "POST"),
            gate.route(all_of_them, self.list, Scope.READ),
            gate.route(one, self.retrieve, Scope.READ),
            gate.route(one, self.delete, Scope.TRAIN, "DELETE"),
            gate.route(f"{one}/content", self.content, Scope.READ),
        ]

    async def create(self, request: Request) -> Response:
        """Keep a file: its form is read as it comes, and nothing is left of one that is refused or breaks off."""
        store = await self._shelf.open()
        await check_room(store, request)
        try:
            async with store.files.blobs.draft() as draft:
                form = await read_form(request, "file", draft.write, LARGEST_FILE)
                wish = read_wish_form(form.fields, form.filename)
                if wish.purpose == "batch" and draft.bytes > LARGEST_BATCH:
                    raise HTTPException(413, f"A file for batches may have {LARGEST_BATCH // 2**20} MiB at most.")
                name = form.filename or ""
                if wish.is_of_rows:
                    await asyncio.to_thread(lambda: check_lines(draft.lines(LONGEST_LINE), name))
                file = await store.files.add(project_of(request), draft, NewFile(name, wish.purpose, wish.lasts))
        except ClientDisconnect:
            return Response(status_code=LEFT)
        return Response(write_file(card_of(file)), media_type=JSON)

    async def list(self, request: Request) -> Response:
        """A page of those of a purpose, or of all."""
        asked = read_cut(request.query_params, size=MOST, largest=MOST)
        store = await self._shelf.open()
        page = await store.files.page(project_of(request), request.query_params.get("purpose") or None, asked)
        if page is None:
            raise unknown_cursor(asked.after or "")
        return Response(write_files([card_of(file) for file in page.rows], page.has_more), media_type=JSON)

    async def retrieve(self, request: Request) -> Response:
        """One, by its id."""
        _, file = await self._find(request)
        return Response(write_file(card_of(file)), media_type=JSON)

    async def delete(self, request: Request) -> Response:
        """One no longer."""
        file_id = _id(request)
        store = await self._shelf.open()
        if not await store.files.delete(project_of(request), file_id):
            raise unknown_file(file_id)
        return Response(write_deleted_file(file_id), media_type=JSON)

    async def content(self, request: Request) -> Response:
        """The bytes of one, as they were sent."""
        store, file = await self._find(request)
        headers = {
            "content-length": str(file.blob.bytes),
            "content-disposition": f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}",
            "x-content-type-options": "nosniff",
        }
        content = await store.files.open(file)
        return StreamingResponse(_pieces(content), headers=headers, media_type="application/octet-stream")

    async def _find(self, request: Request) -> tuple[Store, StoredFile]:
        file_id = _id(request)
        store = await self._shelf.open()
        file = await store.files.get(project_of(request), file_id)
        if file is None:
            raise unknown_file(file_id)
        return store, file


async def check_room(store: Store, request: Request) -> None:
    """Raise StorageFull when the disk has no room for what a request says it brings."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) <= LARGEST_FILE:
        await asyncio.to_thread(store.files.blobs.check_room, int(told))


def card_of(file: StoredFile) -> FileCard:
    """A file as clients see it."""
    return FileCard(file.id, file.created, file.filename, file.purpose, file.blob.bytes, file.expires)


async def _pieces(content: BinaryIO) -> AsyncGenerator[bytes]:
    with content:
        while piece := await asyncio.to_thread(content.read, PIECE):
            yield piece


def _id(request: Request) -> str:
    file_id: str = request.path_params["file_id"]
    if not is_id(file_id):
        raise unknown_file(file_id[:80])
    return file_id
