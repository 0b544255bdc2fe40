"""The second step: tables of files and uploads, and a name for the database."""

from __future__ import annotations

from sqlalchemy import inspect, text

TABLES = {"identity", "files", "deleted_files", "uploads", "upload_parts"}


async def test_its_tables_are_there_and_the_database_has_a_name(database):
    async with database.reading() as connection:
        there = await connection.run_sync(lambda each: set(inspect(each).get_table_names()))
        names = (await connection.execute(text("SELECT id FROM identity"))).scalars().all()
    assert there >= TABLES
    assert len(names) == 1
    assert len(names[0]) == 16
