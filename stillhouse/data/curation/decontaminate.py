"""Decontamination: rows that hold what a test set asks or answers, found whole, normalised and by runs of words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from stillhouse.data.curate import nearly_among, normalise
from stillhouse.data.curation.curated import Curated, again
from stillhouse.data.curation.said import asked
from stillhouse.data.items import Item
from stillhouse.errors import UsageError
from stillhouse.extras import require

__all__ = ["Decontaminate", "decontaminate"]

WORD = re.compile(r"\w+")
PERCENTILE = 0.05


@final
@dataclass(frozen=True, slots=True)
class Decontaminate:
    """Settings of `decontaminate`."""

    longest: int = 13
    """Words in a run that may not be shared, at most; the length is taken for each test set from its texts."""
    shortest: int = 8
    """And at least; shorter texts of a test set count only where a row's text is the same."""
    usual: int = 10
    """A run that more rows share is no leak but a turn of phrase or a template, and is passed over."""
    near: float = 0.0
    """The similarity from which on a row's question is a near duplicate of a test's; 0: not looked for."""

    def __post_init__(self) -> None:
        if not 3 <= self.shortest <= self.longest:
            raise UsageError(f"shortest = {self.shortest} must be 3 or more and at most longest = {self.longest}.")
        if self.usual < 1:
            raise UsageError(f"usual = {self.usual} must be 1 or more.")
        if self.near and not 0.3 <= self.near <= 1:
            raise UsageError(f"near = {self.near} must be 0, or lie between 0.3 and 1.")


@final
@dataclass(frozen=True, slots=True)
class _TestSet:
    """What of one test set may not be met again."""

    name: str
    exact: frozenset[str]
    same: frozenset[str]
    runs: frozenset[str]
    size: int
    """Words in a run."""


def decontaminate(rows: Iterable[Item], settings: Decontaminate, tests: Mapping[str, Iterable[Item]]) -> Curated:
    """Drop rows that share with a test set its whole question, or a run of words of a question or an answer.

    Runs follow GPT-3's report (Brown et al. 2020, arXiv 2005.14165, appendix C): N words without case and
    punctuation, N the 5th percentile of the test set's lengths and between 8 and 13, and runs that more than 10
    rows share passed over. Llama 3 (arXiv 2407.21783, §5.1.4) and PaLM (arXiv 2204.02311, §8) count runs of 8: set
    `longest = 8`. The reason names the test set and what was met; the counts are per test set.
    """
    rows = again(rows)
    sets = [_test_set(name, items, settings) for name, items in tests.items()]
    reasons: dict[int, str] = {}
    hits: dict[int, list[tuple[int, str]]] = {}
    common: Counter[tuple[int, str]] = Counter()
    total = 0
    for number, item in enumerate(rows):
        total = number + 1
        reason = _whole(item, sets)
        if reason:
            reasons[number] = reason
            continue
        found = list(_runs_of(item, sets))
        if found:
            hits[number] = found
            common.update(set(found))
    for number, found in hits.items():
        telling = [(place, run) for place, run in found if common[place, run] <= settings.usual]
        if telling:
            place, run = telling[0]
            reasons[number] = f"test-set: {sets[place].name} shares {sets[place].size} words: {run}"
    passed_over = sum(number not in reasons for number in hits)
    if settings.near:
        reasons |= _near(rows, reasons, tests, settings.near)
    told = {
        f"in {one.name}": sum(reason.startswith(f"test-set: {one.name} ") for reason in reasons.values())
        for one in sets
    }
    return Curated("decontaminate", rows, total, reasons, {}, told | {"rows with usual runs only": passed_over})


def _test_set(name: str, items: Iterable[Item], settings: Decontaminate) -> _TestSet:
    questions: set[str] = set()
    texts: list[list[str]] = []
    for item in items:
        questions.add(asked(item))
        texts += [words for text in _texts(item) if (words := _words(text))]
    if not questions - {""}:
        raise UsageError(f"The test set {name} holds no questions: nothing can be compared with it.")
    lengths = sorted(map(len, texts))
    size = lengths[int(PERCENTILE * len(lengths))] if lengths else 0
    size = min(max(size, settings.shortest), settings.longest)
    runs = frozenset(run for words in texts for run in _runs(words, size))
    same = frozenset(normalise(question) for question in questions if question.strip())
    return _TestSet(name, frozenset(question for question in questions if question.strip()), same, runs, size)


def _texts(item: Item) -> Iterator[str]:
    """What a row can give away: what was asked, and what was answered."""
    yield asked(item)
    yield item.words
    if item.truth is not None:
        yield item.truth


def _words(text: str) -> list[str]:
    return WORD.findall(normalise(text))


def _runs(words: Sequence[str], size: int) -> Iterator[str]:
    for start in range(len(words) - size + 1):
        yield " ".join(words[start : start + size])


def _whole(item: Item, sets: Sequence[_TestSet]) -> str:
    question = asked(item)
    for one in sets:
        if question in one.exact:
            return f"test-set: {one.name} asks exactly this"
    plain = normalise(question)
    for one in sets:
        if plain in one.same:
            return f"test-set: {one.name} asks this but for case and space"
    return ""


def _runs_of(item: Item, sets: Sequence[_TestSet]) -> Iterator[tuple[int, str]]:
    """The runs that a row shares with test sets."""
    for words in map(_words, _texts(item)):
        for size in {one.size for one in sets}:
            for run in _runs(words, size):
                for place, one in enumerate(sets):
                    if one.size == size and run in one.runs:
                        yield place, run


def _near(
    rows: Iterable[Item], reasons: Mapping[int, str], tests: Mapping[str, Iterable[Item]], threshold: float
) -> dict[int, str]:
    """Rows whose question is a near duplicate of one of a test set."""
    require("data", "find near duplicates of test sets")
    owner: dict[str, str] = {}
    for name, items in tests.items():
        for item in items:
            owner.setdefault(normalise(asked(item)), name)
    texts = list(owner)
    names = list(owner.values())
    known: dict[str, int] = {}
    ours: dict[int, int] = {}
    for number, item in enumerate(rows):
        text = "" if number in reasons else normalise(asked(item))
        if text:
            ours[number] = known.setdefault(text, len(known))
    met = nearly_among(list(known), texts, threshold)
    return {number: f"test-set: {names[met[text]]} asks nearly this" for number, text in ours.items() if text in met}
