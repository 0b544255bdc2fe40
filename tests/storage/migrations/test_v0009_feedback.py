"""The step for feedback: its tables are there and empty, and are added to a database of the form before."""

from __future__ import annotations

from sqlalchemy import inspect

from stillhouse.storage.dump import opened

TABLES = {"feedback", "reviews"}


def test_a_database_of_the_form_before_gets_them(tmp_path):
    with opened(tmp_path / "a.db", "0008") as connection:
        assert not TABLES & set(inspect(connection).get_table_names())
    with opened(tmp_path / "a.db") as connection:
        assert set(inspect(connection).get_table_names()) >= TABLES
