"""Review: which items of a dataset a person should look at first, and what becomes of those that were looked at."""

from __future__ import annotations

import hashlib
import heapq
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import orjson

from stillhouse.data.curate import normalise
from stillhouse.data.items import Item, Kind, Method, Source, item_from_json
from stillhouse.storage.feedback_records import ReviewState, StoredReview
from stillhouse.storage.ids import new_id

__all__ = ["Worth", "confirmed", "corrected", "items_of_review", "queue_of", "review_item", "settled", "worth_of"]

LEAST = 0.01
"""Items that are worth less are not asked about."""


@final
@dataclass(frozen=True, slots=True)
class Worth:
    """What a look at an item is expected to change: the chance that it is wrong, times how many say the same."""

    chance: float
    alike: int
    why: tuple[str, ...]

    @property
    def value(self) -> float:
        """chance · log2(1 + alike): a text that came often counts more, though not in proportion."""
        return self.chance * math.log2(1 + self.alike)


def worth_of(item: Item, alike: int = 1) -> Worth:
    """How likely an item is wrong, by the strongest sign: 0..1.

    - Its label or answer is not the known right one: 1.
    - Its teachers disagree, or one was unsure: 1 less the largest share of `soft`.
    - It was graded: 1 less the grade.

    Without any of these nothing is known, and it is worth nothing.
    """
    signs: dict[str, float] = {}
    given = item.label or item.words
    if item.truth and given and normalise(item.truth) != normalise(given):
        signs["it is not what is known to be right"] = 1.0
    if item.soft:
        likeliest = max(item.soft.values())
        signs[f"its likeliest label was held at {likeliest:.0%}"] = 1 - min(1.0, likeliest)
    if item.facts.grade is not None:
        signs[f"it was graded {item.facts.grade:.2f}"] = 1 - min(1.0, max(0.0, item.facts.grade))
    why = sorted((sign for sign in signs if signs[sign] > 0), key=lambda sign: -signs[sign])
    if alike > 1 and why:
        why.append(f"{alike} items have the same text")
    return Worth(max(signs.values(), default=0.0), alike, tuple(why))


def queue_of(read: Callable[[], Iterator[Item]], origin: str, most: int) -> list[StoredReview]:
    """The items that are worth most, one of each text; `read` gives them twice, and few are held.

    Items that a person has corrected already are passed over. `origin` names the dataset version.
    """
    alike = Counter(_key(item) for item in read())
    best: dict[bytes, tuple[float, str]] = {}
    for item in read():
        if item.source.method is Method.CORRECTED:
            continue
        key, worth = _key(item), worth_of(item, alike[_key(item)]).value
        if worth >= LEAST and worth > best.get(key, (0.0, ""))[0]:
            best[key] = worth, item.id
    wanted = {found for _, found in heapq.nsmallest(most, best.values(), key=lambda each: (-each[0], each[1]))}
    now = int(time.time())
    made = [_review(item, worth_of(item, alike[_key(item)]), origin, now) for item in read() if item.id in wanted]
    return sorted(made, key=lambda review: (-review.worth, review.item))


def _key(item: Item) -> bytes:
    return hashlib.blake2b(normalise(item.text).encode("utf-8", "replace"), digest_size=12).digest()


def _review(item: Item, worth: Worth, origin: str, now: int) -> StoredReview:
    return StoredReview(
        id=new_id("review_"),
        created=now,
        worth=worth.value,
        state=ReviewState.WAITING,
        item=item.id,
        origin=origin,
        content=orjson.dumps({"item": item.to_json(), "why": list(worth.why)}),
        subject=item.facts.subject,
    )


def review_item(review: StoredReview) -> Item:
    """The item that a review is about."""
    return item_from_json(orjson.loads(review.content)["item"])


def settled(review: StoredReview, said: Mapping[str, Any], skips: bool) -> StoredReview:
    """A review with what somebody said of it: `verdict`, `correction`, `label`, `preferred`, `comment`, `reviewer`."""
    told = orjson.loads(review.content) | {"said": dict(said)}
    return replace(review, state=ReviewState.SKIPPED if skips else ReviewState.DONE, content=orjson.dumps(told))


def items_of_review(review: StoredReview) -> Iterator[Item]:
    """What a review that is done gives to learn from: a corrected item, and where there are two answers a preference.

    They keep the origin of the item, by which whatever comes of a call on hold is known.
    An answer that is wrong and was not corrected gives nothing; nor does a review whose item was erased.
    """
    told: Mapping[str, Any] = orjson.loads(review.content)
    said: Mapping[str, Any] = told.get("said") or {}
    if review.state is not ReviewState.DONE or not said or "item" not in told:
        return
    item = item_from_json(told["item"])
    if said["verdict"] == "right":
        yield confirmed(item)
        return
    if item.kind is Kind.PREFERENCE and said.get("preferred") == "rejected":
        turned = replace(item, answer=item.rejected, rejected=item.answer)
        yield replace(turned, source=_by_hand(item, item.source.origin))
    yield from corrected(item, said, item.source.origin)


def confirmed(item: Item) -> Item:
    """An item that a person has found right."""
    facts = replace(item.facts, grade=1.0)
    source = _by_hand(item, item.source.origin)
    return replace(item, truth=item.label or item.words or item.truth, facts=facts, source=source)


def corrected(item: Item, said: Mapping[str, Any], origin: str) -> Iterator[Item]:
    """An item with the answer or the label that a person gave, and the preference of that answer to the old one."""
    answer, label, source = said.get("correction"), said.get("label"), _by_hand(item, origin)
    facts = replace(item.facts, grade=1.0)
    if answer is None and label is None:
        return
    changed = replace(item, facts=facts, source=source, soft={}, rationale=None)
    if label is not None:
        changed = replace(changed, label=label, truth=label)
    if answer is not None:
        changed = replace(changed, kind=_plain(item.kind), answer=answer, rejected=None)
        changed = replace(changed, truth=changed.words or None, label=_label(item, changed.words, label))
    elif item.answer is not None and item.label is not None and item.words == item.label:
        changed = replace(changed, answer={**item.answer, "content": label})
    yield changed
    if item.answer is not None and changed.answer != item.answer and item.messages:
        yield replace(
            changed, kind=Kind.PREFERENCE, rejected=item.answer, label=None, truth=None, source=replace(source, row=1)
        )


def _plain(kind: Kind) -> Kind:
    return Kind.CHAT if kind is Kind.PREFERENCE else kind


def _label(item: Item, words: str, label: str | None) -> str | None:
    """The label of an item whose answer was the label."""
    return label or (words if item.label is not None and item.label == item.words else item.label)


def _by_hand(item: Item, origin: str) -> Source:
    return replace(item.source, method=Method.CORRECTED, origin=origin, row=0, parents=(item.id,))
