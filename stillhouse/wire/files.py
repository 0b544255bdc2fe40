"""The JSON of files: what is said of one that is made, the rows that some must hold, and how files are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import Fields, missing

__all__ = [
    "HOUR",
    "LARGEST_BATCH",
    "LARGEST_FILE",
    "LONGEST_LINE",
    "MONTH",
    "PURPOSES",
    "FileCard",
    "FileWish",
    "check_lines",
    "check_name",
    "file_fields",
    "read_wish",
    "read_wish_form",
    "unknown_file",
    "write_deleted_file",
    "write_file",
    "write_files",
]

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
"""What clients may upload files for; `fine-tune-results` are made by the server."""

OF_ROWS = ("fine-tune", "evals", "batch")
"""The purposes whose files hold one JSON object a line."""

LARGEST_FILE, LARGEST_BATCH = 512 * 2**20, 200 * 2**20
"""Bytes of a file, and of one of purpose `batch`."""

LONGEST_LINE = 64 * 2**20
"""Bytes of one row."""

LONGEST_NAME = 512
"""Characters of a file's name."""

HOUR, MONTH = 3_600, 2_592_000
"""Seconds that files may last at least and at most."""


@dataclass(frozen=True, slots=True)
class FileWish:
    """What a client says of a file: it is to last `lasts` seconds, or until it is deleted."""

    purpose: str
    lasts: int | None = None

    @property
    def is_of_rows(self) -> bool:
        """Whether it must hold one JSON object a line."""
        return self.purpose in OF_ROWS


@dataclass(frozen=True, slots=True)
class FileCard:
    """A file as clients see it; times are in Unix seconds."""

    id: str
    created: int
    filename: str
    purpose: str
    bytes: int
    expires: int | None = None


def read_wish(fields: Fields) -> FileWish:
    """What is said of a file in JSON; raises WireError."""
    purpose = fields.text("purpose")
    if purpose not in PURPOSES:
        words = f"{purpose[:80]!r} is not one of {list(PURPOSES)} - 'purpose'"
        raise WireError(words, None, "purpose")
    if fields.get("expires_after") is None:
        return FileWish(purpose, MONTH if purpose == "batch" else None)
    after = fields.inner("expires_after")
    after.choice("anchor", ("created_at",))
    lasts = after.whole("seconds", low=HOUR, high=MONTH)
    if lasts is None:
        raise missing(after.at("seconds"))
    return FileWish(purpose, lasts)


def read_wish_form(form: Mapping[str, str], filename: str | None) -> FileWish:
    """The same in the fields of a form, whose file has this name; raises WireError."""
    if filename is None:
        raise missing("file")
    check_name(filename, "file")
    after: dict[str, object] = {}
    for name, value in form.items():
        if name.startswith("expires_after[") and name.endswith("]"):
            after[name[len("expires_after[") : -1]] = int(value) if re.fullmatch("[0-9]{1,18}", value) else value
    return read_wish(Fields({**form, **({"expires_after": after} if after else {})}))


def check_name(filename: str, param: str) -> None:
    """Raise WireError for what can be no file's name."""
    if not filename or not filename.isprintable():
        raise WireError(
            f"Invalid value for '{param}': the file needs a name that can be shown.", "invalid_value", param
        )
    if len(filename) > LONGEST_NAME:
        words = f"Invalid '{param}': the name has more than {LONGEST_NAME} characters."
        raise WireError(words, "string_above_max_length", param)


def check_lines(lines: Iterable[bytes], filename: str) -> None:
    """Raise WireError unless each line that is not empty is a JSON object in UTF-8."""
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            raise _bad_line(filename, number, f"it is longer than {LONGEST_LINE // 2**20} MiB")
        if line.strip():
            _check_line(line, filename, number)


def file_fields(card: FileCard) -> dict[str, Any]:
    """The JSON object of a file."""
    return {
        "object": "file",
        "id": card.id,
        "purpose": card.purpose,
        "filename": card.filename,
        "bytes": card.bytes,
        "created_at": card.created,
        "expires_at": card.expires,
        "status": "processed",
        "status_details": None,
    }


def write_file(card: FileCard) -> bytes:
    """The JSON of one file."""
    return orjson.dumps(file_fields(card))


def write_files(cards: Sequence[FileCard], has_more: bool) -> bytes:
    """The JSON of a page of files."""
    first, last = (cards[0].id, cards[-1].id) if cards else (None, None)
    data = [file_fields(card) for card in cards]
    return orjson.dumps({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more})


def write_deleted_file(file_id: str) -> bytes:
    """The JSON that says that a file is gone."""
    return orjson.dumps({"id": file_id, "object": "file", "deleted": True})


def unknown_file(file_id: str) -> WireError:
    """The error for a file that is not here."""
    return WireError(f"No such File object: {file_id}", None, "id", 404)


def _check_line(line: bytes, filename: str, number: int) -> None:
    try:
        row: object = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if line.startswith(b"\xef\xbb\xbf"):
            raise _bad_line(
                filename, number, "it begins with a byte order mark: save it as UTF-8 without one"
            ) from None
        raise _bad_line(filename, number, f"it is no JSON ({str(error).partition(':')[0]})") from error
    if not isinstance(row, dict):
        raise _bad_line(filename, number, f"it is not a JSON object, but begins with {_beginning(line)}")


def _bad_line(filename: str, number: int, reason: str) -> WireError:
    words = f"Invalid file format: each line must be a JSON object in UTF-8. {filename}, line {number}: {reason}."
    return WireError(words, "invalid_file_format", "file")


def _beginning(line: bytes) -> str:
    return repr(line[:20].decode("utf-8", "replace"))
