"""The step for answers that are kept: its table is there and empty, and is added to a database of the form before."""

from __future__ import annotations

from sqlalchemy import inspect, text

from stillhouse.storage.dump import opened


async def test_the_table_of_answers_is_added(database):
    async with database.reading() as connection:
        there = await connection.run_sync(lambda each: set(inspect(each).get_table_names()))
        count = (await connection.execute(text("SELECT count(*) FROM kept_answers"))).scalar()
    assert "kept_answers" in there
    assert count == 0


def test_a_database_of_the_form_before_gets_it(tmp_path):
    with opened(tmp_path / "a.db", "0004") as connection:
        assert not inspect(connection).has_table("kept_answers")
    with opened(tmp_path / "a.db") as connection:
        assert inspect(connection).has_table("kept_answers")
