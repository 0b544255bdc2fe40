"""The step of evals: its tables are there, and are those that the code knows."""

from __future__ import annotations

from sqlalchemy import inspect

from stillhouse.storage.tables import DELETED_EVALS, EVAL_ITEMS, EVAL_RUNS, EVALS

TABLES = (EVALS, EVAL_RUNS, EVAL_ITEMS, DELETED_EVALS)


async def test_the_tables_are_as_the_code_knows_them(database):
    def columns(connection):
        return {
            table.name: [column["name"] for column in inspect(connection).get_columns(table.name)] for table in TABLES
        }

    def indexes(connection):
        return {table.name: {each["name"] for each in inspect(connection).get_indexes(table.name)} for table in TABLES}

    async with database.reading() as connection:
        assert await connection.run_sync(columns) == {table.name: list(table.columns.keys()) for table in TABLES}
        assert await connection.run_sync(indexes) == {
            table.name: {each.name for each in table.indexes} for table in TABLES
        }
