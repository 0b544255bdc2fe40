"""The schema: tables of every module belong to one description, which dumps and migrations go by."""

from __future__ import annotations

from stillhouse.storage import dataset_tables, tables
from stillhouse.storage.dump import tables as dumped
from stillhouse.storage.schema import ID, METADATA


def test_every_table_belongs_to_it():
    named = [getattr(module, name) for module in (tables, dataset_tables) for name in module.__all__]
    made = [table for table in named if table is not METADATA]
    assert all(table.metadata is METADATA for table in made)
    assert {table.name for table in dumped()} >= {table.name for table in made} - {"identity"}


def test_ids_are_compared_byte_by_byte_on_postgresql():
    from sqlalchemy.dialects import postgresql, sqlite

    assert ID.compile(postgresql.dialect()) == 'TEXT COLLATE "C"'
    assert ID.compile(sqlite.dialect()) == "TEXT"
