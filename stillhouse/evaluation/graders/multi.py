"""Multi: several graders, and one score computed from theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from stillhouse.errors import FormulaError
from stillhouse.evaluation.graders.formula import Formula
from stillhouse.evaluation.graders.grader import Fault, Grade, Grader
from stillhouse.wire.graders import Multi

__all__ = ["MultiGrader"]


@final
@dataclass(frozen=True, slots=True)
class MultiGrader:
    """Computes its formula over the scores of its graders; it has no threshold, so nothing passes or fails.

    Where a grader that the formula names cannot tell, neither can this one. A formula that cannot be read asks nobody.
    """

    spec: Multi
    graders: Mapping[str, Grader]

    @property
    def name(self) -> str:
        return self.spec.name

    async def __call__(self, item: Mapping[str, Any], sample: Mapping[str, Any] | None) -> Grade:
        """The formula's value, with the grades it is computed from."""
        try:
            formula = Formula.read(self.spec.formula, self.graders.keys())
        except FormulaError as error:
            return _grade(None, {}, Fault("formula_parse_error", str(error)))
        grades = await asyncio.gather(*[grader(item, sample) for grader in self.graders.values()])
        parts = dict(zip(self.graders, grades, strict=True))
        scores = {key: grade.score for key, grade in parts.items() if grade.score is not None}
        if formula.names - scores.keys():
            return _grade(None, parts)
        try:
            return _grade(formula.compute(scores), parts)
        except FormulaError as error:
            return _grade(None, parts, Fault("formula_parse_error", str(error)))


def _grade(score: float | None, parts: Mapping[str, Grade], fault: Fault | None = None) -> Grade:
    """A grade that holds the faults and the judges of its parts too."""
    faults = [*([fault] if fault else []), *(one for grade in parts.values() for one in grade.faults)]
    return Grade(
        score=score,
        passed=None,
        reason=faults[0].message if faults else None,
        faults=tuple(faults),
        asked=tuple([asked for grade in parts.values() for asked in grade.asked]),
        parts=parts,
    )
