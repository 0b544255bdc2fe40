"""The JSON of files: what is said of one is read strictly, and rows are checked line by line."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import Fields
from stillhouse.wire.files import (
    LONGEST_LINE,
    FileCard,
    FileWish,
    check_lines,
    read_wish,
    read_wish_form,
    unknown_file,
    write_deleted_file,
    write_file,
    write_files,
)

CARD = FileCard("file-1", 5, "ü.jsonl", "evals", 7, 9)
SHOWN = {
    "object": "file",
    "id": "file-1",
    "purpose": "evals",
    "filename": "ü.jsonl",
    "bytes": 7,
    "created_at": 5,
    "expires_at": 9,
    "status": "processed",
    "status_details": None,
}


def test_what_is_said_of_a_file():
    after = {"anchor": "created_at", "seconds": 3_600}
    assert read_wish(Fields({"purpose": "vision"})) == FileWish("vision")
    assert read_wish(Fields({"purpose": "evals", "expires_after": after})) == FileWish("evals", 3_600)
    assert read_wish(Fields({"purpose": "batch"})) == FileWish("batch", 2_592_000)
    assert read_wish(Fields({"purpose": "batch", "expires_after": after})) == FileWish("batch", 3_600)


def test_the_same_in_the_fields_of_a_form():
    form = {"purpose": "evals", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600", "more": "x"}
    assert read_wish_form(form, "a") == FileWish("evals", 3_600)
    assert read_wish_form({"purpose": "evals"}, "a") == FileWish("evals")


@pytest.mark.parametrize("seconds", ["9" * 5_000, "²", "-1", "1.5", ""])
def test_no_text_in_the_place_of_a_number_is_more_than_refused(seconds):
    form = {"purpose": "evals", "expires_after[anchor]": "created_at", "expires_after[seconds]": seconds}
    with pytest.raises(WireError) as caught:
        read_wish_form(form, "a")
    assert caught.value.param == "expires_after.seconds"


@pytest.mark.parametrize(("name", "code"), [(None, "missing_required_parameter"), ("", "invalid_value")])
def test_a_file_needs_a_name(name, code):
    with pytest.raises(WireError) as caught:
        read_wish_form({"purpose": "evals"}, name)
    assert (caught.value.code, caught.value.param) == (code, "file")


def test_only_some_files_are_of_rows():
    purposes = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
    assert [each for each in purposes if FileWish(each).is_of_rows] == ["batch", "fine-tune", "evals"]


def test_rows_are_objects_and_empty_lines_are_let_be():
    check_lines([b'{"a": 1}\n', b"\n", b"  \r\n", b"{}"], "a")
    check_lines([], "a")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([b"{}\n", b"1\n"], "line 2: it is not a JSON object, but begins with '1"),
        ([b"{"], "line 1: it is no JSON"),
        ([b'{"a": "\xff"}'], "line 1: it is no JSON"),
        ([b"\xef\xbb\xbf{}"], "byte order mark"),
        ([b"x" * (LONGEST_LINE + 1)], "longer than 64 MiB"),
    ],
)
def test_what_is_no_row_is_named(lines, words):
    with pytest.raises(WireError, match=words) as caught:
        check_lines(lines, "rows.jsonl")
    assert "rows.jsonl" in str(caught.value)
    assert (caught.value.code, caught.value.param, caught.value.status) == ("invalid_file_format", "file", 400)


def test_files_are_shown():
    assert json.loads(write_file(CARD)) == SHOWN
    page = {"object": "list", "data": [SHOWN], "first_id": "file-1", "last_id": "file-1", "has_more": True}
    assert json.loads(write_files([CARD], has_more=True)) == page
    empty = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert json.loads(write_files([], has_more=False)) == empty
    assert json.loads(write_deleted_file("file-1")) == {"id": "file-1", "object": "file", "deleted": True}


def test_a_file_that_is_not_here():
    error = unknown_file("file-1")
    assert (str(error), error.param, error.code, error.status) == ("No such File object: file-1", "id", None, 404)
