"""Fixtures: a fresh database of each kind, its writer, and the completions in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stillhouse.storage.completions import Completions
from stillhouse.storage.database import Database, database_url
from stillhouse.storage.writer import Writer
from tests.storage.databases import KINDS, new_database


@pytest.fixture(params=KINDS)
async def url(request, tmp_path) -> str:
    """The URL of a database that is empty or, in SQLite's case, not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'calls.db'}"
    return await new_database(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def database(url, tmp_path) -> AsyncIterator[Database]:
    database = await Database.open(database_url(url, tmp_path))
    yield database
    await database.close()


@pytest.fixture
async def writer(database) -> AsyncIterator[Writer]:
    writer = Writer(database)
    yield writer
    await writer.close()


@pytest.fixture
def completions(database, writer) -> Completions:
    return Completions(database, writer)
