"""Counts of the values one answer or field takes, and the judgement whether they are labels or free words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import final

__all__ = ["Labels", "Tally", "by_rows"]

MOST_LABELS = 1_000
LONGEST_LABEL = 200
KEPT = 5 * MOST_LABELS
"""Different values counted one by one; what comes after them is only counted as a whole."""
ODD_LENGTH = 60
ODD_SHARE = 0.05
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Labels:
    """What a tally comes to: labels with their rows, commonest first, or free words when there are none."""

    counts: dict[str, int]
    """Label as commonly written → rows."""
    odd: int
    """Rows whose value is something else than these labels."""

    @property
    def free(self) -> bool:
        return not self.counts


@final
class Tally:
    """The values seen in one place, grouped by what they mean, with every spelling counted."""

    def __init__(self) -> None:
        self.rows = 0
        self.examples: list[tuple[str, str]] = []
        """Up to three different values with the places they were seen at."""
        self._spellings: dict[bytes, Counter[str]] = {}
        self._uncounted = 0

    def add(self, meaning: bytes, spelling: str, rows: int, place: str) -> None:
        """Count a value seen on so many rows, first at `place`."""
        self.rows += rows
        if len(self.examples) < EXAMPLES and all(spelling != seen for _, seen in self.examples):
            self.examples.append((place, spelling))
        known = self._spellings.get(meaning)
        if known is not None:
            known[spelling] += rows
        elif len(self._spellings) < KEPT and len(meaning) <= 4 * LONGEST_LABEL:
            self._spellings[meaning] = Counter({spelling: rows})
        else:
            self._uncounted += rows

    def counts(self) -> dict[str, int]:
        """Rows of each value, in its commonest spelling."""
        return {_commonest(spellings): spellings.total() for spellings in self._spellings.values()}

    def judge(self) -> Labels:
        """Labels when they are few for the rows there are, sorted by rows and then by text.

        A value seen once that is far longer than all values seen again (a refusal, an apology) is
        odd and no label. Values are free words when the odd rows are more than 5 %, when there are more
        than 1,000 labels, when a label has fewer than two rows on average, or when one is very long.
        """
        counts = self.counts()
        longest = max((len(label) for label, rows in counts.items() if rows > 1), default=0)
        limit = min(max(ODD_LENGTH, 2 * longest), LONGEST_LABEL)
        labels = {
            label: rows for label, rows in counts.items() if len(label) <= (limit if rows == 1 else LONGEST_LABEL)
        }
        odd = self.rows - sum(labels.values())
        many = len(labels) > MOST_LABELS or 2 * len(labels) > max(self.rows, 2)
        if many or odd > ODD_SHARE * self.rows:
            return Labels({}, odd)
        return Labels(by_rows(labels), odd)


def by_rows(counts: dict[str, int]) -> dict[str, int]:
    """The same counts, most rows first, equal ones by text."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _commonest(spellings: Counter[str]) -> str:
    return min(spellings, key=lambda spelling: (-spellings[spelling], spelling))
