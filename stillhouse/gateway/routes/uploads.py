"""`/v1/uploads`: large files announced, sent in parts, put together or given up."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.errors import StorageError
from stillhouse.gateway.auth import Gate, project_of
from stillhouse.gateway.body import read_body
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.multipart import read_form
from stillhouse.gateway.routes.files import LEFT, card_of, check_room
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.file_records import NewFile, StoredFile, Upload, UploadPart, UploadState
from stillhouse.storage.ids import is_id
from stillhouse.storage.records import Scope
from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import missing, wrong_value
from stillhouse.wire.files import LONGEST_LINE, FileWish, check_lines
from stillhouse.wire.uploads import (
    LARGEST_PART,
    Completion,
    UploadCard,
    over,
    read_completion,
    read_upload,
    unknown_upload,
    write_part,
    write_upload,
    wrong_md5,
    wrong_size,
)

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["Uploads"]


@final
class Uploads:
    """Takes files in parts."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        one = "/v1/uploads/{upload_id}"
        return [
            gate.route("/v1/uploads", self.create, Scope.TRAIN, "POST"),
            gate.route(f"{one}/parts", self.add_part, Scope.TRAIN, "POST"),
            gate.route(f"{one}/complete", self.complete, Scope.TRAIN, "POST"),
            gate.route(f"{one}/cancel", self.cancel, Scope.TRAIN, "POST"),
        ]

    async def create(self, request: Request) -> Response:
        """Announce a file."""
        wish = read_upload(await read_body(request))
        store = await self._shelf.open()
        await asyncio.to_thread(store.files.blobs.check_room, 2 * wish.bytes)  # its parts, and what they become
        new = NewFile(wish.filename, wish.file.purpose, wish.file.lasts)
        return _shown(await store.uploads.create(project_of(request), new, wish.bytes))

    async def add_part(self, request: Request) -> Response:
        """Keep a part, whole or not at all; what was sent twice may be left out when the parts are put together."""
        store, upload = await self._find(request)
        _need_pending(upload)
        await check_room(store, request)
        try:
            async with store.files.blobs.draft() as draft:
                form = await read_form(request, "data", draft.write, LARGEST_PART)
                if form.filename is None:
                    raise missing("data")
                if draft.bytes > upload.bytes:
                    raise wrong_size(upload.bytes, draft.bytes, "data")
                most = 2 * upload.bytes + LARGEST_PART
                part = await store.uploads.add_part(project_of(request), upload, draft, most)
        except ClientDisconnect:
            return Response(status_code=LEFT)
        if part is None:
            _, upload = await self._find(request)
            _need_pending(upload)
            raise WireError(
                f"The parts have more than {most} bytes in all, twice what is needed.", "invalid_value", "data"
            )
        return Response(write_part(part.id, part.created, upload.id), media_type=JSON)

    async def complete(self, request: Request) -> Response:
        """Put the parts together; an upload that is complete already is shown again, for who missed the answer."""
        wanted = read_completion(await read_body(request))
        store, upload = await self._find(request)
        project = project_of(request)
        if upload.state == UploadState.COMPLETED:
            return _shown(upload, await store.files.get(project, upload.file or ""))
        _need_pending(upload)
        parts = _in_order(await store.uploads.parts(project, upload.id), wanted, upload)
        file = await self._assemble(store, project, upload, parts, wanted.md5)
        _, upload = await self._find(request)
        if file is None:
            if upload.state != UploadState.COMPLETED:
                raise over(upload.id, upload.at(time.time()))
            file = await store.files.get(project, upload.file or "")
        return _shown(upload, file)

    async def cancel(self, request: Request) -> Response:
        """Give an upload up."""
        store, upload = await self._find(request)
        if upload.state != UploadState.CANCELLED:
            _need_pending(upload)
            await store.uploads.cancel(project_of(request), upload)
            _, upload = await self._find(request)
            if upload.state != UploadState.CANCELLED:
                raise over(upload.id, upload.at(time.time()))
        return _shown(upload)

    async def _assemble(
        self, store: Store, project: str, upload: Upload, parts: list[UploadPart], md5: str | None
    ) -> StoredFile | None:
        """The file of all parts; None when the upload ended meanwhile."""
        async with store.files.blobs.draft() as draft:
            try:
                got = await store.uploads.assemble(parts, draft)
            except StorageError:
                found = await store.uploads.get(project, upload.id)
                if found and found.state != UploadState.PENDING:
                    return None  # somebody else ended it, and its parts are gone
                raise
            if md5 is not None and got != md5:
                raise wrong_md5(md5, got)
            if FileWish(upload.new.purpose).is_of_rows:
                await asyncio.to_thread(lambda: check_lines(draft.lines(LONGEST_LINE), upload.new.filename))
            return await store.uploads.complete(project, upload, draft)

    async def _find(self, request: Request) -> tuple[Store, Upload]:
        upload_id: str = request.path_params["upload_id"]
        if not is_id(upload_id):
            raise unknown_upload(upload_id[:80])
        store = await self._shelf.open()
        upload = await store.uploads.get(project_of(request), upload_id)
        if upload is None:
            raise unknown_upload(upload_id)
        return store, upload


def _need_pending(upload: Upload) -> None:
    state = upload.at(time.time())
    if state != UploadState.PENDING:
        raise over(upload.id, state)


def _in_order(parts: dict[str, UploadPart], wanted: Completion, upload: Upload) -> list[UploadPart]:
    """The parts that are named; raises WireError unless they are there and as long as was announced."""
    for index, part_id in enumerate(wanted.part_ids):
        if part_id not in parts:
            raise wrong_value(f"part_ids[{index}]", f"the upload has no part '{part_id[:80]}'")
    found = [parts[part_id] for part_id in wanted.part_ids]
    size = sum(part.blob.bytes for part in found)
    if size != upload.bytes:
        raise wrong_size(upload.bytes, size, "part_ids")
    return found


def _shown(upload: Upload, file: StoredFile | None = None) -> Response:
    card = UploadCard(
        id=upload.id,
        created=upload.created,
        expires=upload.expires,
        filename=upload.new.filename,
        purpose=upload.new.purpose,
        bytes=upload.bytes,
        status=upload.at(time.time()),
    )
    return Response(write_upload(card, card_of(file) if file else None), media_type=JSON)
