"""Versions under a legal hold: what a hold protects of their items, looked for before any of them is destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from stillhouse.data.parquet import connect
from stillhouse.data.versions import Version
from stillhouse.errors import OnHold
from stillhouse.storage.holds import Hold
from stillhouse.storage.store import Store

__all__ = ["refuse_held"]


async def refuse_held(store: Store, project: str, versions: Iterable[Version]) -> frozenset[str]:
    """Raise OnHold where items of some versions, also such as were left out, are about a subject on hold, or come of a
    call on hold or are about the same subject as it, or the whole project is; the ids of the holds that were looked at.
    """
    holds = [(hold, await store.holds.origins(hold)) for hold in await store.holds.all(project)]
    for version in versions if holds else ():
        found = await asyncio.to_thread(_held, version, holds)
        if found is not None:
            raise OnHold(f"{version.reference} has items on hold, and stays. {found.words}")
    return frozenset(hold.id for hold, _ in holds)


def _held(version: Version, holds: Sequence[tuple[Hold, tuple[list[str], list[str]]]]) -> Hold | None:
    """The first of some holds that protects an item of a version."""
    files = [str(path) for path in (version.path, version.dropped_path) if path.is_file()]
    where = "list_contains(?::VARCHAR[], subject) OR list_contains(?::VARCHAR[], origin)"
    query = f"SELECT 1 FROM read_parquet(?, union_by_name = true) WHERE {where} LIMIT 1"
    with connect() as connection:
        for hold, (subjects, origins) in holds:
            if hold.is_whole or (files and connection.execute(query, [files, subjects, origins]).fetchone()):
                return hold
    return None
