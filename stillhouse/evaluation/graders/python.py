"""Python: a function `grade(sample, item)` of the user, run in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from stillhouse.evaluation.graders.grader import Grade, errored
from stillhouse.evaluation.graders.sandbox import Sandbox
from stillhouse.wire.graders import Python

__all__ = ["PythonGrader"]

ALWAYS_THERE: Mapping[str, object] = {
    "choices": [],
    "output_text": "",
    "output_json": None,
    "output_tools": [],
    "output_audio": None,
}
"""The keys that a source may count on, whatever the sample has."""


@final
@dataclass(frozen=True, slots=True)
class PythonGrader:
    """Passes at or above its threshold; without a sandbox it is not enabled, and cannot tell.

    A source that fails, or returns no finite number, gives no score. Its score is not clamped.
    """

    spec: Python
    sandbox: Sandbox | None

    @property
    def name(self) -> str:
        return self.spec.name

    async def __call__(self, item: Mapping[str, Any], sample: Mapping[str, Any] | None) -> Grade:
        """What `grade` returns."""
        if self.sandbox is None:
            return errored("python_grader_server_error", "Python graders are not enabled on this server.")
        outcome = await self.sandbox.run(self.spec.source, {**ALWAYS_THERE, **(sample or {})}, item)
        if outcome.score is None:
            kind = "python_grader_runtime_error" if outcome.by_source else "python_grader_server_error"
            return errored(kind, outcome.trouble or "The source gave no score.")
        return Grade(outcome.score, outcome.score >= self.spec.pass_threshold)
