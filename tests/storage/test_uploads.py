"""Uploads: parts kept as they come, found after a restart, put together in order, forgotten in the end."""

from __future__ import annotations

import hashlib
import time

import pytest
from sqlalchemy import update

from stillhouse.storage.blobs import Blobs
from stillhouse.storage.file_records import NewFile, UploadState
from stillhouse.storage.files import Files
from stillhouse.storage.tables import UPLOADS
from stillhouse.storage.uploads import SECONDS_OPEN, Uploads
from stillhouse.storage.writer import Writer

NEW = NewFile("a.bin", "user_data", 7_200)
PLENTY = 1_000


@pytest.fixture
def files(database, writer, tmp_path) -> Files:
    return Files(database, writer, Blobs(tmp_path / "blobs"))


@pytest.fixture
def uploads(database, writer, files) -> Uploads:
    return Uploads(database, writer, files)


async def send(uploads: Uploads, files: Files, upload, data: bytes, most: int = PLENTY):
    async with files.blobs.draft() as draft:
        await draft.write(data)
        return await uploads.add_part("p", upload, draft, most)


async def together(uploads: Uploads, files: Files, upload, parts):
    async with files.blobs.draft() as draft:
        md5 = await uploads.assemble(parts, draft)
        return md5, await uploads.complete("p", upload, draft)


def lying(files: Files) -> list[str]:
    return [path.name for path in files.blobs.folder.glob("[0-9a-f][0-9a-f]/*")]


async def test_parts_become_a_file_in_the_order_that_is_named(uploads, files, database):
    upload = await uploads.create("p", NEW, 9)
    assert upload.expires == upload.created + SECONDS_OPEN
    parts = [await send(uploads, files, upload, data) for data in (b"three", b"one ", b"x")]
    # another program on the same database goes on with it
    again = Writer(database)
    later = Uploads(database, again, files)
    assert await later.get("p", upload.id) == upload
    assert await later.get("q", upload.id) is None
    assert set((await later.parts("p", upload.id)).values()) == set(parts)
    md5, file = await together(later, files, upload, [parts[1], parts[0]])
    assert md5 == hashlib.md5(b"one three").hexdigest()
    with await files.open(file) as content:
        assert content.read() == b"one three"
    assert (file.filename, file.purpose, file.expires) == ("a.bin", "user_data", file.created + 7_200)
    assert lying(files) == [file.blob.digest]
    done = await later.get("p", upload.id)
    assert (done.state, done.file) == (UploadState.COMPLETED, file.id)
    assert await send(later, files, upload, b"more") is None
    assert (await together(later, files, upload, []))[1] is None
    assert not await later.cancel("p", upload)
    await again.close()


async def test_a_part_that_is_the_whole_file_stays_as_the_file(uploads, files):
    upload = await uploads.create("p", NEW, 3)
    part = await send(uploads, files, upload, b"all")
    _, file = await together(uploads, files, upload, [part])
    assert file.blob == part.blob
    with await files.open(file) as content:
        assert content.read() == b"all"


async def test_what_is_cancelled_leaves_nothing(uploads, files):
    upload = await uploads.create("p", NEW, 9)
    await send(uploads, files, upload, b"part")
    assert await uploads.cancel("p", upload)
    assert lying(files) == []
    assert (await uploads.get("p", upload.id)).state == UploadState.CANCELLED
    assert await uploads.parts("p", upload.id) == {}


async def test_parts_take_no_more_room_than_is_granted(uploads, files):
    upload = await uploads.create("p", NEW, 9)
    assert await send(uploads, files, upload, b"12345", most=9)
    assert await send(uploads, files, upload, b"12345", most=9) is None
    assert len(await uploads.parts("p", upload.id)) == 1


async def test_an_expired_upload_takes_nothing_and_its_parts_are_forgotten(uploads, files, database):
    upload = await uploads.create("p", NEW, 9)
    other = await uploads.create("p", NEW, 9)
    await send(uploads, files, upload, b"late")
    kept = await send(uploads, files, other, b"in time")
    async with database.writing() as connection:
        late = UPLOADS.c.id == upload.id
        await connection.execute(update(UPLOADS).where(late).values(expires=int(time.time())))
    assert (await uploads.get("p", upload.id)).at(time.time()) == UploadState.EXPIRED
    assert await send(uploads, files, upload, b"more") is None
    await uploads.tidy()
    assert (await uploads.get("p", upload.id)).state == UploadState.EXPIRED
    assert lying(files) == [kept.blob.digest]
