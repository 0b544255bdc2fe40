"""How a page of rows is cut out of a table: by creation time and id, in either direction, after whatever was last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.records import Cut, Page

__all__ = ["LARGEST_PAGE", "Place", "Query", "cut", "fitting", "large_rows", "place_of"]

LARGEST_PAGE = 32 * 2**20
"""Bytes of a page of large rows: one that would be larger ends sooner, and says that more follow."""

Query = Select[*tuple[Any, ...]]
"""A query for whatever columns."""

Place = tuple[int, str]
"""Where a row stands among others: its creation time in Unix seconds, and its id."""


def cut(
    query: Query, created: ColumnElement[Any], row_id: ColumnElement[Any], asked: Cut, after: Place | None
) -> Query:
    """A query for the rows of one page and one more, which tells whether there are more; an index gives the order."""
    place = tuple_(created, row_id)
    if after is not None:
        beyond = tuple_(literal(after[0]), literal(after[1]))
        further: ColumnElement[bool] = place > beyond if asked.ascending else place < beyond
        query = query.where(further)
    order = (created.asc(), row_id.asc()) if asked.ascending else (created.desc(), row_id.desc())
    return query.order_by(*order).limit(asked.limit + 1)


def fitting(sizes: Sequence[int], limit: int) -> int:
    """How many of some rows, each of a size in bytes, make a page: at least one, and no more than fit."""
    total = 0
    for number, size in enumerate(sizes[:limit]):
        total += size
        if number and total > LARGEST_PAGE:
            return number
    return min(limit, len(sizes))


async def place_of(
    connection: AsyncConnection, tables: Sequence[Table], project: str, row_id: str, when: str = "created"
) -> Place | None:
    """Where a row stands by one of its times, or stood before it was deleted: in the first of the tables that knows."""
    for table in tables:
        query = select(table.c[when]).where(table.c.project == project, table.c.id == row_id)
        found = (await connection.execute(query)).scalar()
        if found is not None:
            return found, row_id
    return None


async def large_rows(
    connection: AsyncConnection,
    wanted: ColumnElement[bool],
    size: ColumnElement[Any],
    by: tuple[ColumnElement[Any], ColumnElement[Any]],
    asked: Cut,
    after: Place | None,
) -> Page[Row[Any]]:
    """A page of a table whose rows may be large: as many as fit, told by the column that makes them so."""
    sizes = list((await connection.execute(cut(select(func.length(size)).where(wanted), *by, asked, after))).scalars())
    query = cut(select(size.table).where(wanted), *by, asked, after).limit(fitting(sizes, asked.limit))
    rows = (await connection.execute(query)).all()
    return Page(rows, has_more=len(sizes) > len(rows))
