"""Selection: what is kept of what a teacher made: the new and good, the best of several, and pairs to prefer from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

from stillhouse.data.items import Item, Kind
from stillhouse.errors import UsageError
from stillhouse.generation.inquiry import asked_key, teachers_of
from stillhouse.generation.novelty import ByWords

__all__ = [
    "Candidates",
    "Check",
    "Grade",
    "Sifted",
    "accepted",
    "best_of",
    "best_of_each",
    "novel",
    "pairs",
    "pairs_of_each",
    "sift",
]

MOST_LIKE = 0.7
"""What is this like something that is there is not new: Self-Instruct's bound on ROUGE-L (arxiv.org/abs/2212.10560)."""
SHOWN = 60
NO_ANSWER, NO_GRADE, NOT_BEST = "no answer", "no grade", "not the best"
NO_PAIR, NEITHER = "no pair: the grades differ too little", "not in the pair: neither the best nor the worst"

Grade = Callable[[Item], float | None]
"""How good an item's answer is, 0..1; None where the grader cannot tell, which is not 0."""
Check = Callable[[Item], str | None]
"""Why an item is left out; None where it is kept."""


@final
@dataclass(frozen=True)
class Sifted:
    """What was kept, and what was left out for which reason: together everything that came in."""

    kept: tuple[Item, ...] = ()
    dropped: tuple[tuple[Item, str], ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many were kept, and how many were left out by the first words of their reason."""
        found: dict[str, int] = {"kept": len(self.kept)}
        for _, reason in self.dropped:
            name = reason.split(":", 1)[0]
            found[name] = found.get(name, 0) + 1
        return found


@final
@dataclass(frozen=True)
class Candidates:
    """One question with several answers, and what a grader thinks of each."""

    items: tuple[Item, ...]
    """An item for each answer: whoever gave it, its item says so."""
    scores: tuple[float | None, ...]
    """0..1 each; None where the grader could not tell."""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What is written beside whatever is made of them."""

    def ranked(self) -> list[int]:
        """The answers that have a score, best first, of equals the first."""
        scored = [(-score, at) for at, score in enumerate(self.scores) if score is not None]
        return [at for _, at in sorted(scored)]


def sift(items: Iterable[Item], checks: Sequence[Check]) -> Sifted:
    """The items that every check lets through, in their order; the first check that objects gives the reason."""
    kept: list[Item] = []
    dropped: list[tuple[Item, str]] = []
    for item in items:
        reason = next((said for check in checks if (said := check(item)) is not None), None)
        if reason is None:
            kept.append(item)
        else:
            dropped.append((item, reason))
    return Sifted(tuple(kept), tuple(dropped))


def novel(pool: ByWords, most: float = MOST_LIKE) -> Check:
    """A check that leaves out what is too like something in the pool; what it lets through joins the pool.

    Put it last among checks, so that only what is kept joins.
    """
    if not 0.0 < most <= 1.0:
        raise UsageError(f"Novelty is bounded by a likeness within 0..1, not by {most:g}.")

    def check(item: Item) -> str | None:
        found = pool.nearest(item.text)
        if found is not None and found.likeness >= most:
            return f"not new: {found.likeness:.2f} like {found.text[:SHOWN]!r}"
        pool.add(item.text)
        return None

    return check


def accepted(grade: Grade, least: float) -> Check:
    """A check that leaves out what a judge gives less than `least`, or says nothing about."""

    def check(item: Item) -> str | None:
        score = grade(item)
        if score is None:
            return "not judged: the judge could not tell"
        return None if score >= least else f"judged too low: {score:.2f} of at least {least:.2f}"

    return check


def best_of(candidates: Candidates, least: float | None = None) -> Item | None:
    """The item with the best answer, the first of equals; None where it has less than `least`, or none has a score.

    With one answer this is rejection sampling, with n best-of-n: Touvron et al., "Llama 2" (2023,
    arxiv.org/abs/2307.09288), section 3.2.3.
    """
    order = candidates.ranked()
    score = candidates.scores[order[0]] if order else None
    if score is None or (least is not None and score < least):
        return None
    return _noted(candidates.items[order[0]], candidates, score)


def pairs(candidates: Candidates, margin: float = 0.0) -> Item | None:
    """A preference between the best and the worst answer; None where their scores differ by no more than `margin`.

    Answers of equal words are never a pair. It is the best one's item, but for the worse answer.
    """
    order = candidates.ranked()
    if len(order) < 2:
        return None
    best, worst = candidates.items[order[0]], candidates.items[order[-1]]
    high, low = candidates.scores[order[0]], candidates.scores[order[-1]]
    if high is None or low is None or high - low <= margin or best.words.strip() == worst.words.strip():
        return None
    found = replace(best, kind=Kind.PREFERENCE, rejected=worst.answer)
    return _noted(found, candidates, high, {"rejected_grade": f"{low:.4f}"})


def best_of_each(items: Sequence[Item]) -> Sifted:
    """Of items that ask and show the same, the one with the best grade, as it is; the others are left out."""
    kept: dict[int, Item] = {}
    left: dict[int, str] = {}
    for rows in _alike(items):
        candidates = _graded(items, rows)
        found = best_of(candidates)
        left |= _reasons(items, rows, NOT_BEST)
        if found is not None:
            kept[rows[candidates.ranked()[0]]] = found
    return _apart(items, kept, left)


def pairs_of_each(items: Sequence[Item], margin: float = 0.0) -> Sifted:
    """Of items that ask and show the same, a preference between the best and the worst answer; others are left out.

    A pair is made of both items: it names them as its parents, so that it is found by either, and who gave either
    answer as its teacher, since the terms of both hold.
    """
    kept: dict[int, Item] = {}
    left: dict[int, str] = {}
    for rows in _alike(items):
        candidates = _graded(items, rows)
        found, order = pairs(candidates, margin), candidates.ranked()
        left |= _reasons(items, rows, NO_PAIR if found is None else NEITHER)
        if found is not None:
            best, worst = items[rows[order[0]]], items[rows[order[-1]]]
            teacher = "+".join(sorted(teachers_of(best) | teachers_of(worst))) or None
            source = replace(best.source, teacher=teacher, parents=(best.id, worst.id))
            kept[rows[order[0]]] = replace(found, source=source)
            del left[rows[order[-1]]]
    return _apart(items, kept, left)


def _alike(items: Sequence[Item]) -> list[list[int]]:
    """The rows that have an answer, those together that ask and show the same."""
    met: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        if item.answer is not None:
            met.setdefault(asked_key(item), []).append(row)
    return list(met.values())


def _graded(items: Sequence[Item], rows: Sequence[int]) -> Candidates:
    """Some rows with the grades that they have."""
    return Candidates(tuple(items[row] for row in rows), tuple(items[row].facts.grade for row in rows))


def _reasons(items: Sequence[Item], rows: Sequence[int], why: str) -> dict[int, str]:
    """Why each of some rows is left out, unless it is kept."""
    return {row: NO_GRADE if items[row].facts.grade is None else why for row in rows}


def _apart(items: Sequence[Item], kept: Mapping[int, Item], left: Mapping[int, str]) -> Sifted:
    """What was kept in place of some rows and what was left out, each in the order of the rows."""
    why = {**{row: NO_ANSWER for row, item in enumerate(items) if item.answer is None}, **left}
    dropped = [(items[row], why[row]) for row in sorted(why) if row not in kept]
    return Sifted(tuple(kept[row] for row in sorted(kept)), tuple(dropped))


def _noted(item: Item, candidates: Candidates, score: float, more: Mapping[str, str] | None = None) -> Item:
    """An item with its grade, and out of how many it was chosen."""
    known = {**item.facts.metadata, **candidates.facts, "of": str(len(candidates.items)), **(more or {})}
    return replace(item, facts=replace(item.facts, grade=score, metadata=known))
