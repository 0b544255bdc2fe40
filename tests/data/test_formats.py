from __future__ import annotations

import gzip
import json

import pytest

from stillhouse.chat import Message
from stillhouse.data.formats import Row, parse_row, read_lines
from stillhouse.errors import BadRow, TrafficError

USER = {"role": "user", "content": "where is it"}
ANSWER = {"role": "assistant", "content": "order"}


def row(**data) -> Row:
    parsed = parse_row(json.dumps(data).encode(), "calls.jsonl", 1)
    assert isinstance(parsed, Row), parsed
    return parsed


def reason(line: bytes | dict) -> str:
    parsed = parse_row(line if isinstance(line, bytes) else json.dumps(line).encode(), "calls.jsonl", 7)
    assert isinstance(parsed, BadRow)
    assert (parsed.file, parsed.line) == ("calls.jsonl", 7)
    return parsed.reason


def test_fine_tuning_rows():
    parsed = row(
        messages=[{"role": "system", "content": "Sort."}, USER, ANSWER], truth="parcel", thread_id=5, model="m"
    )
    assert parsed.messages == (Message("system", "Sort."), Message("user", "where is it"))
    assert (parsed.answer, parsed.truth, parsed.conversation, parsed.teacher) == ("order", "parcel", "5", "m")
    assert row(messages=[USER]).answer is None
    assert row(messages=[USER, ANSWER, USER, {"role": "assistant", "content": "b"}]).answer == "b"


def test_content_may_be_text_parts():
    parts = [{"type": "text", "text": "where "}, {"type": "text", "text": "is it"}]
    assert row(messages=[{"role": "user", "content": parts}, ANSWER]).messages[0].content == "where is it"


@pytest.mark.parametrize("request_key", ["messages", "input", "request"])
def test_stored_completions_with_their_request_and_log_probabilities(request_key):
    logprobs = {
        "content": [
            {"token": "or", "logprob": -0.1, "bytes": None, "top_logprobs": [{"token": "re", "logprob": -2.5}]},
            {"token": "der", "logprob": 0.0, "top_logprobs": []},
        ]
    }
    parsed = row(
        object="chat.completion",
        model="large-1",
        metadata={"session_id": "s1"},
        choices=[{"index": 0, "message": ANSWER, "finish_reason": "stop", "logprobs": logprobs}],
        **{request_key: {"messages": [USER]} if request_key == "request" else [USER]},
    )
    assert (parsed.answer, parsed.teacher, parsed.conversation) == ("order", "large-1", "s1")
    assert parsed.soft[0].top == (("re", -2.5),)
    assert parsed.soft[1].token == "der"


def test_prompt_and_completion_rows():
    assert row(prompt="where is it", completion=" order").answer == " order"
    assert row(prompt="where is it").answer is None
    assert row(prompt="where", completion=None, truth={"a": 1}).truth == '{"a": 1}'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"prompt": "a", ', "it is not valid JSON"),
        (b'{"prompt": "\xff"}', "it is not valid JSON"),
        (b"[1]", "it is an array, not a JSON object"),
        (b"7", "it is a number, not a JSON object"),
        ({"text": "a", "label": "b"}, 'it has none of "messages", "choices" and "prompt" (its keys: text, label)'),
        ({"messages": []}, "its messages are not a list with at least one message"),
        ({"messages": ["hello"]}, "message 1 is not a JSON object"),
        ({"messages": [{"role": "bot", "content": "a"}]}, 'message 1 has the role "bot"; roles are system'),
        ({"messages": [{"content": "a"}]}, "message 1 has no role"),
        ({"messages": [USER, {"role": "system", "content": "a"}]}, 'its last message is from "system"'),
        ({"messages": [{"role": "system", "content": "a"}, ANSWER]}, "it has no user message before the answer"),
        ({"messages": [USER, ANSWER, ANSWER]}, "its last two messages are both from the assistant"),
        ({"messages": [USER, {**ANSWER, "weight": 0}]}, "its answer has weight 0"),
        ({"messages": [USER, {**ANSWER, "content": " "}]}, "its answer is empty"),
        ({"messages": [USER, {**ANSWER, "content": None}]}, "its answer has no content"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [{}]}]}, "its answer calls a tool"),
        ({"messages": [USER, {**ANSWER, "content": None, "refusal": "no"}]}, "its answer is a refusal"),
        ({"messages": [{"role": "user"}, ANSWER]}, "message 1 has no content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}, ANSWER]},
            'message 1 has a part of type "image_url"; only text can be used',
        ),
        ({"prompt": 3}, 'its "prompt" is not a text'),
        ({"prompt": "a", "completion": ["b"]}, 'its "completion" is not a text'),
        ({"choices": [{"message": ANSWER}]}, "it is a stored completion without its request"),
        ({"choices": [], "messages": [USER]}, 'its "choices" hold no answer'),
        (
            {"choices": [{"message": ANSWER, "finish_reason": "length"}], "messages": [USER]},
            "its answer was cut off (finish_reason length)",
        ),
    ],
)
def test_rows_that_cannot_be_used_say_why(line, expected):
    assert reason(line).startswith(expected)


def test_gzip_is_told_by_content_and_blank_lines_count_as_lines(tmp_path):
    path = tmp_path / "calls.jsonl"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"prompt": "a"}\n\n{"prompt": "b"}\n'))
    parsed = [parse_row(line, "calls.jsonl", number) for number, line in read_lines(path)]
    assert [(row.line, row.messages[0].content) for row in parsed if isinstance(row, Row)] == [(1, "a"), (3, "b")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a picture"),
        (b"\x01\x02\0\x03", "is a binary file"),
        ('{"prompt": "a"}'.encode("utf-16"), "is UTF-16 text"),
        (b'[{"prompt": "a"},\n {"prompt": "b"}]', "holds one JSON array"),
        (b'{\n  "prompt": "a"\n}\n', "spread over several lines"),
        (gzip.compress(b'{"prompt": "a"}\n' * 5000)[:-20], "Is it complete?"),
    ],
)
def test_files_that_are_no_traffic_are_one_clear_error(tmp_path, content, message):
    path = tmp_path / "calls.jsonl"
    path.write_bytes(content)
    with pytest.raises(TrafficError, match=r"calls\.jsonl") as error:
        list(read_lines(path))
    assert message in str(error.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(TrafficError, match="does not exist"):
        list(read_lines(tmp_path / "none.jsonl"))
    with pytest.raises(TrafficError, match="is a folder"):
        list(read_lines(tmp_path))
