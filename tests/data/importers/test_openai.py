from __future__ import annotations

import json

from stillhouse.data.importers.openai import facts_of, read_openai
from stillhouse.data.items import Kind
from tests.data.importers.reading import ANSWER, CALL, USER, lines, read

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def one(tmp_path, row):
    items, bad = read(read_openai, lines(tmp_path / "calls.jsonl", row))
    assert not bad.count, bad.listed()
    return items[0]


def test_fine_tuning_rows_keep_tools_weights_and_what_is_unknown(tmp_path):
    messages = [USER, {**ANSWER, "weight": 0}, USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    row = {
        "messages": messages,
        "tools": TOOLS,
        "parallel_tool_calls": False,
        "metadata": {"subject": "ada"},
        "seen": 3,
    }
    item = one(tmp_path, row)
    assert (item.kind, item.messages, item.answer) == (Kind.CHAT, tuple(messages[:-1]), messages[-1])
    assert json.loads(item.facts.metadata["tools"]) == TOOLS
    assert item.facts.metadata["parallel_tool_calls"] == "false"
    assert (item.facts.subject, item.facts.metadata["seen"]) == ("ada", "3")
    assert (item.source.origin, item.source.row) == ("calls.jsonl", 1)


def test_preferences_by_their_new_and_old_names(tmp_path):
    worse = {"role": "assistant", "content": "no idea"}
    row = {"input": {"messages": [USER], "tools": TOOLS}, "preferred_output": [ANSWER], "non_preferred_output": [worse]}
    item = one(tmp_path, row)
    assert (item.kind, item.messages, item.answer, item.rejected) == (Kind.PREFERENCE, (USER,), ANSWER, worse)
    assert "tools" in item.facts.metadata
    old = {"input": {"messages": [USER]}, "preferred_completion": [ANSWER], "non_preferred_completion": [worse]}
    assert one(tmp_path, old).rejected == worse


def test_stored_completions_with_their_request_in_any_place(tmp_path):
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "large-1",
        "choices": [{"index": 0, "message": ANSWER, "finish_reason": "stop", "logprobs": None}],
        "metadata": {"app": "desk", "session_id": "s1"},
        "input_user": "ada",
    }
    listed = {"object": "list", "data": [{"id": "m1", "role": "user", "content": "where is it", "content_parts": None}]}
    for more in ({"messages": [USER]}, {"input": [USER]}, {"request": {"messages": [USER]}}, {"messages": listed}):
        item = one(tmp_path, {**completion, **more})
        assert (item.messages, item.answer) == ((USER,), ANSWER)
        facts = item.facts
        assert (facts.model, facts.created, facts.subject) == ("large-1", 1_750_000_000, "ada")
        assert (facts.conversation, item.source.teacher) == ("s1", "large-1")
    assert one(tmp_path, {"completion": completion, "messages": [USER]}).answer == ANSWER
    two = {**completion, "messages": [USER], "choices": completion["choices"] * 2}
    assert len(read(read_openai, lines(tmp_path / "a", two))[0]) == 2


def test_a_page_of_a_list_is_its_rows_and_a_bad_one_costs_no_other(tmp_path):
    stored = {"object": "chat.completion", "model": "m", "choices": [{"message": ANSWER}], "messages": [USER]}
    page = {"object": "list", "data": [stored, {**stored, "messages": []}, stored], "has_more": False}
    items, bad = read(read_openai, lines(tmp_path / "a", page))
    assert [(item.answer, item.facts.model, item.source.teacher) for item in items] == [(ANSWER, "m", "m")] * 2
    assert bad.count == 1


def test_grades_lie_between_0_and_1(tmp_path):
    rows = [{"messages": [USER, ANSWER], "grade": grade} for grade in (0.5, 7, "good")]
    items, bad = read(read_openai, lines(tmp_path / "a", *rows))
    assert [item.facts.grade for item in items] == [0.5, None]
    assert "line 2: its grade is 7; grades are from 0 to 1" in bad.listed()


def test_prompts_and_batches(tmp_path):
    assert one(tmp_path, {"prompt": "where is it", "completion": "order"}).words == "order"
    batch = {"custom_id": "r1", "method": "POST", "body": {"model": "m", "messages": [USER]}}
    assert one(tmp_path, batch).facts.metadata == {"custom_id": "r1"}


def test_what_people_think_of_answers(tmp_path):
    assert one(tmp_path, {"messages": [USER, ANSWER], "label": True}).facts.grade == 1.0
    item = one(tmp_path, {"messages": [USER, ANSWER], "label": "order", "truth": {"a": 1}, "rationale": "so"})
    assert (item.label, item.truth, item.rationale) == ("order", '{"a":1}', "so")


def test_rows_that_are_none_are_named_with_the_reason(tmp_path):
    rows = [
        {"messages": []},
        {"text": "a"},
        {"messages": [ANSWER]},
        {"choices": []},
        {"input": {}, "preferred_output": []},
    ]
    items, bad = read(read_openai, lines(tmp_path / "a", *rows))
    assert (items, bad.count) == ([], 5)
    told = bad.listed()
    for words in (
        "at least one message",
        "its keys: text",
        "nothing that was asked",
        "without what was asked",
        '"input"',
    ):
        assert words in told


def test_facts_of_a_row_begin_with_ours_or_not():
    assert facts_of({"x_language": "de", "grade": 1}).language == "de"
