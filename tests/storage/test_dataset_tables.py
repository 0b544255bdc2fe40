"""The tables of datasets: what is asked for often is found by an index."""

from __future__ import annotations

import pytest
from sqlalchemy import text

PLANS = {
    "newest": "SELECT * FROM dataset_versions WHERE project = 'p' AND name = 'n' ORDER BY number DESC LIMIT 1",
    "children": "SELECT * FROM dataset_parents WHERE project = 'p' AND parent_name = 'n' AND parent_number = 1",
    "media": "SELECT * FROM dataset_media WHERE digest = 'x'",
    "uses": "SELECT * FROM dataset_uses WHERE project = 'p' AND name = 'n' AND number = 1",
}


@pytest.mark.parametrize("query", PLANS)
async def test_sqlite_finds_it_without_a_scan_or_a_sort(database, query):
    if not database.is_sqlite:
        return
    async with database.reading() as connection:
        rows = await connection.execute(text(f"EXPLAIN QUERY PLAN {PLANS[query]}"))
        plan = " ".join(row.detail for row in rows)
    assert "SEARCH" in plan
    assert "TEMP B-TREE" not in plan
