"""Plain text: an item for each line that is not blank."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.formats import open_plain, read_head
from stillhouse.data.importers.options import Options
from stillhouse.data.items import Item, Kind, Source
from stillhouse.errors import BadRow, TrafficError

__all__ = ["read_text"]


def read_text(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The lines of a file in UTF-8, also one compressed by gzip."""
    read_head(path, "Plain text is UTF-8.")
    number = 0
    try:
        with open_plain(path) as file:
            while raw := file.readline(options.longest + 1):
                number += 1
                if len(raw) > options.longest:
                    size = len(raw)
                    while rest := b"" if raw.endswith(b"\n") else file.readline(2**18):
                        raw, size = rest, size + len(rest)
                    bad.add(BadRow(str(path), number, f"it is {size:,} bytes long, more than {options.longest:,}"), b"")
                    continue
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError:
                    bad.add(BadRow(str(path), number, "it is not UTF-8"), raw)
                    continue
                if line.strip():
                    message = {"role": "user", "content": line}
                    yield Item(Kind.TEXT, (message,), source=Source(origin=path.name, row=number))
    except (EOFError, zlib.error, OSError) as error:
        raise TrafficError(f"{path} cannot be read beyond line {number}: {error}. Is it complete?") from error
    bad.refuse()
