from __future__ import annotations

import json

from stillhouse.data.exporters.sharegpt import write_sharegpt
from tests.data.exporters.made_items import ALONE, CHAT, PAIR, TOOL


def test_turns_tools_and_two_answers(tmp_path):
    done = write_sharegpt([CHAT, TOOL, PAIR, ALONE], tmp_path / "a")
    first, second, third = (json.loads(line) for line in (tmp_path / "a").read_text().splitlines())
    assert (first["system"], first["conversations"][-1]) == ("Sort.", {"from": "gpt", "value": "order"})
    assert [turn["from"] for turn in second["conversations"]] == ["human", "function_call", "observation", "gpt"]
    assert json.loads(second["conversations"][1]["value"]) == {"name": "look", "arguments": {"id": 7}}
    assert json.loads(second["tools"])[0]["function"]["name"] == "look"
    assert third["rejected"]["value"] == 'no, "never"\n'
    assert done.left_out == {"it has no answer": 1}
