"""Store: a database with its one writer, and what is kept in it."""

from __future__ import annotations

from pathlib import Path
from typing import final

from stillhouse.storage.completions import Completions
from stillhouse.storage.database import Database, database_url
from stillhouse.storage.keys import Keys
from stillhouse.storage.records import Durability
from stillhouse.storage.writer import Writer

__all__ = ["Store"]


@final
class Store:
    """Everything that is kept. It belongs to one event loop."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self.database, self.writer = database, writer
        self.completions, self.keys = Completions(database, writer), Keys(database, writer)

    @classmethod
    async def open(cls, url: str | None, home: Path, durability: Durability = Durability.BATCH) -> Store:
        """Open a database by its URL, or the file in the home folder; raises UsageError and StorageError."""
        database = await Database.open(database_url(url, home))
        return cls(database, Writer(database, durability))

    async def close(self) -> None:
        """Write what waits and close the connections."""
        await self.writer.close()
        await self.database.close()
