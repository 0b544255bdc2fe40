"""A page is cut strictly after a place, by time and then id, in either direction, with one row more than asked for."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from stillhouse.storage.pages import LARGEST_PAGE, cut, fitting
from stillhouse.storage.records import Cut
from stillhouse.storage.tables import PROJECTS

ROWS = [("a", 1), ("B", 1), ("b", 1), ("c", 2), ("_", 2)]


@pytest.mark.parametrize(
    ("asked", "after", "found"),
    [
        (Cut(9), None, ["c", "_", "b", "a", "B"]),
        (Cut(9, ascending=True), None, ["B", "a", "b", "_", "c"]),
        (Cut(2), None, ["c", "_", "b"]),
        (Cut(9), (2, "_"), ["b", "a", "B"]),
        (Cut(9, ascending=True), (1, "a"), ["b", "_", "c"]),
        (Cut(9), (1, "B"), []),
    ],
)
async def test_rows_after_a_place(database, asked, after, found):
    async with database.writing() as connection:
        await connection.execute(insert(PROJECTS), [{"id": name, "created": created} for name, created in ROWS])
        query = cut(select(PROJECTS), PROJECTS.c.created, PROJECTS.c.id, asked, after)
        assert [row.id for row in await connection.execute(query)] == found


@pytest.mark.parametrize(
    ("sizes", "rows"),
    [
        ([], 0),
        ([1, 1], 2),
        ([1] * 9, 3),
        ([LARGEST_PAGE, 1, 1], 1),
        ([2 * LARGEST_PAGE, 1], 1),
        ([LARGEST_PAGE // 2, LARGEST_PAGE // 2, 1], 2),
    ],
)
def test_a_page_holds_at_least_one_row_and_no_more_than_fit(sizes, rows):
    assert fitting(sizes, 3) == rows
