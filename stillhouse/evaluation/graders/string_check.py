"""StringCheck: equal, unequal, or the reference within the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from stillhouse.errors import TemplateError
from stillhouse.evaluation.graders.grader import Grade, errored, variables
from stillhouse.evaluation.templates import fill
from stillhouse.wire.graders import StringCheck

__all__ = ["StringCheckGrader"]


@final
@dataclass(frozen=True, slots=True)
class StringCheckGrader:
    """Scores 1 or 0. `eq` and `ne` compare exactly; `like` finds the reference in the input, `ilike` in any case."""

    spec: StringCheck

    @property
    def name(self) -> str:
        return self.spec.name

    async def __call__(self, item: Mapping[str, Any], sample: Mapping[str, Any] | None) -> Grade:
        """1 where the comparison holds."""
        known = variables(item, sample)
        try:
            text, reference = fill(self.spec.input, known), fill(self.spec.reference, known)
        except TemplateError as error:
            return errored("invalid_variable_error", str(error))
        holds = self._holds(text, reference)
        return Grade(float(holds), holds)

    def _holds(self, text: str, reference: str) -> bool:
        match self.spec.operation:
            case "eq":
                return text == reference
            case "ne":
                return text != reference
            case "like":
                return reference in text
            case "ilike":
                return reference.casefold() in text.casefold()
