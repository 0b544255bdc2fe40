from __future__ import annotations

import json

import pytest

from stillhouse.inference.tool_calls import ToolCalls
from stillhouse.inference.words import Piece
from stillhouse.wire.choices import Token, ToolCall

ULM = '<tool_call>\n{"name": "weather", "arguments": {"town": "Ulm"}}\n</tool_call>'
BONN = ULM.replace("Ulm", "Bonn")


def read(text: str, size: int = 3, several: bool = True) -> tuple[str, list[tuple[int, str, str]]]:
    """The words and the calls of an answer that comes in pieces of some characters."""
    reader = ToolCalls(frozenset(["weather", "time"]), several)
    found = [part for at in range(0, len(text), size) for part in reader.add(Piece(text[at : at + size]))]
    found += reader.end()
    calls = [part for part in found if isinstance(part, ToolCall)]
    assert reader.count == len(calls)
    assert len({call.id for call in calls}) == len(calls)
    words = "".join(part.text for part in found if isinstance(part, Piece))
    return words, [(call.number, call.name, call.arguments) for call in calls]


@pytest.mark.parametrize("size", [1, 2, 7, 500])
def test_calls_in_tags_are_taken_out_of_the_text(size):
    calls = [(0, "weather", '{"town":"Ulm"}'), (1, "weather", '{"town":"Bonn"}')]
    assert read(f"{ULM}\n{BONN}", size) == ("", calls)
    assert read(f"I look. {ULM}\n{BONN}\nDone <b>.", size) == ("I look.\nDone <b>.", calls)
    assert read(f"\n\n{ULM}", size) == ("", calls[:1])


@pytest.mark.parametrize("key", ["arguments", "parameters"])
def test_an_answer_that_is_nothing_but_json_calls(key):
    call = {"name": "weather", key: {"town": "Ulm"}}
    expected = ("", [(0, "weather", '{"town":"Ulm"}')])
    assert read(json.dumps(call)) == expected
    assert read(f"\n{json.dumps([call])} ") == expected
    assert read(json.dumps({"type": "function", "function": call})) == expected
    assert len(read(json.dumps([call, call]))[1]) == 2


@pytest.mark.parametrize(
    "text",
    [
        "plain words, 1 < 2 and <tool",
        '{"name": "nobody", "arguments": {}}',
        '{"town": "Ulm"}',
        '{"name": "weather"}',
        "[1, 2]",
        '[{"name": "weather", "arguments": {}}, {"town": "Ulm"}]',
        "{ not JSON",
        "<tool_call>\nnot JSON\n</tool_call> and on",
        "<tool_call>",
        "  ",
    ],
)
def test_everything_else_is_text(text):
    assert read(text) == (text, [])


def test_a_call_that_the_end_cut_short_of_its_tag_counts():
    expected = [(0, "weather", '{"town":"Ulm"}')]
    assert read(ULM.removesuffix("\n</tool_call>")) == ("", expected)
    assert read("I look. " + ULM.removesuffix("</tool_call>")) == ("I look.", expected)


def test_only_the_first_call_where_several_may_not_be_made():
    assert read(f"{ULM}\n{BONN}", several=False) == ("", [(0, "weather", '{"town":"Ulm"}')])


def test_text_comes_at_once_and_its_tokens_with_it():
    reader = ToolCalls(frozenset(["weather"]))
    token = Token(b"words", 0.0)
    assert reader.add(Piece("words", (token,))) == [Piece("words", (token,))]
    assert reader.add(Piece(" <tool", (token,))) == []
    assert reader.add(Piece("box>", (token,))) == [Piece(" <toolbox>", (token, token))]
