"""The step for the vault, the audit log, holds and retention: its tables are there and empty, and are added."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text

from stillhouse.storage.dump import opened

TABLES = ["audit_head", "audit_log", "data_keys", "holds", "retention_policies", "vault"]


@pytest.mark.parametrize("table", TABLES)
async def test_a_table_is_added_empty(database, table):
    async with database.reading() as connection:
        assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar() == 0


def test_a_database_of_the_form_before_gets_them(tmp_path):
    with opened(tmp_path / "a.db", "0006") as connection:
        assert not set(TABLES) & set(inspect(connection).get_table_names())
    with opened(tmp_path / "a.db") as connection:
        assert set(TABLES) <= set(inspect(connection).get_table_names())
