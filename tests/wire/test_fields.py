"""Whatever is wrong with a request is named by its path and a code that clients know."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import Fields, read_body, read_object, writable

BODY = {
    "text": "hello",
    "null": None,
    "number": 0.5,
    "whole": 3,
    "flag": True,
    "list": [{"a": 1}, "b"],
    "texts": ["a", "b"],
    "inner": {"deep": {"x": "y"}},
    "metadata": {"k": "v"},
}


def test_what_is_right_is_read():
    fields = Fields(BODY)
    assert (fields.text("text"), fields.text_or_none("text"), fields.text_or_none("absent")) == ("hello", "hello", None)
    assert (fields.get("null"), fields.flag("flag"), fields.flag("absent")) == (None, True, False)
    assert (fields.number("number", low=0, high=1), fields.number("whole"), fields.number("null")) == (0.5, 3.0, None)
    assert (fields.whole("whole", low=3, high=3), fields.whole("absent")) == (3, None)
    assert fields.items("list") == [({"a": 1}, "list[0]"), ("b", "list[1]")]
    assert (fields.texts("texts"), fields.choice("text", ("hello", "bye"))) == (("a", "b"), "hello")
    assert fields.inner("inner").inner("deep").text("x") == "y"
    assert fields.inner("inner").inner("deep").at("x") == "inner.deep.x"
    assert fields.inner_or_empty("absent").values == {}
    assert (fields.metadata(), fields.metadata("absent")) == ({"k": "v"}, {})


@pytest.mark.parametrize(
    ("read", "code", "param"),
    [
        (lambda f: f.text("absent"), "missing_required_parameter", "absent"),
        (lambda f: f.need("null"), "missing_required_parameter", "null"),
        (lambda f: f.text("whole"), "invalid_type", "whole"),
        (lambda f: f.text("text", longest=4), "string_above_max_length", "text"),
        (lambda f: f.choice("text", ("a", "b")), "invalid_value", "text"),
        (lambda f: f.choice("list", ("a", "b")), "invalid_value", "list"),
        (lambda f: f.flag("whole"), "invalid_type", "whole"),
        (lambda f: f.number("flag"), "invalid_type", "flag"),
        (lambda f: f.number("number", low=1), "decimal_below_min_value", "number"),
        (lambda f: f.number("number", high=0.4), "decimal_above_max_value", "number"),
        (lambda f: f.whole("number"), "invalid_type", "number"),
        (lambda f: f.whole("flag"), "invalid_type", "flag"),
        (lambda f: f.whole("whole", low=4), "integer_below_min_value", "whole"),
        (lambda f: f.whole("whole", high=2), "integer_above_max_value", "whole"),
        (lambda f: f.items("text"), "invalid_type", "text"),
        (lambda f: f.items("list", fewest=3), "array_below_min_length", "list"),
        (lambda f: f.texts("list"), "invalid_type", "list[0]"),
        (lambda f: f.inner("inner").text("deep"), "invalid_type", "inner.deep"),
        (lambda f: f.inner("inner").inner("deep").text("z"), "missing_required_parameter", "inner.deep.z"),
        (lambda f: f.inner("text"), "invalid_type", "text"),
        (lambda f: Fields([], "a[0]"), "invalid_type", "a[0]"),
        (lambda f: Fields("x"), "invalid_type", None),
    ],
)
def test_what_is_wrong_is_named(read, code, param):
    with pytest.raises(WireError) as caught:
        read(Fields(BODY))
    assert (caught.value.code, caught.value.param, caught.value.status) == (code, param, 400)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("metadata", "code", "param"),
    [
        ({str(n): "" for n in range(17)}, "object_above_max_properties", "metadata"),
        ({"k" * 65: ""}, "string_above_max_length", "metadata"),
        ({"k": "v" * 513}, "string_above_max_length", "metadata.k"),
        ({"k": 1}, "invalid_type", "metadata.k"),
        ([], "invalid_type", "metadata"),
    ],
)
def test_metadata_has_bounds(metadata, code, param):
    with pytest.raises(WireError) as caught:
        Fields({"metadata": metadata}).metadata()
    assert (caught.value.code, caught.value.param) == (code, param)


def test_metadata_at_its_bounds_is_right():
    pairs = {f"{n:064}": "v" * 512 for n in range(16)}
    assert Fields({"metadata": pairs}).metadata() == pairs


def test_a_body_is_an_object():
    assert read_body(b'{"a": 1}').values == {"a": 1}
    for body in (b"", b"{", b"[]", b"\xff", b'{"a": "\\ud800"}'):
        with pytest.raises(WireError):
            read_body(body)


def nested(depth: int) -> bytes:
    """An object nested so deep."""
    return b'{"a": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_a_body_is_nested_only_so_deep():
    """What is kept of a request is written again, within more around it."""
    assert json.dumps(read_body(nested(200)).values).encode() == nested(200)
    for deep in (nested(201), nested(900), b'{"a": [{}, ' + nested(199) + b"]}"):
        with pytest.raises(WireError, match="nested more than 200 deep") as caught:
            read_body(deep)
        assert caught.value.status == 400
    wide = b'{"a": [' + b",".join([b"[{}]"] * 500) + b"]}"
    assert len(read_object(wide)["a"]) == 500


def test_what_could_not_be_written_again_is_refused():
    deep = b'{"item": ' + b'{"a": ' * 300 + b"1" + b"}" * 300 + b"}"
    with pytest.raises(WireError, match="nested too deep") as caught:
        writable(Fields(json.loads(deep)).inner("item"))
    assert caught.value.param == "item"
    assert writable(Fields(BODY)) is BODY
