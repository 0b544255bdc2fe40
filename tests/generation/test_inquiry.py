"""From blanks to requests, and from replies to words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stillhouse.data.items import Facts, Item, Kind, Method, Source
from stillhouse.generation.inquiry import (
    Inquiry,
    Unusable,
    answer_of,
    asking_instead,
    credit,
    json_of,
    lines_of,
    object_schema,
)
from stillhouse.generation.questions import Reply
from tests.generation.rules import Words


def reply(words, **more):
    return Reply("k", ({"message": {"role": "assistant", "content": words, **more}, "finish_reason": "stop"},))


def test_the_same_question_has_the_same_bytes():
    inquiry = Inquiry("large", Words("Say {what}"), {"temperature": 0.5, "max_completion_tokens": 9})
    one = inquiry.question("k", {"what": "this"}, object_schema("a", {"b": {"type": "string"}}))
    other = inquiry.question("other", {"what": "this"}, object_schema("a", {"b": {"type": "string"}}))
    assert one.body == other.body
    asked = json.loads(one.body)
    assert asked["messages"] == [{"role": "user", "content": "Say this"}]
    assert (asked["model"], asked["temperature"]) == ("large", 0.5)
    assert asked["response_format"]["json_schema"]["schema"]["required"] == ["b"]


def test_what_the_user_asks_for_goes_before_what_the_method_asks_for():
    inquiry = Inquiry("large", Words("x"), {"response_format": {"type": "json_object"}})
    asked = json.loads(inquiry.question("k", {}, object_schema("a", {})).body)
    assert asked["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "not answered"),
        (Reply("k", refused="policy"), "refused by the teacher: policy"),
        (Reply("k"), "fewer answers"),
        (Reply("k", ({"message": {"content": "half"}, "finish_reason": "length"},)), "cut off"),
        (Reply("k", ({"message": {"content": None, "refusal": "no"}},)), "it declined"),
        (reply("  "), "empty"),
        (Reply("k", ({"message": None},)), "declined"),
    ],
)
def test_what_cannot_be_used_is_said(given, reason):
    with pytest.raises(Unusable, match=reason):
        answer_of(given)


@pytest.mark.parametrize(
    "words", ['{"a": 1}', 'Here it is:\n```json\n{"a": 1}\n```\nDone.', 'Sure: {"a": 1}.', '```\n{"a": 1}```']
)
def test_json_is_found_among_words(words):
    assert json_of(reply(words)) == {"a": 1}


@pytest.mark.parametrize("words", ["[1]", "no", "{", "{'a': 1}"])
def test_what_is_no_object_is_said(words):
    with pytest.raises(Unusable, match="not JSON"):
        json_of(reply(words))


@pytest.mark.parametrize(
    "words",
    [
        '{"prompts": ["one thing", "another"]}',
        "1. one thing\n2. another",
        "Here are two:\n- one thing\n- another",
        "#1) one thing\n#2) another",
        '"one thing"\n"another"',
    ],
)
def test_lists_are_read_as_they_come(words):
    assert lines_of(reply(words), "prompts") == ["one thing", "another"]


def test_an_empty_list_is_said():
    with pytest.raises(Unusable, match="lists nothing"):
        lines_of(reply('{"prompts": []}'), "prompts")
    with pytest.raises(Unusable, match="cut off"):
        lines_of(Reply("k", ({"message": {"content": "1. a"}, "finish_reason": "length"},)), "prompts")


def test_whose_terms_hold():
    made = Item(Kind.CHAT, source=Source(Method.SYNTHETIC, teacher="one"))
    assert credit(made, "other") == "one+other"
    assert credit(made, "one") == "one"
    assert credit(Item(Kind.CHAT, source=Source(Method.CAPTURED, teacher="one")), "other") == "other"
    said = {"role": "assistant", "content": "a"}
    for asked in (
        Item(Kind.CHAT, answer=said, source=Source(Method.CAPTURED, teacher="one")),
        Item(Kind.CHAT, answer=said, facts=Facts(model="one")),
        Item(Kind.CHAT, answer=said, source=Source(Method.LABELLED, teacher="one+other")),
    ):
        assert credit(asked, "other") == "other"
        assert credit(asked, "other", keeps_answer=True) == "one+other"
        assert credit(replace(asked, answer=None), "other", keeps_answer=True) == "other"
    assert (Inquiry("m", Words("")).teacher, Inquiry("m", Words(""), called="big").teacher) == ("m", "big")


def test_another_question_keeps_what_was_said_before_and_what_is_shown():
    picture = {"type": "image_url", "image_url": {"url": "https://x.example/dog.png"}}
    before = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"})
    words = Item(Kind.CHAT, (*before, {"role": "assistant", "content": "Hello!"}))
    assert asking_instead(words, "Bye") == (before[0], {"role": "user", "content": "Bye"})
    assert asking_instead(Item(Kind.TEXT), "Bye") == ({"role": "user", "content": "Bye"},)
    seen = Item(Kind.CHAT, ({"role": "user", "content": [picture, {"type": "text", "text": "What?"}]},))
    assert asking_instead(seen, "Who?")[0]["content"] == [picture, {"type": "text", "text": "Who?"}]
