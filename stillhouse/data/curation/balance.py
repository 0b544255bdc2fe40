"""Balance: no label, language or scenario has more than its part; by leaving rows out or by weights."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import final

from stillhouse.data.curation.coverage import CLUSTER
from stillhouse.data.curation.curated import Change, Curated, again
from stillhouse.data.curation.said import label_of
from stillhouse.data.items import Item
from stillhouse.errors import UsageError

__all__ = ["WEIGHT", "Balance", "balance"]

WEIGHT = "weight"
"""What a row's metadata call its weight."""
SHOWN = 50
"""Values whose sizes are told."""
KNOWN = ("label", "language", "cluster", "model", "teacher", "conversation", "subject")


@final
@dataclass(frozen=True, slots=True)
class Balance:
    """Settings of `balance`. `most` and `ratio` are caps; where both are given the smaller counts."""

    by: str = "label"
    """`label`, `language`, `cluster` (found by `coverage`), `model`, `teacher`, `conversation`, `subject`, or a key
    of the metadata."""
    most: int = 0
    """Rows at most of each value; 0: no cap."""
    ratio: float = 0.0
    """Rows at most as a multiple of what the middle value has; 0: no cap."""
    power: float = 1.0
    """Below 1 rows are given weights: a value with share q counts like q to this power, 0 makes all values equal
    (XLM's smoothing, Conneau and Lample 2019, arXiv 1901.07291)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.most < 0 or self.ratio < 0:
            raise UsageError(f"most = {self.most} and ratio = {self.ratio} must be 0 or more.")
        if not 0 <= self.power <= 1:
            raise UsageError(f"power = {self.power} must lie between 0 and 1.")
        if not self.by:
            raise UsageError(f"by must name what to balance: {', '.join(KNOWN)} or a key of the metadata.")


def balance(rows: Iterable[Item], settings: Balance) -> Curated:
    """Drop rows above the cap of their value, those whose hash with the seed is largest, so that neither the order of
    the rows nor other values decide; and write weights with mean 1 into the metadata. Rows without the value stay."""
    rows = again(rows)
    values: list[str | None] = []
    hashes: list[bytes] = []
    for item in rows:
        values.append(_value(item, settings.by))
        hashes.append(hashlib.blake2b(f"{settings.seed}\n{item.id}".encode(), digest_size=8).digest())
    counts = Counter(value for value in values if value is not None)
    if not counts:
        raise UsageError(f"No row has a {settings.by} to balance by.")
    cap = _cap(counts, settings)
    reasons: dict[int, str] = {}
    if cap:
        crowded = {value for value, count in counts.items() if count > cap}
        members: dict[str, list[int]] = {value: [] for value in crowded}
        for number, value in enumerate(values):
            if value in crowded:
                members[value].append(number)
        for value, numbers in members.items():
            numbers.sort(key=lambda number: (hashes[number], number))
            why = f"over-cap: {counts[value]} rows of the {settings.by} {value}, {cap} stay"
            reasons |= dict.fromkeys(numbers[cap:], why)
    changes = _weights(values, reasons, settings) if settings.power < 1 else {}
    told = {"different values": len(counts), f"rows without {settings.by}": values.count(None)}
    sizes = dict(counts.most_common(SHOWN))
    return Curated("balance", rows, len(values), reasons, changes, told, {"sizes": sizes, "cap": cap})


def _value(item: Item, by: str) -> str | None:
    if by == "label":
        return label_of(item)
    if by == "teacher":
        return item.source.teacher
    if by in ("language", "model", "conversation", "subject"):
        return getattr(item.facts, by)
    return item.facts.metadata.get(CLUSTER if by == "cluster" else by)


def _cap(counts: Counter[str], settings: Balance) -> int:
    """Rows at most of each value; 0 where there is no cap."""
    caps = [settings.most] if settings.most else []
    if settings.ratio:
        caps.append(max(int(settings.ratio * median(counts.values())), 1))
    return min(caps, default=0)


def _weights(values: list[str | None], reasons: dict[int, str], settings: Balance) -> dict[int, Change]:
    """The weight of each row that stays and has a value: share to the power, divided by share, with mean 1."""
    left = Counter(value for number, value in enumerate(values) if value is not None and number not in reasons)
    total = sum(left.values())
    wanted = {value: (count / total) ** settings.power for value, count in left.items()}
    every = sum(wanted.values())
    weights = {value: f"{wanted[value] / every * total / left[value]:.6g}" for value in left}
    return {
        number: Change(metadata={WEIGHT: weights[value]})
        for number, value in enumerate(values)
        if value is not None and number not in reasons
    }
