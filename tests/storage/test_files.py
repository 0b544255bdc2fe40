"""Files: found until they are deleted or expire; their bytes stay as long as one file has them."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from sqlalchemy import update

from stillhouse.errors import StorageError
from stillhouse.storage.blobs import Blobs
from stillhouse.storage.file_records import NewFile
from stillhouse.storage.files import Files
from stillhouse.storage.records import Cut
from stillhouse.storage.tables import FILES
from stillhouse.storage.writer import Writer


@pytest.fixture
def files(database, writer, tmp_path) -> Files:
    return Files(database, writer, Blobs(tmp_path / "blobs"))


async def put(files: Files, data: bytes, name: str = "a.txt", purpose: str = "user_data", project: str = "p"):
    return await files.put(project, NewFile(name, purpose), [data])


async def expire(database, file) -> None:
    async with database.writing() as connection:
        await connection.execute(update(FILES).where(FILES.c.id == file.id).values(expires=int(time.time())))


def lying(files: Files) -> list[str]:
    return sorted(path.name for path in files.blobs.folder.glob("[0-9a-f][0-9a-f]/*"))


async def test_a_file_is_found_by_its_project_alone(files):
    made = await files.put("p", NewFile("ünï.txt", "user_data", 7_200), [b"some ", b"bytes"])
    assert await files.get("p", made.id) == made
    assert made.expires == made.created + 7_200
    assert await files.get("q", made.id) is None
    assert not await files.delete("q", made.id)
    with await files.open(made) as content:
        assert content.read() == b"some bytes"


async def test_a_file_may_be_made_of_many_small_pieces(files):
    made = await files.put("p", NewFile("a", "user_data"), (b"%07d\n" % number for number in range(300_000)))
    assert made.blob.bytes == 2_400_000
    with await files.open(made) as content:
        assert content.readlines()[-1] == b"0299999\n"


async def test_bytes_stay_until_the_last_file_that_has_them_is_gone(files):
    one, two, other = [await put(files, data) for data in (b"same", b"same", b"other")]
    assert len(lying(files)) == 2
    assert await files.delete("p", one.id)
    assert not await files.delete("p", one.id)
    with await files.open(two) as content:
        assert content.read() == b"same"
    await files.delete("p", two.id)
    assert lying(files) == [other.blob.digest]


async def test_who_reads_reads_to_the_end_though_the_file_is_deleted(files):
    made = await put(files, b"x" * 1_000)
    with await files.open(made) as content:
        await files.delete("p", made.id)
        assert len(content.read()) == 1_000
    with pytest.raises(StorageError):
        await files.open(made)


async def test_pages_by_time_and_purpose_go_on_after_what_was_deleted(files):
    made = [await put(files, b"x", f"{number}", ("evals", "batch")[number % 2]) for number in range(5)]
    await put(files, b"x", project="q")
    page = await files.page("p", None, Cut(limit=3))
    assert [each.filename for each in page.rows] == ["4", "3", "2"]
    assert page.has_more
    await files.delete("p", made[2].id)
    rest = await files.page("p", None, Cut(after=made[2].id))
    assert [each.filename for each in rest.rows] == ["1", "0"]
    evals = await files.page("p", "evals", Cut(ascending=True))
    assert [each.filename for each in evals.rows] == ["0", "4"]
    assert await files.page("p", None, Cut(after="file-never")) is None


async def test_a_purpose_that_no_database_holds_has_no_files(files):
    await put(files, b"a")
    assert (await files.page("p", "user\0data", Cut())).rows == []


async def test_an_expired_file_is_gone_at_once_and_its_bytes_with_the_next_tidying(files, database):
    gone, stays = await put(files, b"gone"), await put(files, b"stays")
    await expire(database, gone)
    assert await files.get("p", gone.id) is None
    assert [each.id for each in (await files.page("p", None, Cut())).rows] == [stays.id]
    assert not await files.delete("p", gone.id)
    await files.tidy()
    assert lying(files) == [stays.blob.digest]
    assert (await files.page("p", None, Cut(after=gone.id, ascending=True))).rows[0].id == stays.id


async def test_bytes_that_belong_to_nothing_are_removed_when_they_are_old(files):
    stays = await put(files, b"stays")
    async with files.blobs.draft() as draft:
        await draft.write(b"a row was never written")
        blob = await draft.seal()
        files.blobs.keep(draft, blob)
    await files.tidy(thorough=True)
    assert len(lying(files)) == 2
    for digest in lying(files):
        os.utime(files.blobs.path(digest), (1, 1))
    await files.tidy(thorough=True)
    assert lying(files) == [stays.blob.digest]


async def test_adding_and_deleting_the_same_bytes_at_once_loses_none(files):
    """Whoever still has a file has its bytes, however deletions and additions meet."""

    async def come_and_go(number: int) -> None:
        made = await put(files, b"the same bytes", str(number))
        await asyncio.sleep(0)
        if number % 2:
            await files.delete("p", made.id)

    await asyncio.gather(*[come_and_go(number) for number in range(40)])
    page = await files.page("p", None, Cut(limit=100))
    assert len(page.rows) == 20
    for each in page.rows:
        with await files.open(each) as content:
            assert content.read() == b"the same bytes"


async def test_two_programs_on_one_database_lose_none_either(files, database):
    second = Writer(database)
    other = Files(database, second, files.blobs)

    async def come_and_go(who: Files, keep: bool) -> None:
        for number in range(10):
            made = await put(who, b"shared", str(number))
            if not keep or number < 9:
                await who.delete("p", made.id)

    await asyncio.gather(come_and_go(files, keep=True), come_and_go(other, keep=False))
    [left] = (await files.page("p", None, Cut())).rows
    with await files.open(left) as content:
        assert content.read() == b"shared"
    await second.close()


async def test_a_row_that_cannot_be_written_keeps_no_bytes_for_long(files, database):
    async with files.blobs.draft() as draft:
        await draft.write(b"x")
        with pytest.raises(StorageError):
            await files.add("p", draft, NewFile("a\ud800", "user_data"))
    assert (await files.page("p", None, Cut())).rows == []
    for digest in lying(files):
        os.utime(files.blobs.path(digest), (1, 1))
    await files.tidy(thorough=True)
    assert lying(files) == []
