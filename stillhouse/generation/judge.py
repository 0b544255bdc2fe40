"""Judge: a teacher compares two answers in both orders, or gives one a score; it may find them equal, or abstain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import final

from stillhouse.data.items import Item, text_of
from stillhouse.generation.inquiry import Inquiry, Unusable, json_of, object_schema
from stillhouse.generation.pictures import question_about
from stillhouse.generation.questions import Question, Reply

__all__ = ["Compared", "Judge", "Verdict", "asked_text", "compare", "compared", "score", "scored", "told"]

LOWEST, HIGHEST = 1, 10
FIRST, SECOND, EQUAL, UNSURE = "first", "second", "equal", "cannot tell"
REASON = {"type": "string", "maxLength": 400}
"""The reason comes before the verdict, so that it is one."""
COMPARISON = object_schema(
    "comparison", {"reason": REASON, "better": {"type": "string", "enum": [FIRST, SECOND, EQUAL, UNSURE]}}
)
SCORING = object_schema("scoring", {"reason": REASON, "score": {"enum": [*range(LOWEST, HIGHEST + 1), None]}})


class Verdict(StrEnum):
    """Which of two answers is better."""

    A = "a"
    B = "b"
    TIE = "tie"
    """Both are found equal, or the judge changed its mind with their order."""
    NONE = "none"
    """The judge could not tell, or did not answer."""


@final
@dataclass(frozen=True)
class Judge:
    """Who judges, and how it is asked for scores and for comparisons."""

    scoring: Inquiry
    """Its form has the blanks `question` and `answer`."""
    comparing: Inquiry
    """Its form has the blanks `question`, `first` and `second`."""


@final
@dataclass(frozen=True)
class Compared:
    """What became of one comparison."""

    verdict: Verdict
    swayed: bool = False
    """The judge found the better answer by its place: it named the same place in both orders."""
    reasons: tuple[str, ...] = ()


def compare(inquiry: Inquiry, key: str, item: Item, a: str, b: str) -> list[Question]:
    """The two questions that compare two answers: each is first once.

    Judges prefer answers by their place (Wang et al., "Large language models are not fair evaluators", 2023,
    arxiv.org/abs/2305.17926; Zheng et al. 2023, arxiv.org/abs/2306.05685), so only what holds in both orders counts.

    Pictures of the item are shown; raises Unusable where one of its files is none.
    """
    asked = asked_text(item)
    return [
        question_about(
            inquiry, f"{key}/{name}", item, {"question": asked, "first": first, "second": second}, COMPARISON
        )
        for name, first, second in (("ab", a, b), ("ba", b, a))
    ]


def compared(replies: Mapping[str, Reply], key: str) -> Compared:
    """What a judge said in both orders, put together: a side that it names twice, or names once and finds equal once,
    is better; opposite verdicts are a tie; where it abstained in either order there is no verdict."""
    (straight, why), (swapped, why_swapped) = (_better(replies.get(f"{key}/{name}")) for name in ("ab", "ba"))
    reasons = tuple(reason for reason in (why, why_swapped) if reason)
    one, other = {FIRST: 1, SECOND: -1, EQUAL: 0}.get(straight), {FIRST: -1, SECOND: 1, EQUAL: 0}.get(swapped)
    if one is None or other is None:
        return Compared(Verdict.NONE, reasons=reasons)
    swayed = straight == swapped != EQUAL
    total = one + other
    return Compared(Verdict.A if total > 0 else Verdict.B if total < 0 else Verdict.TIE, swayed, reasons)


def score(inquiry: Inquiry, key: str, item: Item, again: int = 0) -> Question:
    """The question that has an item's answer scored from 1 to 10; raises Unusable for a file that is no picture."""
    return question_about(inquiry, key, item, {"question": asked_text(item), "answer": item.words}, SCORING, again)


def scored(reply: Reply | None) -> float | None:
    """A score as 0..1; None where the judge could not tell or did not answer as asked."""
    try:
        value = json_of(reply).get("score")
    except Unusable:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not LOWEST <= value <= HIGHEST:
        return None
    return (value - LOWEST) / (HIGHEST - LOWEST)


def told(choices: Sequence[str], reply: Reply | None) -> str | None:
    """Which of some labels a judge named; None where it named none of them."""
    try:
        said = str(json_of(reply).get("label", "")).strip().casefold()
    except Unusable:
        return None
    return next((label for label in choices if label.casefold() == said), None)


def asked_text(item: Item) -> str:
    """The whole of what was asked, turn by turn where there is more than one."""
    if len(item.messages) == 1:
        return text_of(item.messages[0])
    return "\n\n".join(f"{message.get('role')}: {text_of(message)}" for message in item.messages)


def _better(reply: Reply | None) -> tuple[str, str]:
    """The verdict of one reply, and its reason."""
    try:
        said = json_of(reply)
    except Unusable as error:
        return UNSURE, str(error)
    return str(said.get("better", UNSURE)).strip().casefold(), str(said.get("reason", ""))
