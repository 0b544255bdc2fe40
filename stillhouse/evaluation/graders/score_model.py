"""ScoreModel: a model gives a number within a range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from stillhouse.chat import Chat
from stillhouse.evaluation.graders.ask_judge import Judged, ask_judge
from stillhouse.evaluation.graders.grader import Fault, Grade
from stillhouse.wire.graders import ScoreModel
from stillhouse.wire.judge import ask_for_score

__all__ = ["ScoreModelGrader"]


@final
@dataclass(frozen=True, slots=True)
class ScoreModelGrader:
    """Passes at or above its threshold; numbers outside the range count as its nearest end.

    As OpenAI's, a judge that refuses, or whose result is no number, gives a score of 0, with a fault that says so.
    """

    spec: ScoreModel
    chat: Chat

    @property
    def name(self) -> str:
        return self.spec.name

    async def __call__(self, item: Mapping[str, Any], sample: Mapping[str, Any] | None) -> Grade:
        """The judge's number."""
        judged = await ask_judge(self.chat, self.spec, self.spec.sampling, ask_for_score(), (item, sample))
        if isinstance(judged, Grade):
            return judged
        if judged.verdict is None:
            return _zero(judged, Fault("model_grader_refusal_error", f"The judge refused: {judged.refusal}"))
        result = judged.verdict.result
        if not isinstance(result, int | float) or isinstance(result, bool):
            return _zero(judged, Fault("model_grader_parse_error", f"The judge's result is no number: {result!r}"))
        low, high = self.spec.range
        score = min(max(float(result), low), high)
        return Grade(score, score >= self.spec.pass_threshold, judged.verdict.reason, asked=(judged.asked,))


def _zero(judged: Judged, fault: Fault) -> Grade:
    return Grade(0.0, False, fault.message, (fault,), (judged.asked,))
