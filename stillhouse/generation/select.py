"""Selection: what is kept of what a teacher made: the new and good, the best of several, and pairs to prefer from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

from stillhouse.artifacts import hash_json
from stillhouse.data.items import Item, Kind, text_of
from stillhouse.errors import UsageError
from stillhouse.generation.novelty import Pool

__all__ = ["Candidates", "Check", "Grade", "Sifted", "accepted", "best_of", "gather", "novel", "pairs", "sift"]

MOST_LIKE = 0.7
"""What is this like something that is there is not new: Self-Instruct's bound on ROUGE-L (arxiv.org/abs/2212.10560)."""
SHOWN = 60

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
    """Several answers to one question, with what a grader thinks of each."""

    item: Item
    """What was asked."""
    answers: tuple[Mapping[str, Any], ...]
    """Messages of the assistant."""
    scores: tuple[float | None, ...]
    """0..1 each; None where the grader could not tell."""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What is written beside whatever is made of them."""

    @classmethod
    def graded(cls, item: Item, answers: Sequence[Mapping[str, Any]], grade: Grade) -> Candidates:
        """Candidates as a grader sees them; the same answer is graded once."""
        seen: dict[str, float | None] = {}
        scores: list[float | None] = []
        for answer in answers:
            words = text_of(answer)
            if words not in seen:
                seen[words] = grade(replace(item, answer=answer))
            scores.append(seen[words])
        return cls(item, tuple(answers), tuple(scores))


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


def novel(pool: Pool, most: float = MOST_LIKE) -> Check:
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


def gather(items: Iterable[Item]) -> list[Candidates]:
    """Items that ask the same put together, with the grades that they have; those without an answer left out."""
    met: dict[str, list[Item]] = {}
    for item in items:
        if item.answer is not None:
            met.setdefault(hash_json(list(item.messages)), []).append(item)
    return [
        Candidates(
            replace(same[0], answer=None, facts=replace(same[0].facts, grade=None)),
            tuple(item.answer or {} for item in same),
            tuple(item.facts.grade for item in same),
        )
        for same in met.values()
    ]


def best_of(candidates: Candidates, least: float | None = None) -> Item | None:
    """The item with its best answer, the first of equals; None where the best has less than `least`, or none a score.

    With one answer this is rejection sampling, with n best-of-n: Touvron et al., "Llama 2" (2023,
    arxiv.org/abs/2307.09288), section 3.2.3.
    """
    order = _ranked(candidates)
    if not order:
        return None
    best = order[0]
    score = candidates.scores[best]
    if score is None or (least is not None and score < least):
        return None
    found = replace(candidates.item, answer=candidates.answers[best])
    return _noted(found, candidates, score)


def pairs(candidates: Candidates, margin: float = 0.0) -> Item | None:
    """A preference between the best and the worst answer; None where their scores differ by no more than `margin`.

    Answers of equal words are never a pair.
    """
    order = _ranked(candidates)
    if len(order) < 2:
        return None
    best, worst = order[0], order[-1]
    high, low = candidates.scores[best], candidates.scores[worst]
    same = text_of(candidates.answers[best]).strip() == text_of(candidates.answers[worst]).strip()
    if high is None or low is None or high - low <= margin or same:
        return None
    found = replace(
        candidates.item, kind=Kind.PREFERENCE, answer=candidates.answers[best], rejected=candidates.answers[worst]
    )
    return _noted(found, candidates, high, {"rejected_grade": f"{low:.4f}"})


def _ranked(candidates: Candidates) -> list[int]:
    """The answers that have a score, best first."""
    scored = [(-score, at) for at, score in enumerate(candidates.scores) if score is not None]
    return [at for _, at in sorted(scored)]


def _noted(item: Item, candidates: Candidates, score: float, more: Mapping[str, str] | None = None) -> Item:
    """An item with its grade, and out of how many it was chosen."""
    known = {**item.facts.metadata, **candidates.facts, "of": str(len(candidates.answers)), **(more or {})}
    return replace(item, facts=replace(item.facts, grade=score, metadata=known))
