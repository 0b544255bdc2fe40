"""The writer: in order, many to a commit, acknowledged when it says so, and never more than it can hold."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from stillhouse.errors import StorageBusy, StorageError
from stillhouse.storage.database import FILE, Database, database_url
from stillhouse.storage.records import Durability
from stillhouse.storage.tables import PROJECTS
from stillhouse.storage.writer import Limits, Writer
from tests.storage.databases import new_database

ROOT = Path(__file__).resolve().parents[2]


def project(name: str) -> dict:
    return {PROJECTS: [(name, 1)]}


async def names(database) -> list[str]:
    async with database.reading() as connection:
        return list((await connection.execute(select(PROJECTS.c.id).order_by(PROJECTS.c.id))).scalars())


def counting(database) -> list[int]:
    """Grows by one with every transaction."""
    begun, writing = [], database.writing

    def count():
        begun.append(1)
        return writing()

    database.writing = count
    return begun


@pytest.mark.parametrize("durability", Durability)
async def test_rows_are_there_once_acknowledged(database, durability):
    writer = Writer(database, durability)
    await asyncio.gather(*[writer.insert(project(f"{n:03}"), 10) for n in range(100)])
    await writer.settled()
    assert await names(database) == [f"{n:03}" for n in range(100)]
    await writer.close()


@pytest.mark.parametrize(("durability", "least", "most"), [("sync", 50, 50), ("batch", 1, 3), ("async", 1, 3)])
async def test_many_share_a_commit_unless_each_is_to_have_its_own(database, durability, least, most):
    writer, begun = Writer(database, Durability(durability)), counting(database)
    await asyncio.gather(*[writer.insert(project(str(n)), 10) for n in range(50)])
    await writer.close()
    assert least <= len(begun) <= most


async def test_early_acknowledged_rows_are_written_before_it_closes(database):
    writer = Writer(database, Durability.ASYNC)
    await writer.insert(project("late"), 10)
    await writer.close()
    assert await names(database) == ["late"]


async def test_changes_see_the_rows_that_were_added_before_them(writer, database):
    async def rename(connection):
        found = (await connection.execute(select(PROJECTS.c.id))).scalars().all()
        await connection.execute(PROJECTS.update().values(id=PROJECTS.c.id + "!"))
        return found

    done = await asyncio.gather(writer.insert(project("a"), 1), writer.change(rename), writer.insert(project("b"), 1))
    assert done == [None, ["a"], None]
    assert await names(database) == ["a!", "b"]


async def test_what_fails_fails_alone(writer, database):
    async def wrong(connection):
        await connection.execute(insert(PROJECTS), [{"id": "half", "created": 1}])
        raise ValueError("no")

    done = await asyncio.gather(
        writer.insert(project("a"), 1), writer.change(wrong), writer.insert(project("b"), 1), return_exceptions=True
    )
    assert [type(each) for each in done] == [type(None), StorageError, type(None)]
    assert await names(database) == ["a", "b"]


async def test_what_is_lost_after_it_was_acknowledged_is_logged(database, caplog):
    writer = Writer(database, Durability.ASYNC)
    for _ in range(2):
        await writer.insert(project("twice"), 1)
    await writer.close()
    assert "acknowledged already are lost" in caplog.text


async def test_too_much_is_refused_first_new_work_then_all(database):
    writer = Writer(database, limits=Limits(writes=3, bytes=100))
    waiting = [asyncio.ensure_future(writer.insert(project(str(n)), 1)) for n in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StorageBusy):
        writer.admit()
    waiting += [asyncio.ensure_future(writer.insert(project(str(n)), 1)) for n in range(3, 7)]
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in done] == [type(None)] * 6 + [StorageBusy]
    writer.admit()
    await writer.insert(project("after"), 1)
    await writer.close()
    assert len(await names(database)) == 7


async def test_bytes_are_bounded_too(database):
    writer = Writer(database, limits=Limits(bytes=100))
    first = asyncio.ensure_future(writer.insert(project("large"), 150))
    await asyncio.sleep(0)
    with pytest.raises(StorageBusy):
        writer.admit()
    await first
    writer.admit()
    await writer.close()


async def test_a_full_disk_refuses_what_does_not_fit_and_no_more(tmp_path):
    database = await Database.open(database_url(None, tmp_path))
    writer = Writer(database)

    def pages(more: int):
        async def change(connection):
            count = (await connection.exec_driver_sql("PRAGMA page_count")).scalar()
            await connection.exec_driver_sql(f"PRAGMA max_page_count = {count + more}")

        return change

    await writer.change(pages(4))
    large = {PROJECTS: [("x" * 50_000, 1)]}
    done = await asyncio.gather(
        writer.insert(project("a"), 1), writer.insert(large, 1), writer.insert(project("b"), 1), return_exceptions=True
    )
    assert [type(each) for each in done] == [type(None), StorageError, type(None)]
    assert "full" in str(done[1])
    await writer.change(pages(1_000))
    await writer.insert(large, 1)
    assert [name[0] for name in await names(database)] == ["a", "b", "x"]
    await writer.close()
    await database.close()


async def test_a_database_that_another_program_holds_is_waited_for_once_and_written_later(tmp_path, monkeypatch):
    monkeypatch.setattr("stillhouse.storage.database.SECONDS", 0.3)
    database = await Database.open(database_url(None, tmp_path))
    writer, begun = Writer(database), counting(database)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    done = await asyncio.gather(*[writer.insert(project(str(n)), 1) for n in range(20)], return_exceptions=True)
    assert {str(each) for each in done} == {f"The database {tmp_path / FILE} cannot be written: database is locked."}
    assert len(begun) == 1
    other.execute("COMMIT")
    other.close()
    await writer.insert(project("after"), 1)
    assert await names(database) == ["after"]
    await writer.close()
    await database.close()


async def test_nothing_is_taken_once_it_is_closed(writer):
    await writer.close()
    with pytest.raises(StorageError, match="closed"):
        await writer.insert(project("late"), 1)


async def test_a_caller_that_goes_away_stops_nobody(writer, database):
    leaving = asyncio.ensure_future(writer.insert(project("a"), 1))
    staying = asyncio.ensure_future(writer.insert(project("b"), 1))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert "b" in await names(database)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from stillhouse.storage.database import FILE, Database, database_url
from stillhouse.storage.records import Durability
from stillhouse.storage.tables import PROJECTS
from stillhouse.storage.writer import Writer

async def main():
    database = await Database.open(database_url(sys.argv[3] or None, Path(sys.argv[1])))
    writer = Writer(database, Durability(sys.argv[2]))
    async def one(n):
        await writer.insert({PROJECTS: [(f"{n:05}", 1)]}, 10)
        print(f"{n:05}", flush=True)
        if n == 300:
            os.kill(os.getpid(), signal.SIGKILL)
    for first in range(0, 1000, 50):
        await asyncio.gather(*[one(first + n) for n in range(50)])
asyncio.run(main())
"""


@pytest.mark.parametrize("durability", ["sync", "batch"])
async def test_what_was_acknowledged_survives_a_kill(tmp_path, own_database, durability):
    command = [sys.executable, "-c", KILLED, tmp_path, durability, own_database or ""]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    acknowledged = done.stdout.split()
    assert len(acknowledged) > 290, done.stderr
    database = await Database.open(database_url(own_database, tmp_path))
    assert set(acknowledged) <= set(await names(database))
    await database.close()


async def test_of_two_servers_that_wait_for_each_other_neither_fails(postgres_url, tmp_path):
    url = database_url(await new_database(postgres_url), tmp_path)
    opened = [await Database.open(url) for _ in range(2)]
    writers = [Writer(each) for each in opened]
    await asyncio.gather(*[writers[0].insert(project(name), 10) for name in "ab"])
    begun = [asyncio.Event(), asyncio.Event()]

    async def both(number: int, order: str) -> None:
        async def touch(connection):
            for name in order:
                await connection.execute(update(PROJECTS).where(PROJECTS.c.id == name).values(created=number))
                begun[number].set()
                await begun[1 - number].wait()

        await writers[number].change(touch)

    try:
        await asyncio.gather(both(0, "ab"), both(1, "ba"))
        async with opened[0].reading() as connection:
            assert len(set((await connection.execute(select(PROJECTS.c.created))).scalars())) == 1
    finally:
        for each in (*writers, *opened):
            await each.close()
