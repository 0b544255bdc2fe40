"""Exact duplicates: rows that say the same but for case, width and white space; and those whose labels disagree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.curate import normalise
from stillhouse.data.curation.curated import Change, Curated, again
from stillhouse.data.curation.said import asked, frame, hash64, label_of, rank, whole
from stillhouse.data.items import Item

__all__ = ["CONFLICT", "By", "Conflicts", "Duplicates", "best_first", "duplicates", "ids_of"]

CONFLICT = "conflicting-label"
Hashes = NDArray[np.uint64]


class By(StrEnum):
    """What must be equal."""

    WHOLE = "whole"
    """Question, answer and label."""
    ASKED = "asked"
    """The question alone: of several answers one is kept."""


class Conflicts(StrEnum):
    """What becomes of rows that ask the same and have different labels."""

    TELL = "tell"
    """They stay, tagged `conflicting-label`."""
    MAJORITY = "majority"
    """Those with the most frequent label stay; where several are, all do, tagged."""
    DROP = "drop"
    """None stays."""


@final
@dataclass(frozen=True, slots=True)
class Duplicates:
    """Settings of `duplicates`."""

    by: By = By.WHOLE
    conflicts: Conflicts = Conflicts.TELL


def duplicates(rows: Iterable[Item], settings: Duplicates) -> Curated:
    """Keep one of each set of equal rows: with a true answer before any answer before none, then by grade, then
    the first; the reason of the others names it."""
    rows = again(rows)
    keys: list[int] = []
    questions: list[int] = []
    labels: list[int] = []
    ranks: list[float] = []
    for item in rows:
        question = hash64(f"{frame(item)}\n{normalise(asked(item))}".encode("utf-8", "surrogatepass"))
        keys.append(whole(item) if settings.by == By.WHOLE else question)
        questions.append(question)
        label = label_of(item)
        labels.append(0 if label is None else hash64(label.encode("utf-8", "surrogatepass")))
        ranks.append(rank(item))
    conflicting, lost = _conflicts(np.array(questions, np.uint64), np.array(labels, np.uint64), settings.conflicts)
    reasons = dict.fromkeys(np.flatnonzero(lost).tolist(), f"{CONFLICT}: the same was asked and labelled otherwise")
    twins = _twins(np.array(keys, np.uint64), np.array(ranks), lost)
    names = ids_of(rows, set(twins.values()))
    reasons |= {row: f"duplicate: of {names[kept]}" for row, kept in twins.items()}
    changes = {row: Change(tag=CONFLICT) for row in np.flatnonzero(conflicting & ~lost).tolist() if row not in reasons}
    told = {"rows with conflicting labels": int(conflicting.sum())}
    return Curated("duplicates", rows, len(keys), reasons, changes, told)


def best_first(groups: NDArray[np.generic], ranks: NDArray[np.float64]) -> NDArray[np.int64]:
    """Row numbers, group by group, in each the highest rank first and of equal ones the first row."""
    return np.lexsort((np.arange(len(groups)), -ranks, groups))


def ids_of(rows: Iterable[Item], wanted: set[int]) -> dict[int, str]:
    """The ids of some rows, by their numbers."""
    return {number: item.id for number, item in enumerate(rows) if number in wanted} if wanted else {}


def _twins(keys: Hashes, ranks: NDArray[np.float64], lost: NDArray[np.bool_]) -> dict[int, int]:
    """The rows to drop, each with the row that stays for it."""
    left = np.flatnonzero(~lost)
    order = left[best_first(keys[left], ranks[left])]
    first = np.ones(len(order), np.bool_)
    first[1:] = keys[order[1:]] != keys[order[:-1]]
    kept = order[first][np.cumsum(first) - 1] if len(order) else order
    return dict(zip(order[~first].tolist(), kept[~first].tolist(), strict=True))


def _conflicts(questions: Hashes, labels: Hashes, what: Conflicts) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows ask what another row asks and is labelled otherwise, and which of them do not stay."""
    labelled = np.flatnonzero(labels != 0)
    disagree, lost = np.zeros(len(labels), np.bool_), np.zeros(len(labels), np.bool_)
    order = labelled[np.lexsort((labels[labelled], questions[labelled]))]
    if not len(order):
        return disagree, lost
    bounds = np.flatnonzero(np.r_[True, questions[order[1:]] != questions[order[:-1]], True])
    several = np.flatnonzero(np.diff(bounds) > 1)
    for start, end in zip(bounds[several].tolist(), bounds[several + 1].tolist(), strict=True):
        group = order[start:end]
        if labels[group[0]] != labels[group[-1]]:
            disagree[group] = True
            lost[group] = _outvoted(labels[group].tolist(), what)
    return disagree, lost


def _outvoted(labels: Sequence[int], what: Conflicts) -> list[bool]:
    """Which of the rows that disagree do not stay."""
    if what == Conflicts.TELL:
        return [False] * len(labels)
    counts = {label: labels.count(label) for label in set(labels)}
    most = [label for label, count in counts.items() if count == max(counts.values())]
    if what == Conflicts.DROP:
        return [True] * len(labels)
    return [len(most) == 1 and label != most[0] for label in labels]
