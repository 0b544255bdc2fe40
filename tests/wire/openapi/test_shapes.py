"""JSON Schemas in few words."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from stillhouse.wire.openapi.shapes import (
    array,
    asked,
    const,
    deleted,
    either,
    flag,
    number,
    or_null,
    page,
    record,
    shared,
    text,
    whole,
)


def fits(schema: dict, value: object) -> bool:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        (text(), ["", "a"], [None, 1]),
        (text(("a", "b")), ["a"], ["c", None]),
        (text(longest=2), ["ab"], ["abc"]),
        (whole(1, 3), [1, 3], [0, 4, 1.5, "1"]),
        (number(0, 1), [0, 0.5], [-0.1, 2, "1"]),
        (flag(), [True], [0, "true"]),
        (const("a"), ["a"], ["b"]),
        (array(text(), fewest=1, most=2), [["a"], ["a", "b"]], [[], ["a", "b", "c"], [1], "a"]),
        (either(text(), whole()), ["a", 1], [1.5, None]),
        (or_null(text()), ["a", None], [1]),
        (or_null(text(("a",))), ["a", None], ["b"]),
        (or_null(const("a")), ["a", None], ["b"]),
    ],
)
def test_a_schema_takes_what_it_says_and_nothing_else(schema, right, wrong):
    assert all(fits(schema, value) for value in right)
    assert not any(fits(schema, value) for value in wrong)


def test_an_answer_has_all_its_fields_but_the_optional_ones():
    schema = record({"a": text(), "b": text()}, ("b",))
    assert fits(schema, {"a": ""})
    assert not fits(schema, {"b": ""})
    assert not fits(schema, {"a": "", "b": None})


def test_in_a_request_a_null_counts_as_absent():
    schema = asked({"a": text()}, {"b": text()})
    assert fits(schema, {"a": "", "b": None, "c": 1})
    assert not fits(schema, {"a": None})
    assert not fits(schema, {"a": "", "b": 1})


def test_metadata_have_the_bounds_that_requests_are_held_to():
    schema = shared()["Metadata"]
    assert fits(schema, {str(index): "v" * 512 for index in range(16)})
    assert not fits(schema, {str(index): "v" for index in range(17)})
    assert not fits(schema, {"k" * 65: "v"})
    assert not fits(schema, {"k": "v" * 513})
    assert not fits(schema, {"k": None})


def test_a_page_and_a_deletion_say_what_they_are():
    assert fits(deleted("file"), {"id": "file-1", "object": "file", "deleted": True})
    assert not fits(deleted("file"), {"id": "file-1", "object": "file", "deleted": False})
    assert set(page("File")["required"]) - set(page("File", ends=False)["required"]) == {"first_id", "last_id"}
