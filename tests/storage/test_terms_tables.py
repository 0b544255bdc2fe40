"""The tables of erasures: what is asked for is found by an index."""

from __future__ import annotations

import pytest
from sqlalchemy import text

PLANS = {
    "begun": "SELECT * FROM erasures WHERE project = 'p' AND subject = 's'",
    "steps": "SELECT * FROM erasure_steps WHERE erasure = 'e' ORDER BY name",
    "terms": "SELECT * FROM teacher_terms WHERE teacher = 't'",
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
