"""Feedback and reviews in the words of OpenAPI."""

from __future__ import annotations

from stillhouse.wire.feedback import LONGEST_COMMENT, LONGEST_NAME, RATINGS, STATES, VERDICTS
from stillhouse.wire.openapi.chat import cut
from stillhouse.wire.openapi.shapes import (
    JSON,
    Operation,
    Schema,
    array,
    asked,
    const,
    deleted,
    either,
    number,
    or_null,
    page,
    record,
    ref,
    text,
    whole,
)

__all__ = ["operations", "schemas"]

TAG = "Feedback"


def operations() -> dict[tuple[str, str], Operation]:
    """By method and path."""
    said, review = {JSON: ref("Feedback")}, {JSON: ref("Review")}
    one, item = "/v1/feedback/{feedback_id}", "/v1/reviews/{review_id}"
    of_one = {**cut(), "completion_id": ref("CompletionId")}
    return {
        ("POST", "/v1/feedback"): Operation(
            "createFeedback", "Feedback on a stored completion.", TAG, said, body=ref("NewFeedback"), refusals=(404,)
        ),
        ("GET", "/v1/feedback"): Operation(
            "listFeedback", "Feedback, newest first.", TAG, {JSON: page("Feedback")}, query=of_one
        ),
        ("GET", one): Operation("retrieveFeedback", "One.", TAG, said),
        ("DELETE", one): Operation("deleteFeedback", "One no longer.", TAG, {JSON: deleted("feedback.deleted")}),
        ("GET", "/v1/reviews"): Operation(
            "listReviews",
            "Items to be looked at, those worth most first.",
            TAG,
            {JSON: ref("Reviews")},
            query={"status": text(STATES), "limit": whole(1, 100)},
        ),
        ("GET", item): Operation("retrieveReview", "One.", TAG, review),
        ("POST", item): Operation("answerReview", "What is said of one.", TAG, review, body=ref("NewVerdict")),
    }


def schemas() -> dict[str, Schema]:
    """By name."""
    words = {"comment": text(longest=LONGEST_COMMENT), "reviewer": text(longest=LONGEST_NAME)}
    filled: Schema = {"type": "string", "pattern": r"\S"}
    answer = either(filled, record({"content": text()}))
    told = {"rating": or_null(text(RATINGS)), "correction": or_null(ref("Said")), "rejected": or_null(ref("Said"))}
    state, seconds = text(STATES), whole()
    found = {"id": text(), "object": const("review"), "created_at": seconds, "status": state, "worth": number(0)}
    reviewed = {"why": array(text()), "item": {"type": "object"}, "said": or_null({"type": "object"})}
    shown = {"id": text(), "object": const("feedback"), "created_at": seconds, "completion_id": text()}
    return {
        "Said": {"type": "object"},
        "NewFeedback": asked(
            {"completion_id": ref("CompletionId")},
            {
                "rating": text(RATINGS),
                "correction": answer,
                "rejected": answer,
                "rejected_completion_id": ref("CompletionId"),
                **words,
                "metadata": ref("Metadata"),
            },
        ),
        "Feedback": record({**shown, **told, **{name: or_null(text()) for name in words}, "metadata": ref("Metadata")}),
        "NewVerdict": asked(
            {"verdict": text(VERDICTS)},
            {
                "correction": answer,
                "label": {"type": "string", "maxLength": LONGEST_NAME, "pattern": r"\S"},
                "preferred": text(("answer", "rejected")),
                **words,
            },
        ),
        "Review": record({**found, **reviewed}),
        "Reviews": record(
            {
                "object": const("list"),
                "data": array(ref("Review")),
                "counts": record({name: whole(0) for name in STATES}),
            }
        ),
    }
