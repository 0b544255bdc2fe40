"""A database is found by its URL, opened or refused with a reason, and keeps what was written."""

from __future__ import annotations

import sqlite3
import stat

import pytest
from sqlalchemy import insert, select, text

from stillhouse.errors import StorageError, UsageError
from stillhouse.storage.database import FILE, Database, database_url, trouble
from stillhouse.storage.tables import PROJECTS


@pytest.mark.parametrize(
    ("given", "rendered"),
    [
        ("sqlite:////tmp/calls.db", "sqlite+aiosqlite:////tmp/calls.db"),
        ("postgresql://me:word@host:5/name", "postgresql+asyncpg://me:word@host:5/name"),
        ("postgres://host/name", "postgresql+asyncpg://host/name"),
        ("postgresql+asyncpg://host/name", "postgresql+asyncpg://host/name"),
    ],
)
def test_the_url_of_a_database_is_known_in_every_usual_form(given, rendered, tmp_path):
    assert database_url(given, tmp_path).render_as_string(hide_password=False) == rendered


def test_without_a_url_it_is_a_file_in_the_home_folder(tmp_path):
    assert database_url(None, tmp_path).database == str(tmp_path / FILE)


@pytest.mark.parametrize("given", ["calls.db", "sqlite://", "sqlite:///:memory:", "mysql://host/name", "", "://"])
def test_any_other_is_refused_with_an_example(given, tmp_path):
    with pytest.raises(UsageError, match=r"sqlite:///calls\.db"):
        database_url(given, tmp_path)


async def test_what_was_written_is_there_after_opening_again(url, tmp_path):
    for turn in ("a", "b"):
        database = await Database.open(database_url(url, tmp_path))
        async with database.writing() as connection:
            await connection.execute(insert(PROJECTS), [{"id": turn, "created": 1}])
        async with database.reading() as connection:
            found = (await connection.execute(select(PROJECTS.c.id).order_by(PROJECTS.c.id))).scalars().all()
        await database.close()
        assert turn in found
    assert found == ["a", "b"]


async def test_what_fails_is_undone(database):
    async def fail():
        async with database.writing() as connection:
            await connection.execute(insert(PROJECTS), [{"id": "x", "created": 1}])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.reading() as connection:
        assert (await connection.execute(select(PROJECTS))).all() == []


async def test_who_reads_sees_what_was_whole_and_waits_for_nobody(database):
    async with database.writing() as writing:
        await writing.execute(insert(PROJECTS), [{"id": "x", "created": 1}])
        async with database.reading() as reading:
            assert (await reading.execute(select(PROJECTS))).all() == []
    async with database.reading() as reading:
        assert len((await reading.execute(select(PROJECTS))).all()) == 1


async def test_sqlite_writes_ahead_to_the_disk_and_for_its_owner_only(tmp_path):
    database = await Database.open(database_url(None, tmp_path / "home"))
    async with database.writing() as connection:
        modes = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar() for name in ("journal_mode", "synchronous")
        ]
    with pytest.raises(StorageError, match="readonly"):
        async with database.reading() as connection:
            await connection.execute(insert(PROJECTS), [{"id": "x", "created": 1}])
    seen = {path.name.removeprefix(FILE): stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home").iterdir()}
    await database.close()
    assert modes == ["wal", 2]  # 2 is FULL
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert seen == {"": 0o600, "-wal": 0o600, "-shm": 0o600}


async def test_what_is_no_database_is_said_to_be_none(tmp_path):
    (tmp_path / FILE).write_bytes(b"a diary, not a database" * 100)
    with pytest.raises(StorageError, match=f"{FILE}.*not a database"):
        await Database.open(database_url(None, tmp_path))


async def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="--home"):
        await Database.open(database_url(None, tmp_path / "file" / "home"))


async def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path):
    pytest.importorskip("asyncpg")
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:9/calls") as caught:
        await Database.open(database_url("postgresql://me:secret@127.0.0.1:9/calls", tmp_path))
    assert "secret" not in str(caught.value)


async def test_a_database_that_the_server_does_not_have_is_named(postgres_url, tmp_path):
    with pytest.raises(StorageError, match="nowhere"):
        await Database.open(database_url(f"{postgres_url}/nowhere", tmp_path))


def test_trouble_is_told_in_one_line():
    error = trouble("It failed", sqlite3.OperationalError("disk is full\nand more."))
    assert str(error) == "It failed: disk is full."
    assert str(trouble("It failed", TimeoutError())) == "It failed: TimeoutError."
