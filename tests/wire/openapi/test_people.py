"""The schemas of feedback and reviews hold of what is written, and of what is read."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.feedback import (
    read_feedback,
    read_verdict,
    write_deleted_feedback,
    write_feedback,
    write_feedback_list,
    write_review,
    write_review_list,
)
from stillhouse.wire.openapi.people import operations
from tests.wire.openapi.schemas import mismatch


@pytest.mark.parametrize(
    "said",
    [
        {"rating": "up"},
        {"rating": "down", "correction": "x", "comment": "c", "reviewer": "r", "metadata": {"a": "b"}},
        {"correction": {"role": "assistant", "content": "x"}},
        {"rejected": "x"},
        {"rejected_completion_id": "d"},
    ],
)
def test_what_is_allowed_is_read(said):
    body = {"completion_id": "c", **said}
    assert mismatch("NewFeedback", body) is None
    assert read_feedback(json.dumps(body).encode()).completion == "c"


@pytest.mark.parametrize("wrong", [{"rating": "good"}, {"correction": 7}, {"comment": ["x"]}, {"correction": " "}])
def test_what_is_not_allowed_is_refused(wrong):
    body = {"completion_id": "c", "rating": "up", **wrong}
    assert mismatch("NewFeedback", body) is not None
    with pytest.raises(WireError):
        read_feedback(json.dumps(body).encode())


@pytest.mark.parametrize(("verdict", "well"), [("right", True), ("wrong", True), ("skip", True), ("so", False)])
def test_verdicts_are_three(verdict, well):
    body = {"verdict": verdict}
    assert (mismatch("NewVerdict", body) is None) == well
    if well:
        read_verdict(json.dumps(body).encode())


def test_what_is_written_is_as_told():
    content = json.dumps({"rating": "up", "correction": {"role": "assistant", "content": "x"}}).encode()
    review = json.dumps({"item": {"kind": "text"}, "why": ["x"]}).encode()
    written = {
        "Feedback": write_feedback("fb_1", 1, "c", content),
        "Review": write_review("review_1", 1, "waiting", 0.5, review),
        "Reviews": write_review_list([("review_1", 1, "waiting", 0.5, review)], {"waiting": 1}),
    }
    for name, body in written.items():
        assert mismatch(name, json.loads(body)) is None
    page, gone = operations()["GET", "/v1/feedback"], operations()["DELETE", "/v1/feedback/{feedback_id}"]
    assert mismatch(page, json.loads(write_feedback_list([("fb_1", 1, "c", content)], False))) is None
    assert mismatch(gone, json.loads(write_deleted_feedback("fb_1"))) is None
