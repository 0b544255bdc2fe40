"""Samples: what a model answered and how it was asked, as evals and graders see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from stillhouse.chat import Answer, ChatCall, Completion
from stillhouse.errors import TeacherError
from stillhouse.wire.chat import read_call
from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import Fields, missing, wrong_type

__all__ = [
    "EFFORTS",
    "Sample",
    "Sampling",
    "Tokens",
    "read_answer",
    "read_sample",
    "read_sampling",
    "sample_of_text",
    "write_call",
    "write_sample",
    "write_sampling",
]

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
MISSPELT = "max_completions_tokens"
"""What OpenAI's evals call `max_completion_tokens`."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What answers cost, in tokens; costs add up."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.prompt + other.prompt, self.completion + other.completion, self.cached + other.cached)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a model is to be asked; None leaves a choice to the model."""

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    response_format: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    written: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """As it came, for the echo."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer: its text, and the message it came in."""

    text: str
    message: Mapping[str, Any]
    choices: tuple[Mapping[str, Any], ...] = ()
    model: str | None = None
    finish_reason: str | None = None
    tokens: Tokens = Tokens()

    @property
    def refusal(self) -> str | None:
        """Why the model would not answer, where it would not."""
        return self.message.get("refusal") or None

    @property
    def variables(self) -> dict[str, Any]:
        """What templates and Python graders find under `sample`; no `output_json` where the text is not JSON."""
        found: dict[str, Any] = {
            "output_text": self.text,
            "output_tools": self.message.get("tool_calls") or [],
            "choices": list(self.choices),
        }
        if self.message.get("audio") is not None:
            found["output_audio"] = self.message["audio"]
        with suppress(orjson.JSONDecodeError):
            found["output_json"] = orjson.loads(self.text)
        return found


def sample_of_text(text: str) -> Sample:
    """A sample of which only the text is known."""
    message = {"role": "assistant", "content": text}
    return Sample(text, message, ({"index": 0, "message": message, "finish_reason": "stop"},), finish_reason="stop")


def read_sample(value: object, path: str) -> Sample:
    """A sample of a data row: a whole chat completion, or `{"output_text": ...}`; raises WireError."""
    fields = Fields(value, path)
    if fields.get("choices") is None:
        if fields.get("output_text") is None:
            raise missing(f"{path}.output_text")
        return sample_of_text(fields.text("output_text"))
    choices = [Fields(choice, where) for choice, where in fields.items("choices", fewest=1)]
    message = choices[0].inner("message")
    return Sample(
        text=_text(message),
        message=message.values,
        choices=tuple([choice.values for choice in choices]),
        model=fields.text_or_none("model"),
        finish_reason=choices[0].text_or_none("finish_reason"),
        tokens=_tokens(fields.inner_or_empty("usage")),
    )


def read_answer(answer: Answer) -> Sample:
    """A model's whole answer as a sample; raises TeacherError when it is no chat completion."""
    if isinstance(answer, Completion):
        text = answer.choices[0].text
        message = {"role": "assistant", "content": text}
        reason = answer.choices[0].finish_reason
        tokens = Tokens(answer.usage.prompt_tokens, answer.usage.completion_tokens)
        choices = ({"index": 0, "message": message, "finish_reason": reason},)
        return Sample(text, message, choices, answer.model, reason, tokens)
    if not isinstance(answer.content, bytes):
        answer.content.close()
        raise TeacherError("The model streams its answer, although it was asked not to.")
    try:
        return read_sample(orjson.loads(answer.content), "answer")
    except (orjson.JSONDecodeError, WireError) as error:
        raise TeacherError(f"The model's answer is not a chat completion: {error}") from error


def read_sampling(fields: Fields) -> Sampling:
    """How to ask a model, with either spelling of the most tokens; raises WireError."""
    most = "max_completion_tokens" if fields.get("max_completion_tokens") is not None else MISSPELT
    response_format = fields.get("response_format")
    if response_format is not None and not isinstance(response_format, dict):
        raise wrong_type(fields.at("response_format"), "an object", response_format)
    effort = fields.get("reasoning_effort")
    tools = fields.items("tools") if fields.get("tools") is not None else []
    return Sampling(
        temperature=fields.number("temperature", low=0, high=2),
        top_p=fields.number("top_p", low=0, high=1),
        seed=fields.whole("seed"),
        max_tokens=fields.whole(most, low=1),
        reasoning_effort=None if effort is None else fields.choice("reasoning_effort", EFFORTS),
        response_format=cast("dict[str, Any] | None", response_format),
        tools=tuple([Fields(tool, path).values for tool, path in tools]),
        written=fields.values,
    )


def write_sampling(sampling: Sampling) -> dict[str, Any]:
    """The fields of a chat call that say how to ask."""
    asked = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "max_completion_tokens": sampling.max_tokens,
        "reasoning_effort": sampling.reasoning_effort,
        "response_format": sampling.response_format,
        "tools": list(sampling.tools) or None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def write_call(model: str, messages: Sequence[Mapping[str, Any]], sampling: Sampling) -> ChatCall:
    """A chat call; raises WireError when the messages are none that can be sent."""
    try:
        body = orjson.dumps({"model": model, "messages": list(messages), **write_sampling(sampling)})
    except TypeError as error:
        raise WireError(f"The call cannot be written as JSON: {error}.", "invalid_value", "messages") from error
    return read_call(body)


def write_sample(
    sample: Sample | None, messages: Sequence[Mapping[str, Any]], sampling: Sampling, error: tuple[str, str] | None
) -> dict[str, Any]:
    """A sample with what was asked, as output items show it; without a sample, `error` holds its code and message."""
    tokens = sample.tokens if sample else Tokens()
    return {
        "input": [_shown(message) for message in messages],
        "output": [_shown(sample.message)] if sample else [],
        "finish_reason": sample.finish_reason if sample else None,
        "model": sample.model if sample else None,
        "usage": {
            "total_tokens": tokens.prompt + tokens.completion,
            "completion_tokens": tokens.completion,
            "prompt_tokens": tokens.prompt,
            "cached_tokens": tokens.cached,
        },
        "error": None if error is None else {"code": error[0], "message": error[1]},
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "reasoning_effort": sampling.reasoning_effort,
        "max_completion_tokens": sampling.max_tokens,
        MISSPELT: sampling.max_tokens,
    }


def _shown(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    words = content if isinstance(content, str) or content is None else orjson.dumps(content).decode()
    absent = {"tool_call_id": None, "tool_calls": None, "function_call": None}
    told = {name: message[name] for name in absent if message.get(name) is not None}
    return {"role": message.get("role", "assistant"), "content": words, **absent, **told}


def _text(message: Fields) -> str:
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    parts = [Fields(part, path) for part, path in message.items("content")]
    return "".join([part.text("text") for part in parts if part.get("type") == "text"])


def _tokens(usage: Fields) -> Tokens:
    details = usage.inner_or_empty("prompt_tokens_details")
    return Tokens(
        usage.whole("prompt_tokens") or 0,
        usage.whole("completion_tokens") or 0,
        details.whole("cached_tokens") or 0,
    )
