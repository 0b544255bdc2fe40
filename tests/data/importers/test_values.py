from __future__ import annotations

import pytest

from stillhouse.data.importers.values import first, listed, metadata_of, parsed, rows_of, seconds, table_of, word


@pytest.mark.parametrize(
    "value",
    [
        1_750_000_000,
        1_750_000_000.9,
        "1750000000",
        1_750_000_000_123,
        "1750000000123456789",
        "2025-06-15T15:06:40Z",
        "2025-06-15 15:06:40.123000",
        "2025-06-15T17:06:40+02:00",
    ],
)
def test_times_in_any_unit_are_seconds(value):
    assert seconds(value) == 1_750_000_000


def test_what_says_no_time_is_none():
    assert [seconds(value) for value in (None, True, "soon", "")] == [None] * 4


def test_json_within_texts_is_read_and_the_rest_left():
    assert parsed(' {"a": 1}') == {"a": 1}
    assert parsed("{a}") == "{a}"
    assert table_of('{"a": 1}') == {"a": 1}
    assert table_of("[1]") == table_of(None) == {}
    assert rows_of('[{"a": 1}, 2]') == [{"a": 1}]
    assert first({"a": "", "b": "{}", "c": 0}, "a", "b", "c") == 0
    assert (word({"a": 1}), word(""), word("x")) == ('{"a":1}', None, "x")
    assert listed("a, b") == listed('["a", "b"]') == ("a", "b")
    assert metadata_of('{"a": 1, "b": null}', {"c": "x"}) == {"a": "1", "c": "x"}
