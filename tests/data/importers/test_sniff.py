from __future__ import annotations

import gzip
import json

import pytest

from stillhouse.data.importers.sniff import sniff_format
from stillhouse.errors import StillhouseError, UsageError
from tests.data.importers.reading import ANSWER, USER, lines, picture

ROWS = [
    ("openai", {"messages": [USER, ANSWER]}),
    ("openai", {"id": "c", "object": "chat.completion", "choices": [], "created": 1}),
    ("openai", {"input": {"messages": [USER]}, "preferred_output": [ANSWER], "non_preferred_output": [ANSWER]}),
    ("openai", {"prompt": "a", "completion": "b"}),
    ("langfuse", {"id": "o", "traceId": "t", "type": "GENERATION", "input": "a", "output": "b", "model": "m"}),
    ("langfuse", {"data": [{"id": "o", "traceId": "t", "type": "SPAN", "input": "a"}], "meta": {}}),
    ("langfuse", {"id": "t", "timestamp": "2025-01-01", "input": "a", "output": "b"}),
    ("litellm", {"request_id": "r", "call_type": "acompletion", "messages": [USER], "response": {}, "session_id": "s"}),
    ("helicone", {"response_id": "r", "request_body": {"messages": [USER]}, "response_body": {}}),
    ("otlp", {"resourceSpans": []}),
    ("sharegpt", {"conversations": []}),
    ("alpaca", {"instruction": "a", "input": "", "output": "b"}),
    ("dpo", {"prompt": "a", "chosen": "b", "rejected": "c"}),
    ("jsonl", {"kind": "chat", "messages": [USER], "source": {}}),
    ("csv", {"text": "a", "label": "b"}),
    ("paired", {"file_name": "a.png", "text": "b"}),
]


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{number}-{name}" for number, (name, _) in enumerate(ROWS)])
def test_json_is_told_by_its_keys_in_any_wrapping(tmp_path, name, row):
    path = lines(tmp_path / "rows", row, row)
    assert sniff_format(path) == name
    path.write_bytes(gzip.compress(json.dumps([row, row], indent=1).encode()))
    assert sniff_format(path) == name


def test_tables_text_and_parquet(tmp_path):
    path = tmp_path / "a"
    for name, text in (
        ("csv", "text,label\na,b\n"),
        ("helicone", "response_id,request_body,cost\n1,{},2\n"),
        ("langfuse", "id,traceId,type,input\n1,2,3,4\n"),
        ("text", "Hello, world, this is a text.\n"),
        ("text", "one line\nanother\n"),
    ):
        path.write_text(text)
        assert sniff_format(path) == name
    path.write_bytes(b"PAR1....")
    assert sniff_format(path) == "huggingface"


def test_folders(tmp_path):
    for name, places in (
        ("images", ["red/a.png"]),
        ("paired", ["a.png", "a.txt"]),
        ("paired", ["metadata.csv", "a.png"]),
        ("huggingface", ["train/data.arrow", "state.json"]),
    ):
        folder = tmp_path / f"{name}{len(places)}{places[0][0]}"
        for place in places:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(picture())
        assert sniff_format(folder) == name


def test_what_is_none_of_these_is_described(tmp_path):
    with pytest.raises(UsageError, match="the keys of its first row are a, b"):
        sniff_format(lines(tmp_path / "a", {"a": 1, "b": 2}))
    with pytest.raises(UsageError, match="no row of it can be read"):
        sniff_format(lines(tmp_path / "b", [1], 2))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.xyz").write_text("x")
    with pytest.raises(UsageError, match=r"seen were: \.xyz"):
        sniff_format(tmp_path / "folder")
    (tmp_path / "empty").write_text("")
    for path in (tmp_path / "empty", tmp_path / "gone"):
        with pytest.raises(StillhouseError):
            sniff_format(path)
