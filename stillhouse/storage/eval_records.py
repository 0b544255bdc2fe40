"""Records of evals: an eval, a run of it, what the run has counted, and the items that are done; knows no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

__all__ = ["FINAL", "DoneItem", "ItemStatus", "RunCounts", "RunStatus", "StoredEval", "StoredItem", "StoredRun"]

RunStatus = Literal["queued", "in_progress", "completed", "failed", "canceled"]
ItemStatus = Literal["pass", "fail", "error"]
FINAL: tuple[RunStatus, ...] = ("completed", "failed", "canceled")
"""What a run stays once it is."""

Outcomes = tuple[int, int, int]
"""How many passed, failed and errored."""

Spent = tuple[int, int, int, int]
"""How many calls, and their tokens: of the prompts, of the answers, and of the prompts those from a cache."""


@dataclass(frozen=True, slots=True)
class StoredEval:
    """An eval as it is kept: `content` is its JSON, but for its name and its metadata, which may change.

    Times are in Unix seconds; `updated` is when it, or a run of it, was last asked for.
    """

    id: str
    created: int
    updated: int
    name: str
    metadata: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class RunCounts:
    """What a run has counted: its items by outcome, the same by criterion, and what was spent by model."""

    items: Outcomes = (0, 0, 0)
    criteria: Mapping[str, Outcomes] = field(default_factory=dict[str, Outcomes])
    usage: Mapping[str, Spent] = field(default_factory=dict[str, Spent])

    def __add__(self, other: RunCounts) -> RunCounts:
        criteria, usage = dict(self.criteria), dict(self.usage)
        for name, outcomes in other.criteria.items():
            criteria[name] = _sum(criteria.get(name, (0, 0, 0)), outcomes)
        for name, (calls, *tokens) in other.usage.items():
            before = usage.get(name, (0, 0, 0, 0))
            prompt, completion, cached = tokens
            usage[name] = (before[0] + calls, before[1] + prompt, before[2] + completion, before[3] + cached)
        return replace(self, items=_sum(self.items, other.items), criteria=criteria, usage=usage)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run of an eval as it is kept; `source` is the JSON of its data source."""

    id: str
    eval_id: str
    created: int
    status: RunStatus
    name: str
    model: str | None
    metadata: Mapping[str, str]
    token: str
    """Whoever has it may read the run's page."""
    source: bytes
    counts: RunCounts = field(default_factory=RunCounts)
    error: tuple[str, str] | None = None
    """The code and the words of what ended a run that failed."""

    @property
    def is_final(self) -> bool:
        """Whether it changes no more."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True)
class StoredItem:
    """A row of a run that is done; `content` is its JSON as clients read it."""

    id: str
    row: int
    status: ItemStatus
    content: bytes


@dataclass(frozen=True, slots=True)
class DoneItem:
    """An item that has just been done, and what it adds to the counts of its run."""

    item: StoredItem
    counts: RunCounts


def _sum(one: Outcomes, other: Outcomes) -> Outcomes:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
