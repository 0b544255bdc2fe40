"""Places are filled in by paths alone: what is there, as it is; what is not there, by name."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import TemplateError
from stillhouse.evaluation.templates import fill, fill_messages, look_up, places, read_path, refer_to_messages
from stillhouse.wire.fields import Fields
from stillhouse.wire.prompts import read_prompt
from stillhouse.wire.samples import read_sample, sample_of_text

CALL = {"id": "c", "type": "function", "function": {"name": "quote", "arguments": '{"symbols": ["A", "B"]}'}}
SAMPLE = read_sample(
    {"choices": [{"message": {"role": "assistant", "content": '{"a": {"b": 1.50}}', "tool_calls": [CALL]}}]}, "sample"
).variables
VARIABLES = {
    "item": {"x": "é", "n": 3, "f": 0.1, "yes": True, "none": None, "list": [1, {"a": "b"}], "my key": "k", "a-b": "d"},
    "sample": SAMPLE,
}
names = st.text("abcé_- 0", min_size=1, max_size=4).map(str.strip).filter(bool)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{{item.x}}", "é"),
        ("{{ item.x }}{{item.x}}", "éé"),
        ("<{{item.n}}|{{item.f}}|{{item.yes}}|{{item.none}}>", "<3|0.1|true|null>"),
        ("{{item.list}}", '[1,{"a":"b"}]'),
        ("{{item.list[1].a}}", "b"),
        ("{{item.my key}} {{item.a-b}}", "k d"),
        ("{{sample.output_text}}", '{"a": {"b": 1.50}}'),
        ("{{sample.output_json.a.b}}", "1.5"),
        ("{{sample.output_json}}", '{"a":{"b":1.5}}'),
        ("{{sample.output_tools[0].function.name}}", "quote"),
        ("{{sample.output_tools[0].function.arguments}}", '{"symbols": ["A", "B"]}'),
        ("{{sample.output_tools[0].function.arguments.symbols}}", '["A","B"]'),
        ("{{sample.output_tools[0].function.arguments.symbols[1]}}", "B"),
        ("{{sample.choices[0].message.role}}", "assistant"),
        ('{"answer": {{item.n}}}', '{"answer": 3}'),
        ("{{{item.n}}}", "{3}"),
        ('no place: {{"a": {1}}} { {item.x} } {{item.x}', 'no place: {{"a": {1}}} { {item.x} } {{item.x}'),
        ("", ""),
    ],
)
def test_what_is_there_is_filled_in(template, filled):
    assert fill(template, VARIABLES) == filled


def test_what_is_filled_in_is_not_read_again():
    assert fill("{{item.a}}", {"item": {"a": "{{item.b}}", "b": "no"}}) == "{{item.b}}"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{item.y}}", "There is no 'item.y': 'item' has only 'x', 'n'"),
        ("{{item.list[2]}}", "'item.list' is an array of 2"),
        ("{{item.list.a}}", "'item.list' is an array of 2"),
        ("{{item.x.y}}", "'item.x' is 'é', which has no parts"),
        ("{{item[0]}}", "There is no 'item[0]'"),
        ("{{item.n[0]}}", "'item.n' is '3'"),
        ("{{sample.output_json.a.c}}", "There is no 'sample.output_json.a.c': 'sample.output_json.a' has only 'b'"),
        ("{{sample.output_tools[1].id}}", "'sample.output_tools' is an array of 1"),
        ("{{sample.output_audio}}", "There is no 'sample.output_audio'"),
    ],
)
def test_what_is_not_there_is_named_with_where_the_path_ends(template, told):
    with pytest.raises(TemplateError) as caught:
        fill(template, VARIABLES)
    assert told in str(caught.value)


def test_text_that_is_no_json_and_no_sample_at_all_are_told_apart():
    with pytest.raises(TemplateError, match="the sample's text is not JSON"):
        fill("{{sample.output_json.a}}", {"item": {}, "sample": sample_of_text("hello").variables})
    with pytest.raises(TemplateError, match="no sample is given"):
        fill("{{sample.output_text}}", {"item": {}})


@pytest.mark.parametrize(
    "template",
    ["{{}}", "{{ }}", "{{x}}", "{{item}}", "{{sample}}", "{{items.x}}", "{{item.}}", "{{item..x}}", "{{item.x[}}",
     "{{item.x[a]}}", "{{item.x[-1]}}", "{{item.x | upper}}", "{{item.x()}}", "{{ITEM.x}}", "{{other.item.x}}"],
)  # fmt: skip
def test_what_is_no_path_is_refused_and_never_computed(template):
    with pytest.raises(TemplateError, match="not a place to fill in"):
        fill(template, VARIABLES)


def test_arithmetic_is_a_field_that_is_not_there():
    with pytest.raises(TemplateError, match=r"There is no 'item.n \+ 1'"):
        fill("{{item.n + 1}}", VARIABLES)


def test_places_are_listed_in_order():
    assert list(places("{{item.a[0].b}} {{ sample.output_text }}")) == [
        ("item", "a", 0, "b"),
        ("sample", "output_text"),
    ]


@given(values)
def test_every_value_comes_back_from_its_place(value):
    filled = fill("{{item.v}}", {"item": {"v": value}})
    assert filled == value if isinstance(value, str) else json.loads(filled) == value


@given(st.text())
def test_text_without_two_braces_is_left_alone(text):
    if "{{" not in text:
        assert fill(text, {}) == text


@given(st.lists(names | st.integers(0, 2), min_size=1, max_size=4), values)
def test_a_path_finds_what_lies_at_its_end(steps, value):
    nested = value
    for step in reversed(steps):
        nested = [None] * step + [nested] if isinstance(step, int) else {step: nested}
    text = "item.v" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    assert read_path(text) == ("item", "v", *steps)
    assert look_up(read_path(text), {"item": {"v": nested}}) == value


def test_messages_are_filled_in_part_by_part_and_written_for_chat():
    prompt = read_prompt(
        Fields(
            {
                "input": [
                    {"role": "developer", "content": "Judge {{item.x}}."},
                    {"role": "user", "content": {"type": "input_text", "text": "{{sample.output_json.a.b}}"}},
                    {
                        "type": "message",
                        "role": "assistant",
                        "content": [
                            "plain {{item.n}}",
                            {"type": "output_text", "text": "{{item.yes}}"},
                            {"type": "input_image", "image_url": "data:{{item.x}}", "detail": "low"},
                            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                        ],
                    },
                ]
            }
        ),
        "input",
    )
    assert fill_messages(prompt, VARIABLES) == [
        {"role": "developer", "content": "Judge é."},
        {"role": "user", "content": "1.5"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "plain 3"},
                {"type": "text", "text": "true"},
                {"type": "image_url", "image_url": {"url": "data:é", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            ],
        },
    ]


def test_a_reference_gives_the_conversation_that_lies_there():
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]
    messages = [
        {"role": "user", "content": "hello {{item.x}}"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "7", "tool_call_id": "c"},
        {"role": "user", "content": parts},
    ]
    assert refer_to_messages("item.input", {"item": {"input": messages}}) == messages


@pytest.mark.parametrize("found", ["text", [], [3], [{"role": "boss", "content": "x"}], [{"role": "user"}]])
def test_a_reference_to_something_else_is_refused(found):
    with pytest.raises(TemplateError, match=r"'item\.input' holds no conversation"):
        refer_to_messages("item.input", {"item": {"input": found}})


def test_what_is_nested_too_deep_is_told():
    deep: dict = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(TemplateError, match="too deep"):
        fill("{{item.v}}", {"item": {"v": deep}})
