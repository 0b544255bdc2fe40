"""Parquet: items written to a file in their order and read from it, with bounded memory, by DuckDB."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.columns import COLUMNS, READ, from_row, to_row
from stillhouse.data.items import Item
from stillhouse.errors import DataError
from stillhouse.extras import require

__all__ = ["ParquetWriter", "connect", "read_items", "read_reasons"]

MEMORY = "1GB"
"""What DuckDB may hold; beyond that it writes beside the file that it makes."""

TOGETHER, GATHERED = 10_000, 32 * 2**20
"""Rows, or characters, that are handed over at once."""

GROUP, GROUP_SIZE, STEP = 122_880, 256 * 2**20, 2_048
"""Most rows of a row group, about how many characters it holds, and what its rows are a multiple of."""

REASON = "reason"
"""The column that says why an item was left out."""


@contextmanager
def connect(room: Path | None = None) -> Generator[Any]:
    """A DuckDB in memory that looks nothing up elsewhere; `room` is a folder for what does not fit into memory."""
    require("data", "keep datasets")
    duckdb: Any = import_module("duckdb")
    connection = duckdb.connect(":memory:")
    try:
        for name in ("autoinstall_known_extensions", "autoload_known_extensions"):
            connection.execute(f"SET {name} = false")
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        connection.execute("SET temp_directory = ?", [str(room) if room else ""])
        yield connection
    except duckdb.Error as error:
        raise DataError(f"DuckDB cannot do it: {str(error).splitlines()[0]}") from error
    finally:
        connection.close()


@final
class ParquetWriter:
    """Rows on their way into a file, which is there once `finish` has been called.

    `room` is a folder for what does not fit into memory.
    """

    def __init__(self, connection: Any, reasons: bool = False) -> None:
        self.rows = 0
        self._connection = connection
        self._columns = {**COLUMNS, REASON: "VARCHAR"} if reasons else COLUMNS
        self._table = f"written_{threading.get_ident()}_{id(self)}"
        self._waiting: list[tuple[Any, ...]] = []
        self._size = self._total = 0
        columns = ", ".join(f'"{name}" {kind}' for name, kind in self._columns.items())
        connection.execute(f"CREATE TEMP TABLE {self._table} ({columns})")

    def add(self, item: Item, reason: str | None = None) -> None:
        """One row more; `reason` where the file has them."""
        values = to_row(item, self.rows)
        self._waiting.append((*values, reason) if REASON in self._columns else values)
        self.rows += 1
        size = sum(len(value) for value in values if isinstance(value, str))
        self._size += size
        self._total += size
        if len(self._waiting) >= TOGETHER or self._size >= GATHERED:
            self._flush()

    def finish(self, place: Path) -> None:
        """Write the file."""
        self._flush()
        mean = max(1, self._total // max(1, self.rows))
        group = min(GROUP, max(1, GROUP_SIZE // mean // STEP) * STEP)
        target = str(place).replace("'", "''")
        self._connection.execute(
            f"COPY (FROM {self._table}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group})"
        )
        self._connection.execute(f"DROP TABLE {self._table}")

    def _flush(self) -> None:
        """Hand over what waits, column by column: that is a hundred times faster than row by row."""
        if not self._waiting:
            return
        given = {
            f"c{place}": _column(values, kind)
            for place, (values, kind) in enumerate(
                zip(zip(*self._waiting, strict=True), self._columns.values(), strict=True)
            )
        }
        self._connection.register("waiting", given)
        chosen = ", ".join(
            f"string_split(c{place}, chr(0))" if kind == "VARCHAR[]" else f"c{place}"
            for place, kind in enumerate(self._columns.values())
        )
        self._connection.execute(f"INSERT INTO {self._table} SELECT {chosen} FROM waiting")
        self._connection.unregister("waiting")
        self._waiting.clear()
        self._size = 0


def read_items(path: Path, rows: NDArray[np.int64] | None = None) -> Iterator[Item]:
    """The items of a file in their order, all or those of some rows (ascending), without holding them."""
    for values in _read(path, READ, rows):
        yield from_row(values)


def read_reasons(path: Path) -> Iterator[tuple[Item, str]]:
    """The items that were left out, and why."""
    for values in _read(path, (*READ, REASON), None):
        yield from_row(values[:-1]), values[-1]


def _read(path: Path, columns: Sequence[str], rows: NDArray[np.int64] | None) -> Iterator[tuple[Any, ...]]:
    if not path.is_file():
        raise DataError(f"The file {path} is gone: the items of this version cannot be read. Restore a backup of it.")
    named = ", ".join(f'"{name}"' for name in columns)
    with connect() as connection:
        for condition, values in _pieces(rows):
            query = f"SELECT {named} FROM read_parquet(?){condition}"
            result = connection.execute(query, [str(path), *values])
            while some := result.fetchmany(1_000):
                yield from some


def _pieces(rows: NDArray[np.int64] | None) -> Iterable[tuple[str, list[Any]]]:
    """The conditions that choose rows, some thousands at a time, and their values."""
    if rows is None:
        return [("", [])]
    pieces = [rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER)]
    return [
        (
            ' WHERE "row" BETWEEN ? AND ? AND "row" IN (SELECT unnest(?::BIGINT[])) ORDER BY "row"',
            [int(piece[0]), int(piece[-1]), piece.tolist()],
        )
        for piece in pieces
    ]


def _column(values: Sequence[Any], kind: str) -> NDArray[Any]:
    """Values as DuckDB takes them from numpy; lists of text go as one text each."""
    column = np.empty(len(values), object)
    column[:] = ["\0".join(value) if value else None for value in values] if kind == "VARCHAR[]" else values
    return column
