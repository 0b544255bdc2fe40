"""Votes: from what several annotators said to how likely each label is, to one label, and to the ties that are left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.generation.ballots import Ballots

__all__ = ["Verdicts", "accuracies", "decide", "majority", "weighted"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
EQUAL = 1e-9
"""Shares that differ by less are tied."""
SURE, UNSURE = 0.999, 0.001
"""Reliabilities are held between these, so that nobody's word is final."""

Ask = Callable[[int, Sequence[str]], str | None]
"""Names one of the tied labels of an item, given its position; None where it cannot tell."""


@final
@dataclass(frozen=True, eq=False)
class Verdicts:
    """What was decided about each item."""

    labels: tuple[str, ...]
    shares: Floats
    """How likely each label is, float64 [items, labels]; zeros where nobody answered. These are the soft labels."""
    best: Ints
    """The position of the likeliest label, int64 [items]; -1 where nobody answered or a tie is left."""
    tied: Ints
    """How many labels share the first place, int64 [items]; 0 where nobody answered."""
    judged: NDArray[np.bool_]
    """Whether a judge broke the tie."""

    def label(self, item: int) -> str | None:
        """The label of an item."""
        at = int(self.best[item])
        return None if at < 0 else self.labels[at]

    def soft(self, item: int, least: float = 0.0) -> dict[str, float]:
        """How likely each label of an item is, where more than `least`, the likeliest first."""
        row = self.shares[item]
        order = np.argsort(-row, kind="stable")
        return {self.labels[at]: float(row[at]) for at in order.tolist() if row[at] > least}


def majority(ballots: Ballots) -> Floats:
    """The share of the answers that name each label, float64 [items, labels]: every answer counts the same."""
    return _shares(ballots.counts())


def weighted(ballots: Ballots, reliability: Sequence[float]) -> Floats:
    """How likely each label is when annotator k is right with probability r_k, float64 [items, labels].

    With L labels, wrong answers spread evenly over the others, and all labels equally likely beforehand,
    P(l | answers) is proportional to exp(sum over the answers that name l of w_k), w_k = ln((L - 1) r_k / (1 - r_k)):
    the weights of Nitzan and Paroush, "Optimal decision rules in uncertain dichotomous choice situations" (1982), for
    L labels. Who is no better than chance has weight 0 or less.
    """
    sure = np.clip(np.asarray(reliability, np.float64), UNSURE, SURE)
    weights = np.log(max(1, len(ballots.labels) - 1) * sure / (1.0 - sure))
    scores = ballots.weigh(weights)
    likely = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    return np.where(ballots.answered()[:, None] > 0, _shares(likely), 0.0)


def accuracies(ballots: Ballots, truth: Sequence[str | None]) -> Floats:
    """How often each annotator is right on the items whose truth is known, float64 [annotators].

    (right + 1) / (answers + 2), the mean of a Beta(1, 1) prior after them: nobody is sure of anything after three rows.
    """
    place = {label: at for at, label in enumerate(ballots.labels)}
    known = np.asarray([-2 if label is None else place.get(label, -1) for label in truth], np.int64)
    counts = known[ballots.item] > -2
    right = (known[ballots.item] == ballots.label) & counts
    size = len(ballots.annotators)
    hits = np.bincount(ballots.annotator[right], minlength=size)
    asked = np.bincount(ballots.annotator[counts], minlength=size)
    return (hits + 1.0) / (asked + 2.0)


def decide(labels: Sequence[str], shares: Floats, judge: Ask | None = None) -> Verdicts:
    """The likeliest label of each item; where several share the first place the judge is asked, and without one, or
    when it cannot tell, the item is left without a label."""
    heard = shares.sum(axis=1) > 0
    top = shares.max(axis=1, initial=0.0)
    first = (shares >= top[:, None] - EQUAL) & heard[:, None]
    tied = first.sum(axis=1).astype(np.int64)
    best = np.where(tied == 1, first.argmax(axis=1) if shares.size else 0, -1).astype(np.int64)
    judged = np.zeros(len(shares), np.bool_)
    for item in np.flatnonzero(tied > 1).tolist() if judge is not None else ():
        choices = np.flatnonzero(first[item]).tolist()
        said = judge(item, [labels[at] for at in choices]) if judge is not None else None
        picked = [at for at in choices if labels[at] == said]
        if picked:
            best[item], judged[item] = picked[0], True
    return Verdicts(tuple(labels), shares, best, tied, judged)


def _shares(counts: Floats) -> Floats:
    sums = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
