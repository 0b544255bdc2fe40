"""The step for fine-tuning: its tables are there, and nothing in any."""

from __future__ import annotations

from sqlalchemy import inspect, text

TABLES = {"tuned_models", "tuning_checkpoints", "tuning_events", "tuning_jobs", "work_orders", "workers"}


async def test_the_tables_of_jobs_are_added(database):
    async with database.reading() as connection:
        there = await connection.run_sync(lambda each: set(inspect(each).get_table_names()))
        counts = [(await connection.execute(text(f"SELECT count(*) FROM {name}"))).scalar() for name in sorted(TABLES)]
    assert there >= TABLES
    assert counts == [0] * len(TABLES)
