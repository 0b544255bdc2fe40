"""Answers: a teacher answers prompts, once or several times; what is no answer is left out, and the best is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, final

from stillhouse.data.items import Item, Method, Source, text_of
from stillhouse.errors import UsageError
from stillhouse.generation.inquiry import Ask, Inquiry, Unusable, answer_of, credit
from stillhouse.generation.judge import Judge, Verdict, compare, compared, score, scored
from stillhouse.generation.pictures import shown, with_pictures
from stillhouse.generation.questions import Question, Reply
from stillhouse.generation.select import Candidates, Sifted, best_of, pairs

__all__ = ["Choose", "Given", "Sampling", "answer", "choose", "opening", "read_answers"]

Message = Mapping[str, Any]
DECLINED = re.compile(
    r"^\W*(?:i(?:'|’)?m sorry|i am sorry|sorry,|i (?:can(?:'|’)?t|cannot|am unable|am not able)|as an ai\b)", re.I
)
NO_SCORE = "not judged: the judge could give none of the answers a score"
SHORT = 80
"""Words: a shorter answer that begins with an apology is none, as in Evol-Instruct (arxiv.org/abs/2304.12244, §3.2)."""


class Choose(StrEnum):
    """What is made of several answers to one prompt."""

    FIRST = "first"
    """The first that can be used."""
    BEST = "best"
    """The one with the best score."""
    PAIRS = "pairs"
    """A preference: the best against the worst."""
    ALL = "all"
    """An item for each."""


@final
@dataclass(frozen=True)
class Sampling:
    """How prompts are answered."""

    samples: int = 1
    """Answers to each prompt."""
    system: str | None = None
    """A message of the system before the prompt, which the item keeps when `keep_system` is set."""
    keep_system: bool = False

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UsageError(f"A prompt is answered at least once, not {self.samples} times.")


@final
@dataclass(frozen=True)
class Given:
    """The answers to one prompt that can be used, and why others cannot."""

    item: Item
    answers: tuple[Message, ...]
    reasons: tuple[str, ...] = field(default=())


def opening(inquiry: Inquiry, items: Sequence[Item], sampling: Sampling) -> list[Question]:
    """The questions: `samples` of each prompt, every one a call of its own, since not every API knows `n`.

    Pictures of an item are shown; raises Unusable where one of its files is none.
    """
    return [
        inquiry.send(_key(item, again), messages, again=again)
        for item in items
        for messages in [with_pictures(_asked(item, sampling), shown(item.media, inquiry.read_media))]
        for again in range(sampling.samples)
    ]


def answer(inquiry: Inquiry, items: Sequence[Item], sampling: Sampling, ask: Ask) -> list[Given]:
    """Every prompt with its answers."""
    replies = ask(opening(inquiry, items, sampling))
    return [read_answers(item, sampling, replies, inquiry) for item in items]


def read_answers(item: Item, sampling: Sampling, replies: Mapping[str, Reply], inquiry: Inquiry) -> Given:
    """The usable answers among the replies to one prompt."""
    found: list[Message] = []
    reasons: list[str] = []
    for again in range(sampling.samples):
        try:
            message = answer_of(replies.get(_key(item, again)))
        except Unusable as error:
            reasons.append(str(error))
            continue
        words = text_of(message)
        if DECLINED.match(words) and len(words.split()) < SHORT:
            reasons.append(f"declined: {words[:60]!r}")
        else:
            found.append(message)
    kept = item
    if sampling.system and sampling.keep_system:
        kept = replace(item, messages=tuple(_asked(item, sampling)))
    source = Source(Method.LABELLED, f"answer/{item.id}", 0, credit(item, inquiry.teacher), (item.id,))
    facts = replace(item.facts, model=inquiry.model, grade=None)
    return Given(replace(kept, source=source, facts=facts), tuple(found), tuple(reasons))


def choose(given: Sequence[Given], how: Choose, judge: Judge | None, ask: Ask, least: float | None = None) -> Sifted:
    """Items out of answers, the best by what a judge scores; what has no answer is left out with the reasons.

    Best-of-n and pairs need a judge. A pair is kept only if the judge, shown both side by side in either order, agrees
    that the better one is better.
    """
    dropped = [(each.item, each.reasons[0] if each.reasons else "no answer") for each in given if not each.answers]
    usable = [each for each in given if each.answers]
    if how in (Choose.FIRST, Choose.ALL):
        first = how is Choose.FIRST
        items = [
            _numbered(replace(each.item, answer=message), row, len(each.answers) if not first else 1)
            for each in usable
            for row, message in enumerate(each.answers[: 1 if first else None], 1)
        ]
        return Sifted(tuple(items), tuple(dropped))
    if judge is None:
        raise UsageError(f"To keep {how.value} of several answers somebody has to judge them: name a judge.")
    candidates = _graded(usable, judge, ask)
    if how is Choose.BEST:
        picked = [best_of(each, least) for each in candidates]
        reason = "judged too low: no answer has a score that is high enough"
    else:
        picked = _confirmed(candidates, judge, ask)
        reason = "no pair: the judge finds none of the answers clearly better"
    for each, among, found in zip(usable, candidates, picked, strict=True):
        if found is None:
            dropped.append((each.item, reason if among.ranked() else NO_SCORE))
    return Sifted(tuple(found for found in picked if found is not None), tuple(dropped))


def _graded(given: Sequence[Given], judge: Judge, ask: Ask) -> list[Candidates]:
    """Answers with their scores; each different answer is judged once."""
    asked = [
        (f"score/{each.item.id}/{row}", replace(each.item, answer=message))
        for each in given
        for row, message in enumerate(each.answers)
    ]
    replies = ask([score(judge.scoring, key, item) for key, item in asked])
    return [
        Candidates(
            tuple(replace(each.item, answer=message) for message in each.answers),
            tuple(scored(replies.get(f"score/{each.item.id}/{row}")) for row in range(len(each.answers))),
            {"judge": judge.scoring.model},
        )
        for each in given
    ]


def _confirmed(candidates: Sequence[Candidates], judge: Judge, ask: Ask) -> list[Item | None]:
    """Pairs that a comparison in both orders confirms."""
    found = [pairs(each) for each in candidates]
    questions = [
        question
        for at, pair in enumerate(found)
        if pair is not None
        for question in compare(judge.comparing, f"pair/{at}", pair, pair.words, text_of(pair.rejected or {}))
    ]
    replies = ask(questions)
    return [
        pair if pair is None or compared(replies, f"pair/{at}").verdict is Verdict.A else None
        for at, pair in enumerate(found)
    ]


def _asked(item: Item, sampling: Sampling) -> list[Message]:
    head: list[Message] = [{"role": "system", "content": sampling.system}] if sampling.system else []
    return [*head, *item.messages]


def _key(item: Item, again: int) -> str:
    return f"answer/{item.id}/{again}"


def _numbered(item: Item, row: int, among: int) -> Item:
    return item if among == 1 else replace(item, source=replace(item.source, row=row))
