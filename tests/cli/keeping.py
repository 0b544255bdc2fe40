"""A home folder with a few stored calls, and a way to call verbs on it, for the tests of those about keeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from stillhouse.cli.main import run
from stillhouse.storage.records import StoredCompletion
from stillhouse.storage.store import Store
from tests.storage.databases import database_option

Told = Callable[..., tuple[int, str]]


def caller(database: str | None, home: Path, capsys) -> Told:
    """Runs a verb on a home folder; gives its exit code and what it printed."""

    def call(*arguments: str) -> tuple[int, str]:
        code = run([*arguments, *database_option(database), "--home", str(home)])
        captured = capsys.readouterr()
        return code, captured.out if code == 0 else captured.err

    return call


def keep(database: str | None, home: Path, *completions: StoredCompletion) -> None:
    """Store calls of the project `default`."""

    async def work() -> None:
        store = await Store.open(database, home)
        await store.completions.add("default", *completions)
        await store.close()

    asyncio.run(work())


def kept(database: str | None, home: Path, completion_id: str) -> StoredCompletion | None:
    """One stored call of the project `default`."""

    async def work() -> StoredCompletion | None:
        store = await Store.open(database, home)
        try:
            return await store.completions.get("default", completion_id)
        finally:
            await store.close()

    return asyncio.run(work())
