"""Grading: a judge's scores of the answers of items, and its word on their preferences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stillhouse.data.items import Item, Kind, text_of
from stillhouse.generation.inquiry import Ask, Inquiry
from stillhouse.generation.judge import Verdict, compare, compared, score, scored
from stillhouse.generation.questions import Question
from stillhouse.generation.select import Sifted

__all__ = ["compare_items", "comparing_questions", "grade_items", "grading_questions"]

NOTHING = "nothing to judge: it has no answer"
NO_PAIR = "nothing to judge: it is no preference"


def grading_questions(inquiry: Inquiry, items: Sequence[Item]) -> list[Question]:
    """What is asked for the grades of items that have an answer."""
    return [score(inquiry, f"grade/{item.id}", item) for item in items if item.words]


def grade_items(inquiry: Inquiry, items: Sequence[Item], ask: Ask) -> Sifted:
    """Every item with its grade, 0..1; where the judge could not tell it has none, which is not 0."""
    replies = ask(grading_questions(inquiry, items))
    kept: list[Item] = []
    dropped: list[tuple[Item, str]] = []
    for item in items:
        if not item.words:
            dropped.append((item, NOTHING))
            continue
        metadata = {**item.facts.metadata, "judge": inquiry.model}
        grade = scored(replies.get(f"grade/{item.id}"))
        kept.append(replace(item, facts=replace(item.facts, grade=grade, metadata=metadata)))
    return Sifted(tuple(kept), tuple(dropped))


def comparing_questions(inquiry: Inquiry, items: Sequence[Item]) -> list[Question]:
    """What is asked about preferences: both orders of each."""
    return [
        question
        for item in items
        if _is_pair(item)
        for question in compare(inquiry, f"compare/{item.id}", item, item.words, text_of(item.rejected or {}))
    ]


def compare_items(inquiry: Inquiry, items: Sequence[Item], ask: Ask) -> Sifted:
    """The preferences that a judge finds to be some, the better answer first; others with the reason."""
    replies = ask(comparing_questions(inquiry, items))
    kept: list[Item] = []
    dropped: list[tuple[Item, str]] = []
    for item in items:
        if not _is_pair(item):
            dropped.append((item, NO_PAIR))
            continue
        found = compared(replies, f"compare/{item.id}")
        if found.verdict is Verdict.A:
            kept.append(_noted(item, inquiry, "no"))
        elif found.verdict is Verdict.B:
            kept.append(_noted(replace(item, answer=item.rejected, rejected=item.answer), inquiry, "yes"))
        elif found.verdict is Verdict.TIE:
            what = "the judge went by their order" if found.swayed else "the judge finds them equal"
            dropped.append((item, f"no preference: {what}"))
        else:
            dropped.append((item, "not judged: the judge could not tell"))
    return Sifted(tuple(kept), tuple(dropped))


def _is_pair(item: Item) -> bool:
    return item.kind is Kind.PREFERENCE and item.answer is not None and item.rejected is not None


def _noted(item: Item, inquiry: Inquiry, turned: str) -> Item:
    metadata = {**item.facts.metadata, "judge": inquiry.model, "turned": turned}
    return replace(item, facts=replace(item.facts, metadata=metadata))
