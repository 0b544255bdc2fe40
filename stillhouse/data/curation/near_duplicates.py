"""Near duplicates: rows that ask almost the same, found by MinHash and each compared with the row that stays for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.curate import likeness, near_duplicates, normalise, shingles
from stillhouse.data.curation.curated import Curated, again
from stillhouse.data.curation.duplicates import By, best_first, ids_of
from stillhouse.data.curation.said import asked, frame, hash64, label_of, rank
from stillhouse.data.items import Item
from stillhouse.errors import UsageError
from stillhouse.extras import require

__all__ = ["NearDuplicates", "near"]

SHORT, OFTEN = 64, 5
"""Letters of an answer that counts as a label, and rows that give it: calls are often answered with a class alone."""
COMPARED = 100
"""Rows of one family that stay, with which the next is compared: large families take linear time."""


@final
@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Settings of `near-duplicates`."""

    threshold: float = 0.8
    """The Jaccard similarity of the sets of words and word pairs from which on two texts are near duplicates."""
    by: By = By.ASKED
    """Whether the answers must be alike too."""
    across_labels: bool = False
    """Whether rows with different labels may be near duplicates: where one word decides, they are not."""

    def __post_init__(self) -> None:
        if not 0.3 <= self.threshold <= 1:
            raise UsageError(f"threshold = {self.threshold} must lie between 0.3 and 1: 0.8 is usual.")


@final
class _Seen:
    """What is remembered of the rows: a text each once, numbers of the rest."""

    def __init__(self, rows: Iterable[Item], by: By) -> None:
        known: dict[str, int] = {}
        texts: list[int] = []
        frames: list[int] = []
        labels: list[int] = []
        classes: list[int] = []
        ranks: list[float] = []
        for item in rows:
            words = asked(item) if by == By.ASKED else f"{asked(item)}\n{item.words}"
            texts.append(known.setdefault(normalise(words), len(known)))
            frames.append(frame(item))
            labels.append(_label(item))
            classes.append(_class(item))
            ranks.append(rank(item))
        self.texts = list(known)
        self.text_of = np.array(texts, np.int64)
        self.frames = np.array(frames, np.uint64)
        self.labels = np.array(labels, np.uint64) | _usual(np.array(classes, np.uint64))  # one of the two is 0
        self.ranks = np.array(ranks)


def near(rows: Iterable[Item], settings: NearDuplicates) -> Curated:
    """Keep rows that say something new: each dropped one reaches the threshold with the row that its reason names.

    Candidates come from MinHash and banding over whole families (`stillhouse.data.curate`); in a family the row of
    which most is known stays, and each other one that is like none that stays. Only rows with equal instructions,
    files, numbers of turns and, if not said otherwise, labels are compared; a short answer that several rows give
    counts as a label where there is none. Rows without words all stay.
    """
    require("data", "find near duplicates")
    rows = again(rows)
    seen = _Seen(rows, settings.by)
    families = _families(seen.texts, settings.threshold)[seen.text_of] if seen.texts else np.zeros(0, np.int64)
    groups = _numbered(families, seen.frames, seen.labels if not settings.across_labels else None)
    twins = _twins(seen, groups, settings.threshold)
    names = ids_of(rows, {kept for kept, _ in twins.values()})
    reasons = {row: f"near-duplicate: {share:.2f} like {names[kept]}" for row, (kept, share) in twins.items()}
    told = {"near duplicates with another label": _apart(seen, families)}
    return Curated("near-duplicates", rows, len(groups), reasons, {}, told)


def _label(item: Item) -> int:
    label = label_of(item)
    return 0 if label is None else hash64(label.encode("utf-8", "surrogatepass"))


def _class(item: Item) -> int:
    """A short answer without a label beside it, which may stand for one."""
    short = item.words if label_of(item) is None and len(item.words) <= SHORT else ""
    return hash64(normalise(short).encode("utf-8", "surrogatepass")) if short else 0


def _usual(answers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The answers that many rows give; 0 in place of the others."""
    _, codes, counts = np.unique(answers, return_inverse=True, return_counts=True)
    return np.where(counts[codes] >= OFTEN, answers, np.uint64(0)) if len(answers) else answers


def _families(texts: Sequence[str], threshold: float) -> NDArray[np.int64]:
    """The family of each text: the least number of a text that it is joined with through near duplicates."""
    parents = np.arange(len(texts))

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = int(parents[node])
        return node

    for one, other in near_duplicates(texts, threshold):
        first, second = root(one), root(other)
        parents[max(first, second)] = min(first, second)
    for node in range(len(parents)):  # parents are never greater, so that one pass upward is enough
        parents[node] = parents[parents[node]]
    return parents


def _numbered(*parts: NDArray[np.generic] | None) -> NDArray[np.int64]:
    """Groups of rows in which every part is equal, numbered."""
    given = [part for part in parts if part is not None]
    found = np.zeros(len(given[0]), np.int64)
    for part in given:
        codes = np.unique(part, return_inverse=True)[1]
        found = np.unique(found * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1]
    return found


def _twins(seen: _Seen, groups: NDArray[np.int64], threshold: float) -> dict[int, tuple[int, float]]:
    """The rows to drop, each with the row that stays for it and how alike the two are."""
    order = best_first(groups, seen.ranks)
    ordered = groups[order]
    bounds = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1], True]) if len(order) else np.zeros(1, np.int64)
    several = np.flatnonzero(np.diff(bounds) > 1)
    found: dict[int, tuple[int, float]] = {}
    for start, end in zip(bounds[several].tolist(), bounds[several + 1].tolist(), strict=True):
        staying: dict[int, set[str]] = {}
        for row in order[start:end].tolist():
            own = shingles(seen.texts[seen.text_of[row]])
            if not own:
                continue
            twin = next(
                ((kept, each) for kept, its in staying.items() if (each := likeness(own, its)) >= threshold), None
            )
            if twin is not None:
                found[row] = twin
            elif len(staying) < COMPARED:
                staying[row] = own
    return found


def _apart(seen: _Seen, families: NDArray[np.int64]) -> int:
    """How many labelled rows have a near duplicate, in a family of equal frames, with another label."""
    labelled = np.flatnonzero(seen.labels != 0)
    if not len(labelled):
        return 0
    groups = _numbered(families[labelled], seen.frames[labelled])
    pairs = np.unique(np.stack([groups, np.unique(seen.labels[labelled], return_inverse=True)[1]], axis=1), axis=0)
    return int((np.bincount(pairs[:, 0])[groups] > 1).sum())
