"""Migrations: they make the tables that the code speaks of, once, and refuse what is newer."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from stillhouse.errors import StorageError
from stillhouse.storage.database import Database, database_url
from stillhouse.storage.migrate import FOLDER, NEWEST, migrate
from stillhouse.storage.tables import METADATA


async def test_the_migrations_make_the_tables_that_the_code_speaks_of(database):
    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection), METADATA)

    async with database.writing() as connection:
        assert await connection.run_sync(differences) == []


async def test_there_is_nothing_to_do_twice(database):
    async with database.writing() as connection:
        assert not await connection.run_sync(migrate)


async def test_several_may_open_a_new_database_at_once(url, tmp_path):
    opened = await asyncio.gather(*[Database.open(database_url(url, tmp_path)) for _ in range(4)])
    for database in opened:
        await database.close()


async def test_what_a_newer_one_has_written_is_refused(url, tmp_path):
    database = await Database.open(database_url(url, tmp_path))
    async with database.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    with pytest.raises(StorageError, match=f"9999.*{NEWEST}"):
        await Database.open(database_url(url, tmp_path))


def test_steps_are_numbered_without_a_gap():
    numbers = sorted(path.name[1:5] for path in FOLDER.glob("v[0-9]*.py"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert numbers[-1] == NEWEST
