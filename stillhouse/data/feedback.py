"""Feedback as material: what people said of stored calls, as items to learn from and preferences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from stillhouse.data.calls import items_of_call
from stillhouse.data.importers.records import Unusable
from stillhouse.data.items import Item, Kind, Method
from stillhouse.data.review import corrected, items_of_review
from stillhouse.data.terms import parts_of
from stillhouse.storage.feedback_records import ReviewState, StoredFeedback
from stillhouse.storage.records import Cut, StoredCompletion
from stillhouse.storage.store import Store

__all__ = ["gather", "items_of_feedback"]

GRADES = {"up": 1.0, "down": 0.0}
TOGETHER = 500


def items_of_feedback(call: Item, said: Sequence[StoredFeedback]) -> Iterator[Item]:
    """What feedback on one call, oldest first, gives to learn from.

    A correction gives the call with the right answer, and the preference of that answer to the old one; the last
    correction counts. Another answer that was liked less gives a preference. A rating without a correction gives the
    call with its grade, 1 or 0, so that what was disliked can be left out; the last rating counts. Of an answer that
    another model gave, a preference names both as its teachers.
    """
    told: list[tuple[str, Mapping[str, Any]]] = [(each.id, orjson.loads(each.content)) for each in said]
    corrections = [(origin, each) for origin, each in told if each.get("correction")]
    ratings = [(origin, each) for origin, each in told if each.get("rating")]
    if corrections:
        origin, last = corrections[-1]
        yield from corrected(call, {"correction": last["correction"]}, origin)
    elif ratings:
        origin, last = ratings[-1]
        grade = GRADES[last["rating"]]
        source = replace(call.source, origin=origin, row=0, parents=(call.id,))
        yield replace(call, facts=replace(call.facts, grade=grade), source=source)
    for origin, each in told:
        if each.get("rejected") and call.answer is not None and each["rejected"] != call.answer:
            source = replace(call.source, method=Method.CORRECTED, origin=origin, row=2, parents=(call.id,))
            source = replace(source, teacher=_both(call, each.get("rejected_model")))
            yield replace(call, kind=Kind.PREFERENCE, rejected=each["rejected"], label=None, source=source)


def _both(call: Item, other: str | None) -> str | None:
    """Whose terms hold for two answers to a call."""
    if other is None:
        return call.source.teacher
    return "+".join(sorted({*parts_of(call.source.teacher or call.facts.model), other}))


async def gather(store: Store, project: str) -> tuple[list[Item], dict[str, int]]:
    """All that people said in a project as items, and how many came of what; the oldest feedback first.

    Feedback on a call that is there no more, or holds no answer, is counted and gives nothing; so is a call on which
    there are only comments, or an answer liked less that says the same.
    """
    said: dict[str, list[StoredFeedback]] = {}
    after: str | None = None
    while True:
        page = await store.feedback.page(project, Cut(TOGETHER, after, ascending=True))
        for each in page.rows if page else ():
            said.setdefault(each.completion, []).append(each)
            after = each.id
        if page is None or not page.has_more:
            break
    counts = {
        "feedback": sum(map(len, said.values())),
        "calls": len(said),
        "without a call": 0,
        "calls without anything to learn": 0,
    }
    found: list[Item] = []
    names = list(said)
    for start in range(0, len(names), TOGETHER):
        calls = {call.id: call for call in await store.completions.several(project, names[start : start + TOGETHER])}
        for name in names[start : start + TOGETHER]:
            item = _item(calls.get(name))
            if item is None:
                counts["without a call"] += 1
                continue
            made = list(items_of_feedback(item, said[name]))
            counts["calls without anything to learn"] += not made
            found.extend(made)
    reviews = await store.reviews.list(project, ReviewState.DONE)
    for review in sorted(reviews, key=lambda each: each.id):
        found.extend(items_of_review(review))
    counts |= {"reviews": len(reviews), "items": len(found)}
    return found, counts


def _item(call: StoredCompletion | None) -> Item | None:
    if call is None or call.is_erased:
        return None
    try:
        return next(items_of_call(call), None)
    except Unusable:
        return None
