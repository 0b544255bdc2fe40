"""Curation: which steps are taken and how, as data; a recipe's tables fill it."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, field
from typing import Any, cast, final

from stillhouse.data.curation.balance import Balance
from stillhouse.data.curation.broken import Broken
from stillhouse.data.curation.coverage import Coverage
from stillhouse.data.curation.decontaminate import Decontaminate
from stillhouse.data.curation.duplicates import Duplicates
from stillhouse.data.curation.label_errors import LabelErrors
from stillhouse.data.curation.languages import Languages
from stillhouse.data.curation.lengths import Lengths
from stillhouse.data.curation.near_duplicates import NearDuplicates
from stillhouse.data.curation.refusals import Refusals
from stillhouse.errors import UsageError

__all__ = ["STEPS", "Curation"]

STEPS = {
    "duplicates": "One of each set of rows that say the same; labels that disagree are told.",
    "near-duplicates": "One of each family of rows that ask almost the same.",
    "decontaminate": "No row that a test set holds, whole or in a run of words.",
    "lengths": "No question or answer that is too short or too long.",
    "languages": "The language of each row, and only the languages that are to be kept.",
    "refusals": "No answer that declines to answer.",
    "broken": "No answer that is empty, cut off, looping or damaged; no left-over templates.",
    "label-errors": "Labels that are likely wrong, tagged with the likelier one.",
    "coverage": "The scenario of each row, and what to collect next.",
    "balance": "No value of a field with more than its part; or weights.",
}
"""Every step and its one line, in the order in which they make most sense."""


@final
@dataclass(frozen=True, slots=True)
class Curation:
    """The steps, in their order, and the settings of each."""

    steps: tuple[str, ...] = ("refusals", "broken", "duplicates", "near-duplicates")
    duplicates: Duplicates = field(default_factory=Duplicates)
    near_duplicates: NearDuplicates = field(default_factory=NearDuplicates)
    decontaminate: Decontaminate = field(default_factory=Decontaminate)
    lengths: Lengths = field(default_factory=Lengths)
    languages: Languages = field(default_factory=Languages)
    refusals: Refusals = field(default_factory=Refusals)
    broken: Broken = field(default_factory=Broken)
    label_errors: LabelErrors = field(default_factory=LabelErrors)
    coverage: Coverage = field(default_factory=Coverage)
    balance: Balance = field(default_factory=Balance)

    def __post_init__(self) -> None:
        if not self.steps:
            raise UsageError(f"No step is named. There are {', '.join(STEPS)}.")
        for name in self.steps:
            if name not in STEPS:
                near = difflib.get_close_matches(name, STEPS, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else f" There are {', '.join(STEPS)}."
                raise UsageError(f"{name!r} is no step of curation.{hint}")
        if len(set(self.steps)) < len(self.steps):
            raise UsageError(f"A step is named twice: {', '.join(self.steps)}.")

    def settings(self, step: str) -> Any:
        """The settings of a step."""
        return getattr(self, step.replace("-", "_"))

    def to_json(self) -> dict[str, Any]:
        """The steps that are taken with all their settings, as plain values."""
        return {step: _plain(asdict(self.settings(step))) for step in self.steps}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in cast("tuple[Any, ...]", value)]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
