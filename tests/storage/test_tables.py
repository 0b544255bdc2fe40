"""Tables: what pages and look-ups go by has an index."""

from __future__ import annotations

import pytest
from sqlalchemy import text

AFTER = "(created, id) < (1, 'a') ORDER BY created DESC, id DESC"
PLANS = {
    "all": f"SELECT * FROM completions WHERE project = 'p' AND {AFTER}",
    "term": f"SELECT * FROM completion_terms WHERE term = 'x' AND {AFTER}",
    "key": "SELECT * FROM api_keys WHERE digest = 'x'",
}


@pytest.mark.parametrize("query", PLANS)
async def test_sqlite_reads_pages_and_keys_from_an_index_without_sorting(database, query):
    if not database.is_sqlite:
        return
    async with database.reading() as connection:
        plan = " ".join(
            row.detail for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {PLANS[query]} LIMIT 9"))
        )
    assert "SEARCH" in plan
    assert "TEMP B-TREE" not in plan
