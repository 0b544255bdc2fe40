"""Diff: what one version of a dataset has that another has not, and what changed in the items that both have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from stillhouse.data.columns import READ
from stillhouse.data.parquet import connect

__all__ = ["Changed", "Difference", "difference"]

FIELDS = tuple(name for name in READ if name not in ("origin", "origin_row"))
"""The columns in which an item can change."""

SAME_ID = """
    SELECT a.row AS old, b.row AS new
    FROM (SELECT row, id, row_number() OVER (PARTITION BY id ORDER BY row) AS time FROM a) a
    JOIN (SELECT row, id, row_number() OVER (PARTITION BY id ORDER BY row) AS time FROM b) b USING (id, time)
"""
"""An item that is there twice, of a file that was imported twice, is two."""
LEFT = """
    SELECT a.row AS old, b.row AS new FROM a JOIN b ON {on}
    WHERE a.row NOT IN (SELECT old FROM pairs) AND b.row NOT IN (SELECT new FROM pairs)
    QUALIFY count(*) OVER (PARTITION BY a.row) = 1 AND count(*) OVER (PARTITION BY b.row) = 1
"""
"""Pairs among those that are left, where there is no choice."""

SAME_PLACE = "a.origin <> '' AND a.origin = b.origin AND a.origin_row = b.origin_row"
MADE_OF = "list_contains(b.parents, a.id)"


@final
@dataclass(frozen=True, slots=True)
class Changed:
    """An item that both versions have, in other words or with other facts."""

    old: str
    new: str
    """Its ids: another one where its content changed."""
    fields: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """From one version to another: how many items, and the first of each."""

    same: int
    added: int
    removed: int
    changed: int
    fields: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many items changed in each column."""
    first_added: Sequence[str] = ()
    """Ids."""
    first_removed: Sequence[str] = ()
    first_changed: Sequence[Changed] = ()


def difference(old: Path, new: Path, most: int = 10) -> Difference:
    """Compare the Parquet of two versions.

    Items with one id are the same item; of the others those that came from the same row of the same file or call, and
    those that were made of an item of the old version, are pairs as well where there is no choice. The order of items
    does not count.
    """
    with connect() as connection:
        for name, path in (("a", old), ("b", new)):
            place = str(path).replace("'", "''")
            connection.execute(f"CREATE TEMP VIEW {name} AS FROM read_parquet('{place}')")
        connection.execute(f"CREATE TEMP TABLE pairs AS {SAME_ID}")
        for on in (SAME_PLACE, MADE_OF):
            connection.execute(f"INSERT INTO pairs {LEFT.format(on=on)}")
        counts = {name: _one(connection, f"SELECT count(*) FROM {name}") for name in ("a", "b", "pairs")}
        fields, changed = _changed(connection)
        return Difference(
            same=counts["pairs"] - changed,
            added=counts["b"] - counts["pairs"],
            removed=counts["a"] - counts["pairs"],
            changed=changed,
            fields=fields,
            first_added=_ids(connection, "b", "new", most),
            first_removed=_ids(connection, "a", "old", most),
            first_changed=_first(connection, most),
        )


def _changed(connection: Any) -> tuple[dict[str, int], int]:
    """How many pairs differ by column, and in any."""
    counts = ", ".join(f"count(*) FILTER (WHERE {_differ(name)})" for name in FIELDS)
    any_of = " OR ".join(_differ(name) for name in FIELDS)
    row = connection.execute(f"SELECT {counts}, count(*) FILTER (WHERE {any_of}) FROM {_BOTH}").fetchone()
    return {name: count for name, count in zip(FIELDS, row[:-1], strict=True) if count}, int(row[-1])


def _first(connection: Any, most: int) -> list[Changed]:
    flags = ", ".join(_differ(name) for name in FIELDS)
    any_of = " OR ".join(_differ(name) for name in FIELDS)
    query = f"SELECT a.id, b.id, {flags} FROM {_BOTH} WHERE {any_of} ORDER BY b.row LIMIT ?"
    rows: list[tuple[Any, ...]] = connection.execute(query, [most]).fetchall()
    return [
        Changed(row[0], row[1], tuple(name for name, differs in zip(FIELDS, row[2:], strict=True) if differs))
        for row in rows
    ]


_BOTH = "pairs JOIN a ON a.row = pairs.old JOIN b ON b.row = pairs.new"


def _differ(name: str) -> str:
    return f'a."{name}" IS DISTINCT FROM b."{name}"'


def _ids(connection: Any, table: str, side: str, most: int) -> list[str]:
    """The first items that are in no pair."""
    query = f"SELECT id FROM {table} WHERE row NOT IN (SELECT {side} FROM pairs) ORDER BY row LIMIT ?"
    rows: list[tuple[str]] = connection.execute(query, [most]).fetchall()
    return [row[0] for row in rows]


def _one(connection: Any, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])
