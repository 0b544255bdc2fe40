"""What is too old is gone, from every project, with all that it was found by; the rest stays."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from stillhouse.storage import retention
from stillhouse.storage.records import Cut, Wanted
from stillhouse.storage.retention import Retention
from stillhouse.storage.tables import COMPLETIONS, TERMS
from tests.storage.stored import completion, numbers


@pytest.mark.parametrize("at_once", [2, 500])
async def test_what_is_too_old_is_deleted_and_the_rest_stays(database, writer, completions, monkeypatch, at_once):
    monkeypatch.setattr(retention, "AT_ONCE", at_once)
    for project in ("p", "q"):
        await completions.add(project, *[completion(number, tag="a") for number in range(1, 8)])
    assert await Retention(database, writer).delete_before(6) == 10
    for project in ("p", "q"):
        assert numbers(await completions.page(project, Wanted(metadata={"tag": "a"}), Cut())) == [7, 6]
    async with database.reading() as connection:
        left = [
            (await connection.execute(select(func.count()).select_from(table))).scalar()
            for table in (COMPLETIONS, TERMS)
        ]
    assert left == [4, 4 * 3]


async def test_nothing_is_nothing(database, writer):
    assert await Retention(database, writer).delete_before(10) == 0
