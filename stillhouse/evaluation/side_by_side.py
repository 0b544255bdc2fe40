"""Two kept runs side by side: which item of one belongs to which of the other, and what became of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from stillhouse.errors import CannotCertify
from stillhouse.evaluation.compare import Outcome, RunComparison, compare_runs
from stillhouse.storage.eval_records import StoredItem
from stillhouse.wire.evals import Eval

__all__ = ["By", "KeptOutcome", "criterion_names", "read_outcome", "set_side_by_side"]

PASSED = {"pass": True, "fail": False, "error": None}


class By(StrEnum):
    """What makes two items a pair."""

    AUTO = "auto"
    """The row, where the two runs have the same items in the same rows; else the item."""
    ROW = "row"
    """The number of the row."""
    ITEM = "item"
    """The item itself; of several that are alike the first with the first, and so on."""


@dataclass(frozen=True, slots=True)
class KeptOutcome:
    """What became of one row of a kept run, and of which item."""

    row: int
    item: bytes
    """The item as JSON with its keys in order."""
    outcome: Outcome


def criterion_names(of: Eval) -> dict[str, str]:
    """By their ids, the names of an eval's criteria; where two have one name, it is the id."""
    counts = Counter(one.grader.name for one in of.criteria)
    return {one.id: one.grader.name if counts[one.grader.name] == 1 else one.id for one in of.criteria}


def read_outcome(item: StoredItem, names: Mapping[str, str]) -> KeptOutcome:
    """A kept item's outcome, its scores by the names of the criteria."""
    told: dict[str, Any] = orjson.loads(item.content)
    scores = {
        names.get(result["name"], result["name"]): float(result["score"])
        for result in told["results"]
        if result["score"] is not None
    }
    content = orjson.dumps(told["datasource_item"], option=orjson.OPT_SORT_KEYS)
    return KeptOutcome(item.row, content, Outcome(PASSED[item.status], scores))


def set_side_by_side(
    first: Sequence[KeptOutcome], second: Sequence[KeptOutcome], by: By = By.AUTO, confidence: float = 0.95
) -> tuple[RunComparison, By]:
    """The second run against the first, and what made their pairs; rows are numbered as in the first.

    Raises CannotCertify when they have no pair.
    """
    by = _what_pairs(first, second) if by is By.AUTO else by
    before = {one.row: one.outcome for one in first}
    if by is By.ROW:
        return compare_runs(before, {one.row: one.outcome for one in second}, confidence), by
    rows = dict(zip(_occurrences(first), [one.row for one in first], strict=True))
    after: dict[int, Outcome] = {}
    for number, (key, one) in enumerate(zip(_occurrences(second), second, strict=True)):
        after[rows.get(key, -1 - number)] = one.outcome
    if not before.keys() & after.keys():
        raise CannotCertify(
            "The two runs have no item in common, so nothing can be compared pair by pair. "
            "Where row n of one belongs to row n of the other all the same, say --by row."
        )
    return compare_runs(before, after, confidence), by


def _what_pairs(first: Sequence[KeptOutcome], second: Sequence[KeptOutcome]) -> By:
    items = {one.row: one.item for one in first}
    return By.ROW if all(items.get(one.row, one.item) == one.item for one in second) else By.ITEM


def _occurrences(outcomes: Sequence[KeptOutcome]) -> list[tuple[bytes, int]]:
    """Each row's item, and how often it was there before."""
    seen: Counter[bytes] = Counter()
    keys: list[tuple[bytes, int]] = []
    for one in outcomes:
        keys.append((one.item, seen[one.item]))
        seen[one.item] += 1
    return keys
