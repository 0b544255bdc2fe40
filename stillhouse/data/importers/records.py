"""Records: what a file holds one after another, JSON values or rows of a table, without holding the file."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast, final

import orjson

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.formats import open_plain, read_head
from stillhouse.data.importers.options import Options
from stillhouse.errors import BadRow, TrafficError

__all__ = ["Record", "Unusable", "delimiter_of", "read_objects", "read_rows", "read_table"]

CHUNK = 2**18
"""Bytes that are read at once."""
SHOWN = 2**16
"""Bytes that are kept aside of a row that is too long to be held."""
MARK = b"\xef\xbb\xbf"
TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\],\n]', re.DOTALL)
"""A whole string, or one of the characters by which JSON values begin and end; a lone quote begins a torn string."""
BLANK = b" \t\r\n"
WANTED = "Rows are UTF-8 text: an object on each line, or one array of them, or a table with a header."


@final
class Unusable(Exception):
    """Why a row cannot be used."""


@final
@dataclass(frozen=True, slots=True)
class Record:
    """One row of a file."""

    number: int
    """Its line; in an array, which element it is; from 1."""
    line: int
    """The line of the file that it begins on."""
    raw: bytes
    value: Mapping[str, Any]


@final
class _Rows:
    """What is wrong with the rows of one file, on its way to `BadRows`."""

    def __init__(self, path: Path, bad: BadRows, longest: int) -> None:
        self._path, self._bad, self.longest = path, bad, longest

    def refuse(self, line: int, reason: str, raw: bytes) -> None:
        self._bad.add(BadRow(str(self._path), line, reason), raw[:SHOWN] if len(raw) > self.longest else raw)

    def too_long(self, size: int) -> str:
        return f"it is {size:,} bytes long, more than the {self.longest:,} that are read"


def read_objects(path: Path, options: Options, bad: BadRows) -> Iterator[Record]:
    """The JSON objects of a file: one a line, elements of one array, or one after another over several lines.

    The file may be compressed by gzip. A value that is no object, that is longer than may be, or that is no JSON
    (NaN, half a surrogate pair, nested too deeply) is a bad row. Raises TrafficError where the file as a whole
    cannot be read: missing, empty, binary, UTF-16, torn; and where the rows are over, for those that were bad.
    """
    head = read_head(path, WANTED).removeprefix(MARK).lstrip(BLANK)
    rows = _Rows(path, bad, options.longest)
    spread = head.startswith(b"[") or head.split(b"\n", 1)[0].strip() == b"{"
    at = 0
    try:
        with open_plain(path) as file:
            for number, line, raw in _values(file, rows) if spread else _lines(file, rows):
                at = line
                record = _record(rows, number, line, raw, "element {}: " if head.startswith(b"[") else "")
                if record is not None:
                    yield record
    except (EOFError, zlib.error, OSError) as error:
        raise TrafficError(f"{path} cannot be read beyond line {at}: {error}. Is it complete?") from error
    if not at and not bad.count:
        raise TrafficError(f"{path} holds no rows. {WANTED}")
    bad.refuse()


def _record(rows: _Rows, number: int, line: int, raw: bytes, prefix: str) -> Record | None:
    prefix = prefix.format(number)
    if len(raw) > rows.longest:
        rows.refuse(line, prefix + rows.too_long(len(raw)), raw)
        return None
    try:
        value: Any = orjson.loads(raw)
        orjson.dumps(value)  # which is stricter than reading: what is nested too deeply could not be kept
    except orjson.JSONDecodeError as error:
        rows.refuse(line, f"{prefix}{_not_text(raw) or f'it is not valid JSON ({_why(error, raw)})'}", raw)
        return None
    except TypeError as error:
        rows.refuse(line, f"{prefix}it cannot be kept ({error})", raw)
        return None
    if not isinstance(value, dict):
        rows.refuse(line, f"{prefix}it is {_kind(value)}, not a JSON object", raw)
        return None
    return Record(number, line, raw, cast("dict[str, Any]", value))


def _not_text(raw: bytes) -> str:
    """That a row is no UTF-8, with the byte that shows it; nothing where it is."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 (the byte {raw[error.start]:#04x}, column {error.start + 1})"
    return ""


def _why(error: orjson.JSONDecodeError, raw: bytes) -> str:
    word = re.match(rb"-?(NaN|Infinity)", raw[max(0, error.pos) :].lstrip())
    if word:
        return f"{word[0].decode()} is no number of JSON, column {error.colno}"
    return f"{error.msg}, column {error.colno}"


def _kind(value: Any) -> str:
    kinds = {list: "an array", str: "a string", type(None): "null", bool: "true or false"}
    return kinds.get(cast("type[Any]", type(value)), "a number")


def _lines(file: BinaryIO, rows: _Rows) -> Iterator[tuple[int, int, bytes]]:
    number = 0
    while raw := file.readline(rows.longest + 1):
        number += 1
        if len(raw) > rows.longest and not raw.endswith(b"\n"):
            size, first = len(raw), raw[:SHOWN]
            while rest := file.readline(CHUNK):
                size += len(rest)
                if rest.endswith(b"\n"):
                    break
            rows.refuse(number, rows.too_long(size), first)
            continue
        line = raw.removeprefix(MARK) if number == 1 else raw
        if line.strip():
            yield number, number, line


def _values(file: BinaryIO, rows: _Rows) -> Iterator[tuple[int, int, bytes]]:
    """Values out of one array, or that follow each other, by their brackets alone: what is inside is read later."""
    cut, number = _Cut(), 0
    while True:
        more = file.read(max(CHUNK, len(cut.waiting)))
        for line, raw in cut.take(more.removeprefix(MARK) if not cut.seen else more):
            number += 1
            yield number, line, raw
        if not more:
            break
        if len(cut.waiting) > rows.longest:
            raise TrafficError(
                f"{file.name}, line {cut.line}: here begins a value of more than the {rows.longest:,} bytes that are "
                "read at once. Is a quote or a bracket missing? Write an object on each line, to have it skipped."
            )
    if cut.waiting.strip(BLANK + b","):
        rows.refuse(cut.line, "the file ends in the middle of it", bytes(cut.waiting))


@final
class _Cut:
    """Text of JSON in pieces, cut into the values of its outermost array, or those that stand outside any."""

    def __init__(self) -> None:
        self.waiting, self.line, self.seen = bytearray(), 1, False
        self._at = self._depth = self._outer = 0
        self._lines = 0

    def take(self, more: bytes) -> Iterator[tuple[int, bytes]]:
        """The values that are whole now, each with the line it begins on."""
        self.seen = True
        self.waiting += more
        start, at = 0, self._at
        for token in TOKEN.finditer(self.waiting, at):
            mark = token[0]
            if mark == b'"':
                at = token.start()
                break
            at = token.end()
            self._lines += mark.count(b"\n")
            end = self._step(mark, token)
            if end is not None:
                value = bytes(self.waiting[start:end])
                blank = len(value) - len(value.lstrip(BLANK))
                if value.strip(BLANK):
                    yield self.line + value[:blank].count(b"\n"), value.strip(BLANK)
                start, self.line = token.end(), 1 + self._lines
        else:
            at = max(at, len(self.waiting))
        del self.waiting[:start]
        self._at = at - start

    def _step(self, mark: bytes, token: re.Match[bytes]) -> int | None:
        """Where a value ends, if it does with this mark."""
        if mark in b"[{" and len(mark) == 1:
            if mark == b"[" and self._depth == 0:
                self._outer = 1
                self._depth += 1
                return token.start()
            self._depth += 1
        elif mark in b"]}" and len(mark) == 1:
            self._depth -= 1
            if self._depth == 0:
                return token.start() if self._outer else token.end()
            return None
        elif mark == b"," and self._depth == self._outer:
            return token.start()
        return None


def read_table(path: Path, options: Options, bad: BadRows) -> Iterator[Record]:
    """The rows of a table with a header, by their columns; raises TrafficError as `read_objects` does.

    What parts the columns (comma, semicolon, tab, bar) is told by the header. A row with another number of columns
    than the header is a bad row.
    """
    head = read_head(path, WANTED)
    rows = _Rows(path, bad, options.longest)
    csv.field_size_limit(options.longest)
    found = False
    with open_plain(path) as file:
        taken = _Taken(options.longest)
        reader = csv.reader(_text(file, path, taken), delimiter=delimiter_of(head), strict=True)
        names = _header(reader, path, taken)
        while (row := _next(reader, rows, taken)) is not None:
            line, cells = row
            if not any(cells):
                continue
            found = True
            reason = rows.too_long(taken.size) if taken.is_long else _wrong(cells, names)
            if reason:
                rows.refuse(line, reason, taken.raw)
            else:
                yield Record(line, line, taken.raw, dict(zip(names, cells, strict=True)))
    if not found and not bad.count:
        raise TrafficError(f"{path} holds no rows below its header. {WANTED}")
    bad.refuse()


def read_rows(path: Path, options: Options, bad: BadRows) -> Iterator[Record]:
    """The JSON objects of a file, or where it holds no JSON the rows of its table."""
    is_json = read_head(path, WANTED).removeprefix(MARK).lstrip(BLANK).startswith((b"{", b"["))
    return (read_objects if is_json else read_table)(path, options, bad)


def delimiter_of(head: bytes) -> str:
    """What parts the columns of a table, by its first line."""
    first = head.removeprefix(MARK).split(b"\n", 1)[0]
    counts = {mark: first.count(mark.encode()) for mark in ",;\t|"}
    return max(counts, key=lambda mark: counts[mark])


def _header(reader: Iterator[list[str]], path: Path, taken: _Taken) -> list[str]:
    empty: list[str] = []
    try:
        names = [name.strip() for name in next(reader, empty)]
    except csv.Error as error:
        raise TrafficError(f"{path}, line 1: the header cannot be read: {error}.") from error
    if taken.is_long:
        raise TrafficError(f"{path}, line 1: the header has {taken.size:,} bytes. Is a line end missing?")
    again = {name for name in names if names.count(name) > 1 or not name}
    if again:
        listed = ", ".join(sorted(repr(name) for name in again))
        raise TrafficError(f"{path}, line 1: columns must have different names; these have not: {listed}.")
    return names


@final
class _Taken:
    """The lines of one row of a table as they were, as far as so many bytes are read of a row."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.skips = False
        """Whether the row was given up within quotes: lines are passed over until these are closed."""
        self.clear()

    def clear(self) -> None:
        """Begin a new row."""
        self._kept, self._quotes = bytearray(), 0
        self.line = self.size = 0

    def add(self, line: bytes, size: int, number: int) -> None:
        """One line of `size` bytes, or its beginning where it is too long; `number` is that of the line."""
        self.line = self.line or number
        self.size += size
        self._quotes += line.count(b'"')
        if self.size <= self.longest or not self._kept:
            self._kept += line

    @property
    def raw(self) -> bytes:
        """The row; of one that is too long its beginning."""
        return bytes(self._kept[:SHOWN] if self.is_long else self._kept)

    @property
    def is_long(self) -> bool:
        """Whether it has more bytes than are read of a row."""
        return self.size > self.longest

    def give_up(self) -> None:
        """Nothing more of the row is wanted."""
        self.skips = self._quotes % 2 == 1


def _next(reader: Any, rows: _Rows, taken: _Taken) -> tuple[int, list[str]] | None:
    """The next row that can be read, with the line it begins on; None: there is none."""
    while True:
        taken.clear()
        try:
            cells: list[str] = next(reader)
            return taken.line, cells
        except StopIteration:
            return None
        except csv.Error as error:
            if taken.is_long:
                taken.give_up()
            why = rows.too_long(taken.size) if taken.is_long else f"it is no row of a table ({error})"
            rows.refuse(taken.line, why, taken.raw)


def _wrong(cells: list[str], names: list[str]) -> str:
    if len(cells) != len(names):
        return f"it has {len(cells)} columns where the header has {len(names)}"
    if any("\udc80" <= letter <= "\udcff" for cell in cells if not cell.isascii() for letter in cell):
        return "it is not UTF-8"
    return ""


def _text(file: BinaryIO, path: Path, taken: _Taken) -> Iterator[str]:
    """The lines as text, each put into `taken` as it was.

    Of a line that is too long comes its beginning, and a quote more where what was left out opens or closes one.
    """
    number = 0
    try:
        while raw := file.readline(taken.longest + 1):
            number += 1
            size = len(raw)
            if size > taken.longest:
                quotes, end = raw.count(b'"', SHOWN), raw.endswith(b"\n")
                raw = raw[:SHOWN].rstrip(b"\r\n")
                while not end and (rest := file.readline(CHUNK)):
                    size, quotes, end = size + len(rest), quotes + rest.count(b'"'), rest.endswith(b"\n")
                raw += b'"' * (quotes % 2) + b"\n"
            if taken.skips:
                taken.skips = raw.count(b'"') % 2 == 0
                continue
            taken.add(raw, size, number)
            yield (raw.removeprefix(MARK) if number == 1 else raw).decode("utf-8", "surrogateescape")
    except (EOFError, zlib.error, OSError) as error:
        raise TrafficError(f"{path} cannot be read beyond line {number}: {error}. Is it complete?") from error
