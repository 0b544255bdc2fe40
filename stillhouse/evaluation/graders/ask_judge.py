"""Ask a model for a verdict: the prompt filled in, sent as a chat call, and the answer read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stillhouse.chat import Chat
from stillhouse.errors import GraderError, StillhouseError, TemplateError
from stillhouse.evaluation.graders.grader import Asked, Grade, errored, variables
from stillhouse.evaluation.templates import fill_messages
from stillhouse.wire.graders import LabelModel, ScoreModel
from stillhouse.wire.judge import Verdict, read_verdict
from stillhouse.wire.samples import Sample, Sampling, read_answer, write_call

__all__ = ["Judged", "ask_judge"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, or the refusal to give one, and how it was asked for."""

    verdict: Verdict | None
    asked: Asked
    refusal: str | None = None


async def ask_judge(
    chat: Chat,
    spec: LabelModel | ScoreModel,
    sampling: Sampling,
    response_format: Mapping[str, Any],
    known: tuple[Mapping[str, Any], Mapping[str, Any] | None],
) -> Judged | Grade:
    """The judge's verdict on `known`, an item and its sample; a Grade when there is none.

    No answer, an answer cut off, and one that is not the JSON that was asked for are errors: nothing was judged.
    """
    try:
        messages = fill_messages(spec.prompt, variables(*known))
    except TemplateError as error:
        return errored("invalid_variable_error", str(error))
    asked = Asked(spec.model, messages, None)
    try:
        call = write_call(spec.model, messages, replace(sampling, response_format=response_format))
        answer = read_answer(await chat(call))
    except StillhouseError as error:
        return errored("model_grader_server_error", str(error), (asked,))
    return _judged(replace(asked, answer=answer), answer)


def _judged(asked: Asked, answer: Sample) -> Judged | Grade:
    if answer.refusal is not None:
        return Judged(None, asked, answer.refusal)
    if answer.finish_reason == "length":
        return errored("model_grader_parse_error", "The judge's answer was cut off: allow it more tokens.", (asked,))
    try:
        return Judged(read_verdict(answer.text), asked)
    except GraderError as error:
        return errored("model_grader_parse_error", str(error), (asked,))
