"""Grader, what judges one answer, and Grade, what it says: a score, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from stillhouse.wire.samples import Sample

__all__ = ["Asked", "Fault", "FaultKind", "Grade", "Grader", "errored", "variables"]

FaultKind = Literal[
    "formula_parse_error",
    "sample_parse_error",
    "invalid_variable_error",
    "other_error",
    "python_grader_server_error",
    "python_grader_runtime_error",
    "model_grader_server_error",
    "model_grader_refusal_error",
    "model_grader_parse_error",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that went wrong while grading."""

    kind: FaultKind
    message: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A judge's messages and its answer, None where none came."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    answer: Sample | None


@dataclass(frozen=True, slots=True)
class Grade:
    """What a grader says of one sample.

    A grader that cannot tell gives no score, and at least one fault: that is not a score of zero. A grade may have
    both, where a fault has a score by definition (a judge that refuses gives 0).
    """

    score: float | None
    passed: bool | None
    """None without a score, and for graders that have no threshold."""
    reason: str | None = None
    faults: tuple[Fault, ...] = ()
    asked: tuple[Asked, ...] = ()
    """Every judge that was asked."""
    parts: Mapping[str, Grade] = field(default_factory=dict[str, "Grade"])
    """The grades a multi grader is computed from, by key."""

    def __post_init__(self) -> None:
        if self.score is None and (self.passed is not None or not self.faults):
            raise ValueError("A grade without a score neither passes nor fails, and says what went wrong.")
        if self.score is not None and not math.isfinite(self.score):
            raise ValueError(f"A score is a finite number, not {self.score}.")

    @property
    def errored(self) -> bool:
        """Whether the grader could not tell."""
        return self.score is None


class Grader(Protocol):
    """Judges samples, one at a time and many at once; never raises because of what it is given."""

    @property
    def name(self) -> str: ...

    async def __call__(self, item: Mapping[str, Any], sample: Mapping[str, Any] | None) -> Grade:
        """The grade of `sample`, the variables of `Sample.variables`, for the data row `item`."""
        ...


def errored(kind: FaultKind, message: str, asked: tuple[Asked, ...] = ()) -> Grade:
    """A grade that could not be given."""
    return Grade(None, None, message, (Fault(kind, message),), asked)


def variables(item: Mapping[str, Any], sample: Mapping[str, Any] | None) -> dict[str, Any]:
    """What templates may name: `item`, and `sample` where there is one."""
    return {"item": item} if sample is None else {"item": item, "sample": sample}
