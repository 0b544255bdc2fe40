"""Every step of curation by name, and several taken one after the other over the same rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from stillhouse.data.curation.balance import balance
from stillhouse.data.curation.broken import broken
from stillhouse.data.curation.coverage import coverage
from stillhouse.data.curation.curated import Curated, Step, again
from stillhouse.data.curation.curation import Curation
from stillhouse.data.curation.decontaminate import decontaminate
from stillhouse.data.curation.duplicates import duplicates
from stillhouse.data.curation.label_errors import label_errors
from stillhouse.data.curation.languages import languages
from stillhouse.data.curation.lengths import lengths
from stillhouse.data.curation.near_duplicates import near
from stillhouse.data.curation.refusals import refusals
from stillhouse.data.curation.vectors import Vectors
from stillhouse.data.items import Item
from stillhouse.errors import UsageError

__all__ = ["Means", "Taken", "curate"]


@final
@dataclass(frozen=True, slots=True)
class Means:
    """What steps need besides the rows."""

    tests: Mapping[str, Iterable[Item]] = field(default_factory=dict[str, Iterable[Item]])
    """Test sets by name, for `decontaminate`; each is read again and again."""
    traffic: Iterable[Item] = ()
    """What the rows are to stand for, for `coverage`."""
    vectors: Vectors | None = None
    """A sentence encoder, for `coverage`."""


@final
@dataclass(frozen=True, slots=True)
class Taken:
    """What several steps did, one after the other."""

    steps: Sequence[Curated]
    """At least one; each saw what the one before kept."""

    @property
    def kept(self) -> Iterable[Item]:
        """The rows that all steps kept."""
        return self.steps[-1].kept

    @property
    def dropped(self) -> Iterator[tuple[Item, str]]:
        """The rows that some step dropped, with its reason, step by step."""
        for each in self.steps:
            yield from each.dropped

    @property
    def counts(self) -> dict[str, int]:
        """Rows in all, kept, and dropped by reason."""
        words: Counter[str] = Counter()
        for each in self.steps:
            words.update(Counter(reason.split(":", 1)[0] for reason in each.reasons.values()))
        total, left = self.steps[0].total, self.steps[-1].total - len(self.steps[-1].reasons)
        return {"rows": total, "kept": left, "dropped": total - left, **dict(sorted(words.items()))}


def curate(
    rows: Iterable[Item], curation: Curation, means: Means | None = None, told: Callable[[str], None] = lambda _: None
) -> Taken:
    """Take the steps of a curation; `told` is called with the name of each before it is taken.

    The same rows and settings give the same result everywhere. Rows are read again for every step: give a list, or
    something that reads a file each time it is iterated.
    """
    functions = _functions(means or Means())
    rows = again(rows)
    taken: list[Curated] = []
    for name in curation.steps:
        told(name)
        taken.append(functions[name](rows, curation.settings(name)))
        rows = taken[-1].kept
    return Taken(taken)


def _functions(means: Means) -> dict[str, Step]:
    def against(rows: Iterable[Item], settings: object, /) -> Curated:
        if not means.tests:
            raise UsageError("`decontaminate` needs the test sets to compare with: --against NAME@N or a file.")
        return decontaminate(rows, settings, means.tests)  # pyright: ignore[reportArgumentType]  # as all steps are

    def covered(rows: Iterable[Item], settings: object, /) -> Curated:
        return coverage(rows, settings, means.vectors, means.traffic)  # pyright: ignore[reportArgumentType]  # likewise

    return {
        "duplicates": duplicates,
        "near-duplicates": near,
        "decontaminate": against,
        "lengths": lengths,
        "languages": languages,
        "refusals": refusals,
        "broken": broken,
        "label-errors": label_errors,
        "coverage": covered,
        "balance": balance,
    }
