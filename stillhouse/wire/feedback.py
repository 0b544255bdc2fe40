"""The JSON of feedback and reviews, our addition: what people say of answers, and items that wait to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import Fields, one_of, read_body, wrong_type

__all__ = [
    "LONGEST_COMMENT",
    "LONGEST_NAME",
    "RATINGS",
    "STATES",
    "VERDICTS",
    "NewFeedback",
    "NewVerdict",
    "read_feedback",
    "read_verdict",
    "write_deleted_feedback",
    "write_feedback",
    "write_feedback_list",
    "write_review",
    "write_review_list",
]

RATINGS = ("up", "down")
STATES = ("waiting", "done", "skipped")
VERDICTS = ("right", "wrong", "skip")
LONGEST_COMMENT, LONGEST_NAME, LONGEST_ANSWER = 10_000, 256, 1_000_000
ANSWER_KEYS = ("role", "content", "tool_calls", "refusal")
SAYS = ("rating", "correction", "comment", "rejected", "rejected_completion_id")
VERDICT_KEYS = ("verdict", "correction", "label", "preferred", "comment", "reviewer")

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NewFeedback:
    """Feedback as it was sent; `content` is what is kept of it."""

    completion: str
    content: Mapping[str, Any]
    rejected_completion: str | None
    """A stored completion whose answer was liked less."""


@dataclass(frozen=True, slots=True)
class NewVerdict:
    """What somebody said of an item; `skips`: nothing."""

    skips: bool
    content: Mapping[str, Any]


def read_feedback(body: bytes) -> NewFeedback:
    """Feedback from a request; raises WireError where it says nothing, or something that nobody knows."""
    fields = read_body(body)
    _check_known(fields, ("completion_id", "reviewer", "metadata", *SAYS))
    completion, other = fields.text("completion_id", longest=128), fields.text_or_none("rejected_completion_id")
    found: dict[str, Any] = {}
    if fields.get("rating") is not None:
        found["rating"] = fields.choice("rating", RATINGS)
    for name in ("correction", "rejected"):
        if fields.get(name) is not None:
            found[name] = _answer(fields, name)
    if fields.get("rejected") is not None and other is not None:
        raise WireError("Give 'rejected' or 'rejected_completion_id', not both.", "invalid_value", "rejected")
    if other == completion:
        words = "Invalid 'rejected_completion_id': it is the completion that was preferred."
        raise WireError(words, "invalid_value", "rejected_completion_id")
    found |= _people(fields)
    if not any(fields.get(name) is not None for name in SAYS):
        words = f"This feedback says nothing. Give at least one of: {', '.join(SAYS)}."
        raise WireError(words, "missing_required_parameter", "rating")
    if fields.get("metadata") is not None:
        found["metadata"] = dict(fields.metadata())
    return NewFeedback(completion, found, other)


def read_verdict(body: bytes) -> NewVerdict:
    """What is said of a review; raises WireError.

    `right` needs nothing more; `wrong` a `correction`, a `label`, or of two answers the one that is `preferred`.
    """
    fields = read_body(body)
    _check_known(fields, VERDICT_KEYS)
    verdict = fields.choice("verdict", VERDICTS)
    found: dict[str, Any] = {"verdict": verdict} | _people(fields)
    if fields.get("correction") is not None:
        found["correction"] = _answer(fields, "correction")
    if fields.get("label") is not None:
        found["label"] = _filled(fields.text("label", longest=LONGEST_NAME), "label")
    if fields.get("preferred") is not None:
        found["preferred"] = one_of(fields.get("preferred"), ("answer", "rejected"), "preferred")
    said = [name for name in ("correction", "label", "preferred") if name in found]
    if verdict != "wrong" and said:
        words = f"Invalid '{said[0]}': it goes with the verdict 'wrong'."
        raise WireError(words, "invalid_value", said[0])
    return NewVerdict(verdict == "skip", found)


def _people(fields: Fields) -> dict[str, Any]:
    """Who said it, and in which words."""
    found = {
        "comment": fields.text_or_none("comment", longest=LONGEST_COMMENT),
        "reviewer": fields.text_or_none("reviewer", longest=LONGEST_NAME),
    }
    return {name: value for name, value in found.items() if value is not None}


def _answer(fields: Fields, name: str) -> Message:
    """An answer as a message of the assistant: given as a text, or as a message."""
    value = fields.get(name)
    if isinstance(value, str):
        if len(value) > LONGEST_ANSWER:
            words = f"Invalid '{fields.at(name)}': string too long. Expected at most {LONGEST_ANSWER} characters, got"
            raise WireError(f"{words} {len(value)}.", "string_above_max_length", fields.at(name))
        return {"role": "assistant", "content": _filled(value, fields.at(name))}
    if not isinstance(value, dict):
        raise wrong_type(fields.at(name), "a string or a message", value)
    inner = fields.inner(name)
    _check_known(inner, ANSWER_KEYS)
    one_of(inner.get("role") or "assistant", ("assistant",), inner.at("role"))
    kept = {key: inner.get(key) for key in ("content", "tool_calls", "refusal") if inner.get(key) is not None}
    if not any(kept.values()):
        raise WireError(f"Invalid '{fields.at(name)}': it says nothing.", "invalid_value", fields.at(name))
    if not isinstance(kept.get("content", ""), str | list):
        raise wrong_type(inner.at("content"), "a string or an array", kept["content"])
    return {"role": "assistant", "content": None, **kept}


def _filled(value: str, path: str) -> str:
    if not value.strip():
        raise WireError(f"Invalid '{path}': it is empty.", "invalid_value", path)
    return value


def _check_known(fields: Fields, known: Sequence[str]) -> None:
    unknown = sorted(set(fields.values) - set(known))
    if unknown:
        words = f"Unknown parameter: '{fields.at(unknown[0])}'. Known are: {', '.join(known)}."
        raise WireError(words, "unknown_parameter", fields.at(unknown[0]))


def write_feedback(feedback_id: str, created: int, completion: str, content: bytes) -> bytes:
    """The JSON of one."""
    return orjson.dumps(_feedback(feedback_id, created, completion, content))


def write_feedback_list(rows: Sequence[tuple[str, int, str, bytes]], has_more: bool) -> bytes:
    """The JSON of a page: id, creation time, completion and content of each."""
    data = [_feedback(*row) for row in rows]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return orjson.dumps({"object": "list", "data": data, **ends, "has_more": has_more})


def write_deleted_feedback(feedback_id: str) -> bytes:
    """The JSON of one that is there no more."""
    return orjson.dumps({"id": feedback_id, "object": "feedback.deleted", "deleted": True})


def _feedback(feedback_id: str, created: int, completion: str, content: bytes) -> dict[str, Any]:
    told = cast("dict[str, Any]", orjson.loads(content))
    said = {name: told.get(name) for name in ("rating", "correction", "rejected", "comment", "reviewer")}
    found = {"id": feedback_id, "object": "feedback", "created_at": created, "completion_id": completion}
    return {**found, **said, "metadata": told.get("metadata") or {}}


def write_review(review_id: str, created: int, state: str, worth: float, content: bytes) -> bytes:
    """The JSON of one."""
    return orjson.dumps(_review(review_id, created, state, worth, content))


def write_review_list(rows: Sequence[tuple[str, int, str, float, bytes]], counts: Mapping[str, int]) -> bytes:
    """The JSON of some, and how many there are in each state."""
    told = {state: counts.get(state, 0) for state in STATES}
    return orjson.dumps({"object": "list", "data": [_review(*row) for row in rows], "counts": told})


def _review(review_id: str, created: int, state: str, worth: float, content: bytes) -> dict[str, Any]:
    told = cast("dict[str, Any]", orjson.loads(content))
    found: dict[str, Any] = {"id": review_id, "object": "review", "created_at": created, "status": state}
    return {**found, "worth": worth, "why": told.get("why") or [], "item": told.get("item"), "said": told.get("said")}
