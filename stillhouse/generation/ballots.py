"""Ballots: what several annotators said of the same items, each perhaps often or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import DataError

__all__ = ["Ballots", "collect"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class Ballots:
    """Answers as triples: who (`annotator`) called which `item` by which `label`, each as a position, int64 [answers].

    An annotator that was asked several times has several triples for an item, one that abstained has none.
    """

    items: int
    annotators: tuple[str, ...]
    labels: tuple[str, ...]
    item: Ints
    annotator: Ints
    label: Ints

    def counts(self) -> Floats:
        """How often each item was called by each label, float64 [items, labels]."""
        return self.weigh(np.ones(len(self.annotators)))

    def weigh(self, weights: Floats) -> Floats:
        """The weights of those who called an item by a label, float64 [items, labels]; `weights` [annotators]."""
        size = self.items * len(self.labels)
        cells = np.bincount(self.item * len(self.labels) + self.label, weights[self.annotator], minlength=size)
        return cells.astype(np.float64).reshape(self.items, len(self.labels))

    def answered(self) -> Ints:
        """How many answers each item has, int64 [items]."""
        return np.bincount(self.item, minlength=self.items)

    def compared(self) -> Ints:
        """How many answers each annotator gave about items that others answered too, int64 [annotators]."""
        size = len(self.annotators)
        pairs = np.unique(self.item * size + self.annotator)
        shared = np.bincount(pairs // size, minlength=self.items) > 1
        return np.bincount(self.annotator[shared[self.item]], minlength=size)

    def agreement(self) -> Floats:
        """How alike the answers about each item are, float64 [items]: NaN where there are fewer than two.

        Of an item with n answers, of which n_l name label l, the share of pairs of answers that agree:
        sum_l n_l (n_l - 1) / (n (n - 1)), the P_i of Fleiss, "Measuring nominal scale agreement among many raters"
        (1971).
        """
        counts, answers = self.counts(), self.answered()
        pairs = (answers * (answers - 1)).astype(np.float64)
        alike = (counts * (counts - 1)).sum(axis=1)
        return np.divide(alike, pairs, out=np.full(self.items, np.nan), where=pairs > 0)


def collect(said: Iterable[Mapping[str, str | Sequence[str] | None]], labels: Sequence[str] | None = None) -> Ballots:
    """Ballots from what each annotator said of each item, by name; None and nothing at all are abstentions.

    The labels are those given, in their order, else all that were said, sorted. Raises DataError for a label that is
    not among those given.
    """
    rows = [{name: _list(answer) for name, answer in row.items()} for row in said]
    names = tuple(sorted({name for row in rows for name in row}))
    heard = {label for row in rows for answers in row.values() for label in answers}
    known = tuple(labels) if labels is not None else tuple(sorted(heard))
    strange = heard - set(known)
    if strange:
        raise DataError(
            f"{min(strange)!r} was answered, and is none of the {len(known)} labels: {', '.join(known[:8])} ..."
        )
    place, column = {name: at for at, name in enumerate(names)}, {label: at for at, label in enumerate(known)}
    triples = [
        (at, place[name], column[label]) for at, row in enumerate(rows) for name in sorted(row) for label in row[name]
    ]
    table = np.asarray(triples, np.int64).reshape(-1, 3)
    return Ballots(len(rows), names, known, table[:, 0], table[:, 1], table[:, 2])


def _list(answer: str | Sequence[str] | None) -> Sequence[str]:
    if answer is None:
        return ()
    return (answer,) if isinstance(answer, str) else answer
