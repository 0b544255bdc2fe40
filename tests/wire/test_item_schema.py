"""Items are held against their schema; schemas fetch nothing and never hang."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.wire.errors import WireError
from stillhouse.wire.item_schema import ItemSchema

SCHEMA = {
    "type": "object",
    "properties": {
        "q": {"type": "string", "pattern": "^[a-z ]+$", "maxLength": 20},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
    },
    "required": ["q"],
    "additionalProperties": False,
    "$defs": {"tag": {"enum": ["a", "b"]}},
}
READ = ItemSchema(SCHEMA, "s")


@pytest.mark.parametrize("item", [{"q": "what is it"}, {"q": "a", "tags": []}, {"q": "a", "tags": ["a", "b"]}])
def test_what_fits(item):
    assert ItemSchema(SCHEMA, "s").mismatch(item) is None


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({}, "item: 'q' is a required property"),
        ({"q": 3}, "item.q: 3 is not of type 'string'"),
        ({"q": "A"}, "item.q: 'A' does not match"),
        ({"q": "a", "tags": ["a", "z"]}, "item.tags[1]: 'z' is not one of ['a', 'b']"),
        ({"q": "a", "other": 1}, "item: Additional properties are not allowed"),
        ([], "item: [] is not of type 'object'"),
    ],
)
def test_what_does_not_fit_is_named_by_place(item, told):
    assert (ItemSchema(SCHEMA, "s").mismatch(item) or "").startswith(told)


@pytest.mark.parametrize(
    "schema",
    [{"type": "objekt"}, {"properties": []}, {"required": "q"}, {"pattern": "("}, {"items": {"pattern": "[z-a]"}},
     {"$schema": "http://json-schema.org/draft-07/schema#", "exclusiveMinimum": True}],
)  # fmt: skip
def test_what_is_no_schema_is_refused(schema):
    with pytest.raises(WireError) as caught:
        ItemSchema(schema, "data_source_config.item_schema")
    assert (caught.value.code, caught.value.param) == ("invalid_value", "data_source_config.item_schema")


def test_patterns_of_names_are_refused():
    with pytest.raises(WireError) as caught:
        ItemSchema({"patternProperties": {"(a+)+$": {}}}, "s")
    assert caught.value.code == "unsupported_feature"


def test_a_pattern_that_never_ends_is_given_up():
    started = time.monotonic()
    wrong = ItemSchema({"pattern": "^(a+)+$"}, "s").mismatch("a" * 40 + "b")
    assert wrong is not None
    assert time.monotonic() - started < 5


def test_references_elsewhere_are_never_fetched():
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            for reference in (f"http://127.0.0.1:{server.server_port}/x", "file:///etc/passwd", "#/$defs/none"):
                wrong = ItemSchema({"properties": {"q": {"$ref": reference}}}, "s").mismatch({"q": 1})
                assert "which is not in it" in (wrong or "")
        finally:
            server.shutdown()
            thread.join()
    assert asked == []


def test_a_schema_that_goes_in_circles_ends():
    assert "too deep" in (ItemSchema({"$ref": "#"}, "s").mismatch({}) or "")


def test_a_deep_schema_is_refused_or_read():
    schema: dict = {}
    for _ in range(5000):
        schema = {"items": schema}
    with pytest.raises(WireError, match="nested too deep"):
        ItemSchema(schema, "s")


def test_older_drafts_are_known():
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "items": [{"type": "string"}],
        "additionalItems": False,
    }
    assert ItemSchema(schema, "s").mismatch(["a", 1]) is not None
    assert ItemSchema(schema, "s").mismatch(["a"]) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["q", "tags", "x"]), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
def test_any_item_gets_a_verdict(item):
    wrong = READ.mismatch(item)
    assert wrong is None or wrong.startswith("item")
