"""What JSON a caller wants, however the schema says it."""

from __future__ import annotations

import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.response_format import json_text, read_shape


def schema(properties: dict, **others) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": {"properties": properties, **others}}}


def test_text_asks_for_nothing():
    assert read_shape(None) is None
    assert read_shape({"type": "text"}) is None


def test_any_object_has_no_fields():
    assert read_shape({"type": "json_object"}) == {}
    assert read_shape({"type": "json_schema", "json_schema": {"name": "x"}}) == {}


def test_enumerated_values_are_found_inline_and_by_reference():
    asked = schema(
        {
            "a": {"type": "string", "enum": ["x", "y"]},
            "b": {"const": 3},
            "c": {"$ref": "#/$defs/C"},
            "d": {"type": "string"},
        },
        **{"$defs": {"C": {"enum": [None, True]}}},
    )
    assert read_shape(asked) == {
        "a": {'"x"', '"y"'},
        "b": {"3"},
        "c": {"null", "true"},
        "d": None,
    }


@pytest.mark.parametrize("asked", ["json", {}, {"type": "xml"}, {"type": "json_schema"}])
def test_another_format_is_refused(asked):
    with pytest.raises(WireError):
        read_shape(asked)


def test_equal_values_have_one_text():
    assert json_text({"b": 1, "a": "é"}) == json_text({"a": "é", "b": 1}) == '{"a":"é","b":1}'
