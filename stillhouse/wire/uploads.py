"""The JSON of uploads: files that are announced, sent in parts and put together."""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson

from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import missing, read_body, wrong_value
from stillhouse.wire.files import FileCard, FileWish, check_name, file_fields, read_wish

__all__ = [
    "LARGEST_PART",
    "LARGEST_UPLOAD",
    "Completion",
    "UploadCard",
    "UploadWish",
    "over",
    "read_completion",
    "read_upload",
    "unknown_upload",
    "write_part",
    "write_upload",
    "wrong_md5",
    "wrong_size",
]

LARGEST_UPLOAD, LARGEST_PART = 8 * 2**30, 64 * 2**20
"""Bytes of a file that comes in parts, and of one part."""

LONGEST_TYPE = 256
"""Characters of a MIME type."""


@dataclass(frozen=True, slots=True)
class UploadWish:
    """A file that is announced."""

    filename: str
    bytes: int
    file: FileWish


@dataclass(frozen=True, slots=True)
class Completion:
    """The order of the parts, and the MD5 in hex that all together must have."""

    part_ids: tuple[str, ...]
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class UploadCard:
    """An upload as clients see it; times are in Unix seconds."""

    id: str
    created: int
    expires: int
    filename: str
    purpose: str
    bytes: int
    status: str


def read_upload(body: bytes) -> UploadWish:
    """What is announced; raises WireError."""
    fields = read_body(body)
    filename = fields.text("filename")
    check_name(filename, "filename")
    size = fields.whole("bytes", low=1, high=LARGEST_UPLOAD)
    if size is None:
        raise missing("bytes")
    fields.text("mime_type", longest=LONGEST_TYPE)
    return UploadWish(filename, size, read_wish(fields))


def read_completion(body: bytes) -> Completion:
    """How the parts are put together; raises WireError."""
    fields = read_body(body)
    ids = fields.texts("part_ids", fewest=1)
    seen: set[str] = set()
    for index, part_id in enumerate(ids):
        if part_id in seen:
            raise wrong_value(f"part_ids[{index}]", f"the part '{part_id[:80]}' is named twice")
        seen.add(part_id)
    md5 = fields.text_or_none("md5")
    if md5 is not None and not re.fullmatch("[0-9a-fA-F]{32}", md5):
        raise wrong_value("md5", "an MD5 has 32 hexadecimal digits")
    return Completion(ids, md5.lower() if md5 else None)


def write_upload(card: UploadCard, file: FileCard | None = None) -> bytes:
    """The JSON of an upload, with the file it became."""
    shown: dict[str, object] = {
        "id": card.id,
        "object": "upload",
        "bytes": card.bytes,
        "created_at": card.created,
        "filename": card.filename,
        "purpose": card.purpose,
        "status": card.status,
        "expires_at": card.expires,
        "file": None if file is None else file_fields(file),
    }
    return orjson.dumps(shown)


def write_part(part_id: str, created: int, upload_id: str) -> bytes:
    """The JSON of a part."""
    return orjson.dumps({"id": part_id, "object": "upload.part", "created_at": created, "upload_id": upload_id})


def unknown_upload(upload_id: str) -> WireError:
    """The error for an upload that is not here."""
    return WireError(f"No such Upload object: {upload_id}", None, "id", 404)


def over(upload_id: str, status: str) -> WireError:
    """The error for an upload that takes nothing more."""
    return WireError(f"The upload {upload_id} is {status}: begin a new one.", "invalid_upload_state", "id")


def wrong_size(expected: int, got: int, param: str) -> WireError:
    """The error for parts that are not what was announced."""
    return WireError(
        f"The parts have {got} bytes in all, but the upload was announced with {expected}.", "invalid_value", param
    )


def wrong_md5(expected: str, got: str) -> WireError:
    """The error for bytes that are not those that were sent."""
    return WireError(f"The parts have the MD5 {got}, not {expected}: send them anew.", "checksum_mismatch", "md5")
