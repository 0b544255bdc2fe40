"""The JSON of uploads: what is announced, and how the parts are put together."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.files import FileCard, FileWish
from stillhouse.wire.uploads import (
    Completion,
    UploadCard,
    UploadWish,
    over,
    read_completion,
    read_upload,
    unknown_upload,
    write_part,
    write_upload,
    wrong_md5,
    wrong_size,
)

ANNOUNCED = {"filename": "a.jsonl", "bytes": 5, "mime_type": "text/jsonl", "purpose": "evals"}
CARD = UploadCard("upload_1", 5, 3_605, "a.jsonl", "evals", 5, "pending")


def test_what_is_announced():
    assert read_upload(json.dumps(ANNOUNCED).encode()) == UploadWish("a.jsonl", 5, FileWish("evals"))


@pytest.mark.parametrize("missing", ANNOUNCED)
def test_everything_must_be_said(missing):
    body = {name: value for name, value in ANNOUNCED.items() if name != missing}
    with pytest.raises(WireError) as caught:
        read_upload(json.dumps(body).encode())
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", missing)


def test_the_order_of_the_parts():
    assert read_completion(b'{"part_ids": ["b", "a"]}') == Completion(("b", "a"))
    assert read_completion(b'{"part_ids": ["a"], "md5": "' + b"A" * 32 + b'"}') == Completion(("a",), "a" * 32)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "part_ids"),
        ({"part_ids": []}, "part_ids"),
        ({"part_ids": [1]}, "part_ids[0]"),
        ({"part_ids": ["a", "b", "a"]}, "part_ids[2]"),
        ({"part_ids": ["a"], "md5": "x"}, "md5"),
    ],
)
def test_an_order_that_is_none(body, param):
    with pytest.raises(WireError) as caught:
        read_completion(json.dumps(body).encode())
    assert caught.value.param == param


def test_uploads_and_parts_are_shown():
    shown = json.loads(write_upload(CARD))
    assert shown == {
        "id": "upload_1",
        "object": "upload",
        "bytes": 5,
        "created_at": 5,
        "filename": "a.jsonl",
        "purpose": "evals",
        "status": "pending",
        "expires_at": 3_605,
        "file": None,
    }
    file = FileCard("file-1", 6, "a.jsonl", "evals", 5)
    assert json.loads(write_upload(CARD, file))["file"]["id"] == "file-1"
    part = {"id": "part_1", "object": "upload.part", "created_at": 5, "upload_id": "upload_1"}
    assert json.loads(write_part("part_1", 5, "upload_1")) == part


def test_errors_say_what_was_seen():
    assert unknown_upload("upload_1").status == 404
    assert "cancelled" in str(over("upload_1", "cancelled"))
    assert "7 bytes" in str(wrong_size(5, 7, "part_ids"))
    assert "bb, not aa" in str(wrong_md5("aa", "bb"))
