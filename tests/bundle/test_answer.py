from __future__ import annotations

import pytest

from stillhouse.bundle.answer import AnswerForm, Field, canonical, read_object

PLAIN = AnswerForm((Field(None, ("refund", "Where is it?\n", 'say "hi" 🙂')),), (0,))
JSON = AnswerForm(
    (Field("intent", ('"refund"', '"caf\\u00e9"', "null")), Field("level", ("3", '["a","b"]'))),
    ('```json\n{"v": 1, "intent": ', 0, ', "level": ', 1, "}\n```"),
)


@pytest.mark.parametrize("form", [PLAIN, JSON])
def test_every_answer_written_is_read_back(form):
    sizes = [len(field.labels) for field in form.fields]
    for index in range(max(sizes)):
        labels = tuple(min(index, size - 1) for size in sizes)
        assert form.read("".join(form.write(labels))) == labels


def test_plain_answers_differ_in_outer_white_space_only():
    assert PLAIN.read("  Where is it?") == (1,)
    assert PLAIN.read("where is it?") is None
    assert "".join(PLAIN.write([1])) == "Where is it?\n"


def test_json_answers_are_compared_by_value():
    assert JSON.read('{"level":[ "a", "b" ],"intent":"café","v":1}') == (1, 1)
    assert JSON.read('```\n{"intent": "refund", "level": 3}\n```') == (0, 0)
    assert JSON.read('{"level": 3}') == (2, 0), "a missing key counts as null"
    assert JSON.read('{"level": 3, "intent": "refund", "why": "because"}') == (0, 0), "other keys are passed over"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("refund", 'its answer "refund" is not a JSON object as the others are'),
        ('{"intent": "x", "level": 3}', '"intent" in its answer is "x", not one of its 3 values'),
        ('{"v": 2, "intent": "refund", "level": 3}', '"v" in its answer has another value than in all other rows'),
    ],
)
def test_answers_of_another_form_are_refused_with_a_reason(text, reason):
    assert JSON.read(text) is None
    assert JSON.explain(text) == reason


def test_an_unknown_plain_answer_is_quoted_in_the_reason():
    assert PLAIN.explain("x" * 100) == f'its answer "{"x" * 60}…" is not one of the 3 labels'


def test_labels_are_shown_without_their_json_quotes():
    assert [JSON.fields[0].show(index) for index in range(3)] == ["refund", "café", "null"]
    assert PLAIN.fields[0].show(2) == 'say "hi" 🙂'


def test_objects_are_read_bare_or_fenced_and_canonical_bytes_ignore_order():
    assert read_object('{"a": 1}') == read_object(' ```json\n{"a": 1}\n``` ') == {"a": 1}
    assert read_object("[1]") is read_object('{"a": 1} and more') is None
    assert canonical({"b": 1, "a": [2]}) == b'{"a":[2],"b":1}'
