"""LabelModel: a model picks one of some labels, of which some pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from stillhouse.chat import Chat
from stillhouse.evaluation.graders.ask_judge import ask_judge
from stillhouse.evaluation.graders.grader import Fault, Grade, errored
from stillhouse.wire.graders import LabelModel
from stillhouse.wire.judge import ask_for_label
from stillhouse.wire.samples import Sampling

__all__ = ["LabelModelGrader"]


@final
@dataclass(frozen=True, slots=True)
class LabelModelGrader:
    """Scores 1 where the label passes, else 0; a refusal is a 0 with a fault, a label that is none is an error."""

    spec: LabelModel
    chat: Chat

    @property
    def name(self) -> str:
        return self.spec.name

    async def __call__(self, item: Mapping[str, Any], sample: Mapping[str, Any] | None) -> Grade:
        """Whether the judge's label passes."""
        judged = await ask_judge(self.chat, self.spec, Sampling(), ask_for_label(self.spec.labels), (item, sample))
        if isinstance(judged, Grade):
            return judged
        if judged.verdict is None:
            fault = Fault("model_grader_refusal_error", f"The judge refused: {judged.refusal}")
            return Grade(0.0, False, fault.message, (fault,), (judged.asked,))
        label = judged.verdict.result
        if not isinstance(label, str) or label not in self.spec.labels:
            return errored("model_grader_parse_error", f"The judge's label is none: {label!r}", (judged.asked,))
        passed = label in self.spec.passing
        reason = f"{label}: {judged.verdict.reason}" if judged.verdict.reason else label
        return Grade(float(passed), passed, reason, asked=(judged.asked,))
