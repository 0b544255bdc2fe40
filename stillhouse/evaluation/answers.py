"""Answers and Terms: what a certificate is made from, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import CannotCertify, UsageError

__all__ = ["Answers", "Bools", "Floats", "Terms"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Terms:
    """What the user wants promised; shares between 0 and 1, neither included. Raises UsageError otherwise."""

    margin: float = 0.02
    """How much worse than its teacher a student may be and still pass."""
    risk: float = 0.02
    """The largest share of disagreement among the answers that a student keeps."""
    confidence: float = 0.95
    """How sure each statement has to be."""

    def __post_init__(self) -> None:
        for name, value in (("margin", self.margin), ("risk", self.risk), ("confidence", self.confidence)):
            if not 0.0 < value < 1.0:
                raise UsageError(f"`{name}` is {value}; it is a share between 0 and 1, neither included, like 0.05.")


@dataclass(frozen=True)
class Answers:
    """How a student answered one part of the traffic, one row a call.

    Raises CannotCertify when lengths differ, or a confidence is not a number between 0 and 1.
    """

    correct: Bools
    """[rows] Whether the student's answer is the teacher's."""
    confidence: Floats
    """[rows] How sure the student is of its answer, 0..1."""
    student_right: Bools | None = None
    """[known] Whether the student's answer is the true one, on the rows whose truth is known."""
    teacher_right: Bools | None = None
    """[known] Whether the teacher's answer is, on the same rows."""

    def __post_init__(self) -> None:
        if self.correct.ndim != 1 or self.correct.shape != self.confidence.shape:
            raise CannotCertify(
                f"There must be one confidence for each answer; got the shapes {self.correct.shape} "
                f"and {self.confidence.shape}."
            )
        odd = int(np.sum(~((self.confidence >= 0.0) & (self.confidence <= 1.0 + 1e-6))))
        if odd:
            raise CannotCertify(
                f"The student's confidence is not a number between 0 and 1 in {odd} of {len(self)} rows: "
                "it is broken. Train it again, with a lower learning rate if it diverged."
            )
        known = [-1 if right is None else len(right) for right in (self.student_right, self.teacher_right)]
        if known[0] != known[1]:
            raise CannotCertify("Against the truth, student and teacher must be judged on the same rows.")

    def __len__(self) -> int:
        return len(self.correct)

    @property
    def disagreements(self) -> int:
        return len(self) - int(np.count_nonzero(self.correct))
