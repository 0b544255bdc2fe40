"""Search: the rows of a version that a filter wants: columns by DuckDB, words, metadata and likeness by an index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import orjson
from numpy.typing import NDArray

from stillhouse.data.filters import Filter
from stillhouse.data.parquet import connect
from stillhouse.data.postings import Postings, PostingsWriter, placed
from stillhouse.data.word_index import WordIndex
from stillhouse.errors import DataError

__all__ = ["Found", "Search"]

METADATA = "metadata"
INDEX = "index"
"""The folder beside a version's Parquet for what finds its rows; made when it is first needed."""

TOGETHER = 10_000


@final
@dataclass(frozen=True, slots=True)
class Found:
    """The rows that a filter wants."""

    rows: NDArray[np.int64]
    """Ascending."""
    likeness: NDArray[np.float32] | None = None
    """How alike each is to the filter's example, 0..1; None without one."""

    def best(self, most: int) -> list[int]:
        """A few of them: the likest first, or the first."""
        if self.likeness is None:
            return self.rows[:most].tolist()
        order = np.argsort(-self.likeness, kind="stable")[:most]
        return self.rows[order].tolist()


@final
class Search:
    """Finds rows of one version again and again; to be closed."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"The file {path} is gone: the items of this version cannot be read.")
        self._path = path
        self._stack = ExitStack()
        self._connection: Any = self._stack.enter_context(connect())
        self._words: dict[str, WordIndex] = {}
        self._metadata: Postings | None = None
        query = "SELECT count(*) FROM read_parquet(?)"
        self.rows: int = self._connection.execute(query, [str(path)]).fetchone()[0]

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *given: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._stack.close()

    def lacks(self, wanted: Filter) -> bool:
        """Whether an index that a filter needs has to be made."""
        return not all(self._place(name).is_dir() for name in _needed(wanted))

    def prepare(self, wanted: Filter) -> None:
        """Make and open the indexes that a filter needs; the first time it takes seconds per 100,000 rows."""
        for name in _needed(wanted):
            self._pairs() if name == METADATA else self._index(name)

    def find(self, wanted: Filter) -> Found:
        """The rows that a filter wants, in their order."""
        found = self._by_columns(wanted)
        for name, texts in (("text", wanted.match), ("answer", wanted.answer)):
            for text in texts:
                found &= self._index(name).holding(text)
        for key, value in sorted(wanted.where.items()):
            found &= self._by_metadata(key, value)
        if wanted.like is None:
            return Found(np.flatnonzero(found))
        likeness = self._index("text").likeness(wanted.like)
        rows = np.flatnonzero(found & (likeness >= wanted.near))
        return Found(rows, likeness[rows])

    def _by_columns(self, wanted: Filter) -> NDArray[np.bool_]:
        condition, values = wanted.conditions()
        if not condition:
            return np.ones(self.rows, np.bool_)
        found = np.zeros(self.rows, np.bool_)
        query = f'SELECT "row" FROM read_parquet(?) WHERE {condition}'
        found[self._connection.execute(query, [str(self._path), *values]).fetchnumpy()["row"]] = True
        return found

    def _by_metadata(self, key: str, value: str) -> NDArray[np.bool_]:
        found, pairs = np.zeros(self.rows, np.bool_), self._pairs()
        term = pairs.find(_term(key, value))
        if term is not None:
            found[pairs.rows(term)] = True
        return found

    def _pairs(self) -> Postings:
        if self._metadata is None:
            self._metadata = Postings(placed(self._place(METADATA), self._write_metadata))
        return self._metadata

    def _index(self, column: str) -> WordIndex:
        if column not in self._words:
            self._words[column] = WordIndex.open(self._place(column), self._column(column))
        return self._words[column]

    def _write_metadata(self, folder: Path) -> None:
        writer = PostingsWriter()
        for row, text in enumerate(self._column("metadata")):
            if text is not None:
                writer.add(row, [_term(key, value) for key, value in orjson.loads(text).items()])
        writer.write(folder)

    def _column(self, name: str) -> Iterator[str | None]:
        """The values of a column, in the order of the rows."""
        with connect() as connection:
            result = connection.execute(f'SELECT "{name}" FROM read_parquet(?)', [str(self._path)])
            while some := result.fetchmany(TOGETHER):
                yield from (value for (value,) in some)

    def _place(self, name: str) -> Path:
        return self._path.parent / INDEX / name


def _needed(wanted: Filter) -> list[str]:
    """The columns whose index a filter needs."""
    asked = {
        "text": bool(wanted.match) or wanted.like is not None,
        "answer": bool(wanted.answer),
        METADATA: bool(wanted.where),
    }
    return [name for name, needed in asked.items() if needed]


def _term(key: str, value: Any) -> str:
    """A pair of metadata as one term, without line breaks."""
    return orjson.dumps([key, value]).decode()
