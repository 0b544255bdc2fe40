"""From what a grader's JSON says to the grader, with the means of this server."""

from __future__ import annotations

from dataclasses import dataclass

from stillhouse.chat import Chat
from stillhouse.evaluation.graders.grader import Grader
from stillhouse.evaluation.graders.label_model import LabelModelGrader
from stillhouse.evaluation.graders.multi import MultiGrader
from stillhouse.evaluation.graders.python import PythonGrader
from stillhouse.evaluation.graders.sandbox import Sandbox
from stillhouse.evaluation.graders.score_model import ScoreModelGrader
from stillhouse.evaluation.graders.string_check import StringCheckGrader
from stillhouse.evaluation.graders.text_similarity import Embed, TextSimilarityGrader
from stillhouse.wire.graders import GraderSpec, LabelModel, Multi, Python, ScoreModel, StringCheck, TextSimilarity

__all__ = ["Means", "build_grader"]


@dataclass(frozen=True, slots=True)
class Means:
    """What graders may use: judges to ask, an embedder, a sandbox; None where there is none."""

    chat: Chat
    """Answers for every model that may judge."""
    embed: Embed | None = None
    sandbox: Sandbox | None = None
    """Python graders are enabled by giving one."""


def build_grader(spec: GraderSpec, means: Means) -> Grader:
    """The grader that a specification describes."""
    match spec:
        case StringCheck():
            return StringCheckGrader(spec)
        case TextSimilarity():
            return TextSimilarityGrader(spec, means.embed)
        case LabelModel():
            return LabelModelGrader(spec, means.chat)
        case ScoreModel():
            return ScoreModelGrader(spec, means.chat)
        case Python():
            return PythonGrader(spec, means.sandbox)
        case Multi():
            return MultiGrader(spec, {key: build_grader(one, means) for key, one in spec.graders.items()})
