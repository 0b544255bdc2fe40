"""The schemas of files and uploads hold of what is written, and of what is read."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.files import FileCard, write_deleted_file, write_file, write_files
from stillhouse.wire.openapi.files import operations, schemas
from stillhouse.wire.uploads import UploadCard, read_upload, write_part, write_upload
from tests.wire.openapi.schemas import mismatch

CARD = FileCard("file-1", 5, "rows.jsonl", "fine-tune", 12)
WISH = {"filename": "a", "bytes": 5, "mime_type": "text/plain", "purpose": "fine-tune"}


def test_files_are_as_they_are_told():
    assert mismatch("File", json.loads(write_file(CARD))) is None
    assert mismatch(operations()["GET", "/v1/files"], json.loads(write_files([CARD], False))) is None
    assert mismatch(operations()["GET", "/v1/files"], json.loads(write_files([], False))) is None
    assert mismatch(operations()["DELETE", "/v1/files/{file_id}"], json.loads(write_deleted_file("file-1"))) is None


def test_uploads_are_as_they_are_told():
    card = UploadCard("upload_1", 5, 9, "a", "fine-tune", 12, "completed")
    for file in (None, CARD):
        assert mismatch("Upload", json.loads(write_upload(card, file))) is None
    assert mismatch("UploadPart", json.loads(write_part("part_1", 5, "upload_1"))) is None


def test_what_is_allowed_is_read_and_what_is_forbidden_refused():
    lasting = {"expires_after": {"anchor": "created_at", "seconds": 3600}}
    for more in ({}, lasting, {"expires_after": None}):
        assert mismatch("NewUpload", WISH | more) is None
        assert read_upload(json.dumps(WISH | more).encode()).bytes == 5
    for more in ({"bytes": 0}, {"bytes": 2**40}, {"purpose": "x"}, {"mime_type": "a" * 257}, {"filename": ""}):
        assert mismatch("NewUpload", WISH | more)
        with pytest.raises(WireError):
            read_upload(json.dumps(WISH | more).encode())


def test_the_form_of_a_file_has_its_bytes():
    assert schemas()["NewFile"]["properties"]["file"] == {"type": "string", "format": "binary"}
    assert schemas()["NewFile"]["required"] == ["file", "purpose"]
