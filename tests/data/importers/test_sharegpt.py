from __future__ import annotations

from stillhouse.data.importers.sharegpt import read_sharegpt
from stillhouse.data.items import Kind
from tests.data.importers.reading import ANSWER, USER, lines, read

ASKED = {"from": "human", "value": "where is it"}


def test_turns_tools_and_what_is_known_beside(tmp_path):
    turns = [
        ASKED,
        {"from": "function_call", "value": '{"name": "look", "arguments": {"id": 7}}'},
        {"from": "observation", "value": "lost"},
        {"from": "gpt", "value": "order"},
    ]
    [item], _ = read(
        read_sharegpt, lines(tmp_path / "a", {"id": "c1", "system": "Sort.", "conversations": turns, "tools": "[]"})
    )
    assert [each["role"] for each in item.messages] == ["system", "user", "assistant", "tool"]
    assert item.messages[2]["tool_calls"][0]["id"] == item.messages[3]["tool_call_id"]
    assert (item.answer, item.facts.conversation) == (ANSWER, "c1")


def test_two_answers_and_bad_rows(tmp_path):
    pair = {
        "conversations": [ASKED],
        "chosen": {"from": "gpt", "value": "a"},
        "rejected": {"from": "gpt", "value": "b"},
    }
    rows = [pair, {"conversations": []}, {"conversations": [{"from": "robot", "value": "x"}]}]
    [item], bad = read(read_sharegpt, lines(tmp_path / "a", *rows))
    assert (item.kind, item.messages, item.words) == (Kind.PREFERENCE, (USER,), "a")
    assert "turn 1 is from 'robot'" in bad.listed()
