"""Shelf: what is kept, opened by the first call that needs it, so that serving without it stays light."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, final

from stillhouse.storage.records import Durability

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["Shelf"]


@final
class Shelf:
    """The one Store of a gateway."""

    def __init__(
        self, url: str | None, home: Path, durability: Durability = Durability.BATCH, every: bool = False
    ) -> None:
        """`url` names the database; None is the file in the home folder. `every` call is kept, or only what asks."""
        self.every = every
        self._url, self._home, self._durability = url, home, durability
        self._opening = asyncio.Lock()
        self._store: Store | None = None

    async def open(self) -> Store:
        """The store; raises StorageError when it cannot be opened, which the next call tries anew."""
        if self._store:
            return self._store
        async with self._opening:
            if self._store is None:
                # SQLAlchemy takes a while to import: other calls are answered meanwhile.
                module = await asyncio.to_thread(import_module, "stillhouse.storage.store")
                self._store = await module.Store.open(self._url, self._home, self._durability)
        assert self._store
        return self._store

    async def close(self) -> None:
        """Write what waits and close the store, if anybody needed it."""
        if self._store:
            await self._store.close()
            self._store = None
