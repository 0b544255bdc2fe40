"""Multipart bodies, read as they come: short fields are held, one file goes straight to where it is kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

from stillhouse.errors import StorageError
from stillhouse.wire.errors import WireError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["Form", "read_form"]

GATHERED = 2**20
"""Bytes of a file that are written at once."""

MOST_PARTS, LONGEST_FIELD = 32, 64 * 2**10
"""Parts of a body, and bytes of a field, at most."""

AROUND = 2**20
"""Bytes that a body may have beside those of its file."""

SECONDS_SILENT = 60
"""How long a client may send nothing in the middle of a body."""

Sink = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, and the name of its file; None when no file came."""

    fields: dict[str, str] = field(default_factory=dict[str, str])
    filename: str | None = None


async def read_form(request: Request, part: str, sink: Sink, largest: int) -> Form:
    """Read a form whose file is the part of a name, of at most `largest` bytes; the file goes to `sink`.

    Fields and file may come in any order. Raises WireError for a body that is no such form, HTTPException with 413 for
    one that is too large, what `sink` raises, and ClientDisconnect when the client leaves.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        words = f"Send this as multipart/form-data with the file in '{part}', not as {kind.decode('latin-1')[:40]!r}."
        raise WireError(words, "invalid_content_type")
    _refuse_early(request, largest)
    reading = Reading(part)
    size = 0
    try:
        parser = MultipartParser(options[b"boundary"], reading.callbacks)
        async for chunk in _chunks(request):
            size += len(chunk)
            if size > largest + AROUND:
                await _read_on(request, size, largest)
                raise _too_large(largest)
            parser.write(chunk)
            if len(reading.gathered) >= GATHERED:
                await reading.flush(sink)
    except StorageError:
        await _read_on(request, size, largest)
        raise
    except FormParserError as error:
        raise WireError(f"The multipart body cannot be read: {error}.", "invalid_multipart") from error
    if not reading.is_over:
        raise WireError("The multipart body ends in the middle of a part.", "invalid_multipart")
    await reading.flush(sink)
    if reading.size > largest:
        raise _too_large(largest)
    return Form(reading.fields, reading.filename)


@final
class Reading:
    """What has been read of a form so far."""

    def __init__(self, part: str) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.gathered = bytearray()
        self.size = 0
        self.is_over = False
        self._part, self._parts = part, 0
        self._header, self._value, self._disposition = bytearray(), bytearray(), b""
        self._name: str | None = None
        self._field = bytearray()
        self._is_file = False
        self.callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._add_header,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._add,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    async def flush(self, sink: Sink) -> None:
        """Hand over what has come of the file."""
        if self.gathered:
            data, self.gathered = bytes(self.gathered), bytearray()
            await sink(data)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise WireError(f"The form has more than {MOST_PARTS} parts.", "invalid_multipart")
        self._disposition, self._name, self._is_file = b"", None, False
        self._field.clear()

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _open(self) -> None:
        """The headers of a part are there: it is a field, or the file."""
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        filename = _filename(self._disposition, options.get(b"filename"))
        if filename is None and self._name != self._part:
            return
        if self._name != self._part or filename is None:
            words = f"A file is expected in '{self._part}', with a file name, and nowhere else."
            raise WireError(words, "invalid_type", self._name or None)
        if self.filename is not None:
            raise WireError(f"There are two files in '{self._part}'. Send one.", "invalid_value", self._part)
        self.filename, self._is_file = filename, True

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.gathered += data[start:end]
            self.size += end - start
            return
        self._field += data[start:end]
        if len(self._field) > LONGEST_FIELD:
            raise WireError(f"The field has more than {LONGEST_FIELD} bytes.", "invalid_value", self._name)

    def _end(self) -> None:
        if not self._is_file and self._name:
            self.fields[self._name] = self._field.decode("utf-8", "replace")

    def _finish(self) -> None:
        self.is_over = True


async def _chunks(request: Request) -> AsyncGenerator[bytes]:
    """The pieces of a body as they come; raises WireError when the client falls silent."""
    stream = request.stream()
    while True:
        try:
            yield await asyncio.wait_for(anext(stream), SECONDS_SILENT)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            words = f"Nothing came for {SECONDS_SILENT} seconds in the middle of the request."
            raise WireError(words, "request_timeout", status=408) from error


def _refuse_early(request: Request, largest: int) -> None:
    """Raise HTTPException for a body that says of itself that it is far too large: nobody reads that to its end."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > 2 * (largest + AROUND):
        raise _too_large(largest)


async def _read_on(request: Request, size: int, largest: int) -> None:
    """Read more of a body that is too large, so that a client that sends first and listens then is answered."""
    async for chunk in _chunks(request):
        size += len(chunk)
        if size > 2 * (largest + AROUND):
            return


def _too_large(largest: int) -> HTTPException:
    return HTTPException(413, f"The file is too large: it may have {largest // 2**20} MiB at most.")


def _filename(disposition: bytes, plain: bytes | None) -> str | None:
    """The file name of a part; some old clients tell a name beyond ASCII in the extended form alone."""
    if plain is not None:
        return plain.decode("utf-8", "replace")
    extended = re.search(rb"filename\*=(?:utf-8|UTF-8)''([^;\s]+)", disposition)
    return unquote(extended[1].decode("latin-1")) if extended else None
