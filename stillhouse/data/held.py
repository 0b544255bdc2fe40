"""Versions under a legal hold: what a hold protects of their items, looked for before any of them is destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stillhouse.data.parquet import connect
from stillhouse.data.versions import DROPPED, ITEMS, Version
from stillhouse.errors import OnHold
from stillhouse.storage.holds import Hold
from stillhouse.storage.store import Store

__all__ = ["refuse_held"]

EDGES = """CREATE TEMP TABLE edges AS SELECT DISTINCT id, unnest(parents) AS parent
FROM read_parquet(?, union_by_name = true)"""
MADE = """WITH RECURSIVE made(id) AS (
SELECT id FROM read_parquet(?, union_by_name = true)
WHERE list_contains(?::VARCHAR[], subject) OR list_contains(?::VARCHAR[], origin)
UNION SELECT edges.id FROM edges JOIN made ON edges.parent = made.id)
SELECT 1 FROM read_parquet(?, union_by_name = true) WHERE id IN (SELECT id FROM made) LIMIT 1"""
"""Whether a version has items of some subjects or origins, or such as were made of these in whatever version."""

Origins = tuple[list[str], list[str]]
"""By what items that come of a hold are known: their subjects, or their origins."""


async def refuse_held(store: Store, project: str, versions: Iterable[Version]) -> frozenset[str]:
    """Raise OnHold where items of some versions, also such as were left out, are about a subject on hold, or come of a
    call on hold or are about the same subject as it, or were made of such items by whatever steps, or the whole project
    is on hold; the ids of the holds that were looked at.
    """
    holds = [(hold, await store.holds.origins(hold)) for hold in await store.holds.all(project)]
    edges = [(each.name, str(each.number)) for each in await store.datasets.all(project)] if holds else []
    for version in versions if holds else ():
        beside = [version.path.parents[2].joinpath(*edge) for edge in edges]
        found = await asyncio.to_thread(_held, version, _files([version.path.parent, *beside]), holds)
        if found is not None:
            raise OnHold(f"{version.reference} has items on hold, and stays. {found.words}")
    return frozenset(hold.id for hold, _ in holds)


def _files(folders: Iterable[Path]) -> list[str]:
    """The files of items in the folders of versions, each once."""
    paths = {folder / name: None for folder in folders for name in (ITEMS, DROPPED)}
    return [str(path) for path in paths if path.is_file()]


def _held(version: Version, every: Sequence[str], holds: Sequence[tuple[Hold, Origins]]) -> Hold | None:
    """The first of some holds that protects an item of a version; `every` are the files of all versions."""
    files = _files([version.path.parent])
    whole = next((hold for hold, _ in holds if hold.is_whole), None)
    if whole or not files:
        return whole
    with connect() as connection:
        connection.execute(EDGES, [every])
        return next((hold for hold, known in holds if _protects(connection, known, every, files)), None)


def _protects(connection: Any, known: Origins, every: Sequence[str], files: Sequence[str]) -> bool:
    return connection.execute(MADE, [every, *known, files]).fetchone() is not None
