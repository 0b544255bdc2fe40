"""The step for subjects and terms: calls that were kept before get the subject that they name, and are found by it."""

from __future__ import annotations

import orjson
from sqlalchemy import inspect, text

from stillhouse.storage.completions import Completions
from stillhouse.storage.database import Database, database_url
from stillhouse.storage.dump import fill, opened
from stillhouse.storage.records import Wanted
from stillhouse.storage.writer import Writer

TABLES = {"teacher_terms", "erasures", "erasure_steps"}
CALLS = {
    "chatcmpl-1": ({"subject": "ann"}, {"input_user": "bob"}),
    "chatcmpl-2": ({"tier": "gold"}, {"input_user": "bob"}),
    "chatcmpl-3": ({}, {"input_user": None}),
}


async def test_the_tables_are_added_empty(database):
    async with database.reading() as connection:
        there = await connection.run_sync(lambda each: set(inspect(each).get_table_names()))
        for table in TABLES:
            assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar() == 0
    assert there >= TABLES


async def test_calls_of_before_are_found_by_whom_they_are_about(tmp_path):
    file = tmp_path / "calls.db"
    rows = [
        {
            "project": "default",
            "id": call,
            "created": 1,
            "asked": "m",
            "model": "m",
            "route": "",
            "metadata": orjson.dumps(metadata),
            "answer": orjson.dumps({"id": call, **answer}),
            "messages": b"[]",
        }
        for call, (metadata, answer) in CALLS.items()
    ]
    with opened(file, "0007") as connection:
        fill(connection, "completions", rows)
    database = await Database.open(database_url(f"sqlite:///{file}", tmp_path))
    writer = Writer(database)
    completions = Completions(database, writer)
    assert await completions.ids("default", Wanted(subject="ann")) == ["chatcmpl-1"]
    assert await completions.ids("default", Wanted(subject="bob")) == ["chatcmpl-2"]
    assert [each.subject for each in await completions.several("default", list(CALLS))] == ["ann", "bob", None]
    await writer.close()
    await database.close()
