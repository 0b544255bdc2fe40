"""Feedback as it is sent: an answer is a text or a message, and what says nothing is no feedback."""

from __future__ import annotations

import orjson
import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.feedback import read_feedback, read_verdict, write_feedback, write_feedback_list


def test_a_correction_may_be_a_text_or_a_message_with_calls_of_tools():
    text = read_feedback(b'{"completion_id":"c","correction":"yes"}')
    assert text.content == {"correction": {"role": "assistant", "content": "yes"}}
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    sent = {"completion_id": "c", "correction": {"tool_calls": [call]}}
    message = read_feedback(orjson.dumps(sent))
    assert message.content["correction"] == {"role": "assistant", "content": None, "tool_calls": [call]}


def test_what_is_not_said_is_not_kept():
    told = read_feedback(b'{"completion_id":"c","rating":"up","comment":null,"metadata":{"page":"2"}}')
    assert told.content == {"rating": "up", "metadata": {"page": "2"}}
    assert told.rejected_completion is None


@pytest.mark.parametrize(
    "body", ["[]", "{}", '{"completion_id":"c","rating":"up","correction":"%s"}' % ("x" * 1_000_001)]
)
def test_what_is_no_feedback_is_refused(body):
    with pytest.raises(WireError):
        read_feedback(body.encode())


def test_another_answer_is_given_in_one_way():
    with pytest.raises(WireError, match="not both"):
        read_feedback(b'{"completion_id":"c","rejected":"no","rejected_completion_id":"d"}')


def test_a_verdict_says_what_is_right():
    told = read_verdict(b'{"verdict":"wrong","label":"b","comment":"clear"}')
    assert (told.skips, told.content) == (False, {"verdict": "wrong", "comment": "clear", "label": "b"})
    assert read_verdict(b'{"verdict":"skip"}').skips


def test_a_page_names_its_ends():
    assert orjson.loads(write_feedback_list([], has_more=False))["first_id"] is None
    rows = [(f"fb_{number}", number, "c", b'{"rating":"up"}') for number in (2, 1)]
    page = orjson.loads(write_feedback_list(rows, has_more=True))
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("fb_2", "fb_1", True)
    assert page["data"][0] == orjson.loads(write_feedback(*rows[0]))
