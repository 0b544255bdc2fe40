from __future__ import annotations

import pytest

from stillhouse.data.layouts import build_pieces, complete, take_apart


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": "x"}',
        '{ "a":1 ,\n\t"b" : {"c": [1, 2]}\n}',
        '```json\n{"a": "}", "b": "caf\\u00e9"}\n```',
        '```\n{"a": null}```',
    ],
)
def test_an_answer_put_together_again_is_the_same_to_the_byte(text):
    apart = take_apart(text)
    assert apart is not None
    names = list(apart.values)
    pieces = build_pieces(apart.layout, {}, {name: index for index, name in enumerate(names)})
    values = [piece if isinstance(piece, str) else apart.values[names[piece]] for piece in pieces]
    assert "".join(values) == text
    assert all(text.startswith(apart.values[name], start) for name, start in apart.starts.items())


@pytest.mark.parametrize(
    "text",
    ["", "refund", "{}", "[1]", '{"a": 1', '{"a": 1} thanks', '{"a" 1}', '{"a": 1, "a": 2}', '```{"a": 1}', "{a}"],
)
def test_everything_else_is_no_object(text):
    assert take_apart(text) is None


def test_constant_keys_become_literal_text_and_unwanted_ones_go():
    apart = take_apart('{"why": "so", "intent": "a", "v": 1, "level": 2}')
    assert apart is not None
    pieces = build_pieces(apart.layout, {"v": "1"}, {"intent": 0, "level": 1})
    assert pieces == ('{"intent": ', 0, ', "v": 1, "level": ', 1, "}")


def test_missing_keys_are_added_in_the_manner_of_the_others():
    apart = take_apart('{"a": 1,\n "b": 2}')
    assert apart is not None
    assert complete(apart.layout, ["a", "c"]).keys[-1] == ("c", ",\n ", '"c": ')
