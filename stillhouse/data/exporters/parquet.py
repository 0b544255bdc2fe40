"""Parquet with plain columns, as `datasets`, DuckDB, Polars and pandas read it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stillhouse.data.exporters.out import Exported, new_file
from stillhouse.data.items import Item
from stillhouse.data.parquet import ParquetWriter, connect
from stillhouse.data.shelf import Shelf

__all__ = ["write_parquet"]


def write_parquet(items: Iterable[Item], out: Path, shelf: Shelf | None = None) -> Exported:
    """One file with the columns of versions; files that belong to items are named by their SHA-256."""
    with new_file(out) as waiting, connect(waiting.parent) as connection:
        table = ParquetWriter(connection)
        for item in items:
            table.add(item)
        table.finish(waiting)
    return Exported(table.rows)
