"""What is kept of words: changed everywhere they stand, or none at all."""

from __future__ import annotations

import json
import re

from stillhouse.wire.words import answer_reworded, answer_without_words, reworded, sampling_only

PICTURE = {"type": "image_url", "image_url": {"url": "data:secret-free"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "find_ann", "arguments": '{"who": "Ann"}'}}


def hide(text: str) -> str:
    return re.sub("Ann", "[name]", text)


def test_every_text_is_changed_and_nothing_else():
    messages = [
        {"role": "user", "content": "I am Ann", "name": "Ann"},
        {"role": "user", "content": [{"type": "text", "text": "Ann again"}, PICTURE]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Ann found"},
    ]
    changed = reworded(messages, hide)
    assert changed[0] == {"role": "user", "content": "I am [name]", "name": "[name]"}
    assert changed[1]["content"] == [{"type": "text", "text": "[name] again"}, PICTURE]
    function = changed[2]["tool_calls"][0]["function"]
    assert function == {"name": "find_ann", "arguments": '{"who": "[name]"}'}
    assert changed[3]["content"] == "[name] found"
    assert messages[0]["content"] == "I am Ann", "what was asked is not touched"


def test_texts_are_changed_in_whichever_form_they_come():
    file = {"filename": "Ann.pdf", "file_data": "secret-free"}
    call = {"id": "c", "function": {"name": "find_ann", "arguments": {"who": ["Ann", {"Ann Lee": 1}], "n": 3}}}
    told = [
        {"role": "user", "name": "Dr_Ann", "content": ["Ann", {"type": "file", "file": file}]},
        {"role": "assistant", "content": None, "tool_calls": [call], "audio": {"id": "a", "transcript": "Ann"}},
        {"role": "tool", "name": "find_Ann", "content": {"text": "Ann"}},
    ]
    changed = reworded(told, hide)
    assert changed[0]["content"] == ["[name]", {"type": "file", "file": {**file, "filename": "[name].pdf"}}]
    assert changed[0]["name"] == "Dr_[name]"
    assert changed[1]["tool_calls"][0]["function"]["arguments"] == {"who": ["[name]", {"[name] Lee": 1}], "n": 3}
    assert changed[1]["tool_calls"][0]["function"]["name"] == "find_ann"
    assert changed[1]["audio"] == {"id": "a", "transcript": "[name]"}
    assert changed[2] == {"role": "tool", "name": "find_Ann", "content": {"text": "[name]"}}


def test_a_name_is_looked_at_as_words():
    from stillhouse.data.redact import Redactor

    redact = Redactor().text
    names = ["Ann_Lee", "user_1", "example_user", "system"]
    told = reworded([{"role": "user", "name": name} for name in names], redact)
    assert [each["name"] for each in told] == ["[PERSON]", *names[1:]]


def answer(text: str) -> dict:
    logprobs = {"content": [{"token": text, "logprob": 0, "top_logprobs": []}]}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
    return {"id": "x", "choices": [choice], "usage": {"total_tokens": 3}}


def test_log_probabilities_do_not_spell_what_was_changed():
    assert answer_reworded(answer("Ann"), hide)["choices"][0]["logprobs"] is None
    assert answer_reworded(answer("Bob"), hide) == answer("Bob")


def test_numbers_stay_when_words_go():
    kept = answer_without_words(
        {**answer("Ann"), "choices": [{**answer("Ann")["choices"][0], "finish_reason": "length"}]}
    )
    assert "Ann" not in json.dumps(kept)
    assert kept["choices"][0]["finish_reason"] == "length"
    assert kept["usage"] == {"total_tokens": 3}
    asked = {"seed": 7, "temperature": 0.5, "user": "ann", "tools": [CALL], "messages": ["Ann"]}
    assert sampling_only(asked) == {"seed": 7, "temperature": 0.5}
