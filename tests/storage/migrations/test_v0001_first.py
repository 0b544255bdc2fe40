"""The first step: every table is there, and nothing in any."""

from __future__ import annotations

from sqlalchemy import inspect, text

TABLES = {"projects", "api_keys", "completions", "completion_terms", "deleted_completions"}


async def test_from_nothing_to_the_first_tables(database):
    async with database.reading() as connection:
        there = await connection.run_sync(lambda each: set(inspect(each).get_table_names()))
        counts = [(await connection.execute(text(f"SELECT count(*) FROM {name}"))).scalar() for name in sorted(TABLES)]
    assert there >= TABLES
    assert counts == [0] * len(TABLES)
