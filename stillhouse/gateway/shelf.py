"""Shelf: what is kept, opened by the first call that needs it, so that serving without it stays light."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, final

from stillhouse.errors import StorageError
from stillhouse.storage.records import Durability
from stillhouse.wire.words import Redact

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["FILE", "Policy", "Shelf"]

FILE = "stillhouse.db"
"""The database in the home folder; its name stands in storage.database too, which takes a while to import."""
DAY = 86_400

MINUTE, MINUTES_BETWEEN = 60, 60
"""Seconds between two times of tidying up, and after how many of them all bytes of files are looked at."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Which calls are kept, and what of them."""

    every: bool = False
    """All but those that say no, instead of those that ask for it."""
    content: bool = True
    """False: numbers without words."""
    redact: Redact | None = None
    """What becomes of every text of a call and its answer before it is kept."""
    days: float | None = None
    """After which a call is deleted; None: never."""
    redactors: Callable[[str], Redact] | None = None
    """The same as `redact` for each project, where its key matters; it goes before that."""

    def redact_of(self, project: str) -> Redact | None:
        """What becomes of the texts of a project's calls before they are kept."""
        return self.redactors(project) if self.redactors else self.redact

    @property
    def keeps_words(self) -> bool:
        """Whether all that was said is kept as it was said."""
        return self.content and not (self.redact or self.redactors)


@final
class Shelf:
    """The one Store of a gateway."""

    def __init__(
        self,
        url: str | None,
        home: Path,
        durability: Durability = Durability.BATCH,
        policy: Policy | None = None,
    ) -> None:
        """`url` names the database; None is the file in the home folder."""
        self.policy = policy or Policy()
        self._url, self._home, self._durability = url, home, durability
        self._opening = asyncio.Lock()
        self._store: Store | None = None
        self._tidying: asyncio.Task[None] | None = None

    @property
    def home(self) -> Path:
        """The home folder."""
        return self._home

    @property
    def is_there(self) -> bool:
        """Whether anything can have been kept already."""
        return self._store is not None or self._url is not None or (self._home / FILE).is_file()

    async def open(self) -> Store:
        """The store; raises StorageError when it cannot be opened, which the next call tries anew."""
        if self._store:
            return self._store
        async with self._opening:
            if self._store is None:
                # SQLAlchemy takes a while to import: other calls are answered meanwhile.
                module = await asyncio.to_thread(import_module, "stillhouse.storage.store")
                store: Store = await module.Store.open(self._url, self._home, self._durability)
                self._tidying = asyncio.create_task(_keep_tidy(store, self.policy), name="tidy")
                self._store = store
        assert self._store
        return self._store

    async def close(self) -> None:
        """Write what waits and close the store, if anybody needed it."""
        if self._tidying:
            self._tidying.cancel()
            await asyncio.wait([self._tidying])
            self._tidying = None
        if self._store:
            await self._store.close()
            self._store = None


async def _keep_tidy(store: Store, policy: Policy) -> None:
    """Have calls and files that expired, and what killed programs left, removed every minute."""
    for minute in count():
        try:
            await store.tidy(thorough=minute % MINUTES_BETWEEN == 0)
        except (StorageError, OSError) as error:
            logging.getLogger("stillhouse.gateway").warning("Files that expired were not removed. %s", error)
        try:
            if policy.days is not None:
                await store.retention.delete_before(int(time.time() - policy.days * DAY))
            await store.retention.run()
        except StorageError as error:
            logging.getLogger("stillhouse.gateway").warning("Calls that expired were not removed. %s", error)
        await asyncio.sleep(MINUTE)
