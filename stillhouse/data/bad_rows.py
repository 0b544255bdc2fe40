"""BadRows: rows that cannot be used: listed in one error, or counted and kept aside."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import final

from stillhouse.errors import BadRow, TrafficError

__all__ = ["BadRows"]

SHOWN = 10
"""Rows that an error names."""

REASONS, OTHER = 100, "other reasons"
"""Reasons that are counted apart, and what the others are counted as."""


@final
class BadRows:
    """What a file holds that cannot be used, and what is none of our business in it."""

    def __init__(self, skip: bool = False, aside: Path | None = None) -> None:
        self.count = 0
        self.reasons: Counter[str] = Counter()
        """How many rows cannot be used, by the reason."""
        self.passed: Counter[str] = Counter()
        """How many rows are sound but no items, by what they are: spans without a call, calls that failed."""
        if aside is not None:
            aside.unlink(missing_ok=True)
        self._skip, self._aside = skip, aside
        self._first: list[BadRow] = []

    def add(self, row: BadRow, line: bytes, counts: bool = True) -> None:
        """Keep a row aside; one that does not count is listed there and nowhere else."""
        self.count += counts
        if counts:
            told = row.reason in self.reasons or len(self.reasons) < REASONS
            self.reasons[row.reason if told else OTHER] += 1
        if counts and len(self._first) < SHOWN:
            self._first.append(row)
        if self._aside is not None:
            original = line.decode("utf-8", "replace").rstrip("\r\n")
            kept = {"file": row.file, "line": row.line, "reason": row.reason, "row": original}
            self._aside.parent.mkdir(parents=True, exist_ok=True)
            with self._aside.open("a", encoding="utf-8") as file:
                file.write(json.dumps(kept, ensure_ascii=False) + "\n")

    def pass_over(self, what: str) -> None:
        """Count a row that is sound but no item."""
        self.passed[what] += 1

    def refuse(self) -> None:
        """Raise one error about all bad rows, unless they are to be skipped."""
        if self.count and not self._skip:
            advice = "Correct them, or pass --skip-bad-rows: it counts them and keeps them aside."
            raise TrafficError(f"{self.listed()}\n{advice}")

    def listed(self) -> str:
        """How many rows are bad, the first of them on lines of their own, and how many more there are."""
        count = "One row cannot" if self.count == 1 else f"{self.count:,} rows cannot"
        more = self.count - len(self._first)
        rows = "".join(f"\n  {row}" for row in self._first)
        return f"{count} be used:{rows}" + (f"\n  and {more:,} more" if more else "")
