"""The tables of the vault and the audit log: what looks for keys and entries goes by an index."""

from __future__ import annotations

import pytest
from sqlalchemy import text

PLANS = {
    "keys of an owner": "SELECT * FROM data_keys WHERE project = 'p' AND kind = 'subject' AND holder = x'00'",
    "keys under a master": "SELECT * FROM data_keys WHERE master = 'mk_1' ORDER BY id",
    "holds of a project": "SELECT * FROM holds WHERE project = 'p' ORDER BY created, id",
    "entries of a project": "SELECT * FROM audit_log WHERE project = 'p' AND number > 5 ORDER BY number",
    "entries": "SELECT * FROM audit_log WHERE number > 5 ORDER BY number",
}


@pytest.mark.parametrize("query", PLANS)
async def test_sqlite_reads_them_from_an_index_without_sorting(database, query):
    if not database.is_sqlite:
        return
    async with database.reading() as connection:
        plan = " ".join(row.detail for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {PLANS[query]}")))
    assert "SEARCH" in plan
    assert "TEMP B-TREE" not in plan
