"""The step for datasets: its tables are there and empty, and are added to a database of the form before."""

from __future__ import annotations

from sqlalchemy import inspect, text

from stillhouse.storage.dump import opened

TABLES = {"datasets", "dataset_versions", "dataset_parents", "dataset_media", "dataset_uses", "saved_filters"}


async def test_the_tables_of_datasets_are_added(database):
    async with database.reading() as connection:
        there = await connection.run_sync(lambda each: set(inspect(each).get_table_names()))
        counts = [(await connection.execute(text(f"SELECT count(*) FROM {name}"))).scalar() for name in sorted(TABLES)]
    assert there >= TABLES
    assert counts == [0] * len(TABLES)


def test_a_database_of_the_form_before_gets_them(tmp_path):
    with opened(tmp_path / "a.db", "0005") as connection:
        assert not TABLES & set(inspect(connection).get_table_names())
    with opened(tmp_path / "a.db") as connection:
        assert set(inspect(connection).get_table_names()) >= TABLES
