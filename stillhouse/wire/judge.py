"""What a model is asked for when it grades, and its verdict read strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from stillhouse.errors import GraderError

__all__ = ["Verdict", "ask_for_label", "ask_for_score", "read_verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said: its result, whatever JSON that is, and the conclusion of its last step."""

    result: Any
    reason: str | None


def ask_for_score() -> dict[str, Any]:
    """The `response_format` of steps of reasoning and a number."""
    return _response_format({"type": "number"})


def ask_for_label(labels: Sequence[str]) -> dict[str, Any]:
    """The `response_format` of steps of reasoning and one of some labels."""
    return _response_format({"type": "string", "enum": list(labels)})


def read_verdict(text: str) -> Verdict:
    """A judge's answer, which must be one JSON object with a `result`; raises GraderError when it is anything else."""
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise GraderError(f"The judge's answer is not JSON ({error}): {_shown(text)}") from error
    if not isinstance(answer, dict) or "result" not in answer:
        raise GraderError(f"The judge's answer is no object with a result: {_shown(text)}")
    fields = cast(dict[str, Any], answer)
    return Verdict(fields["result"], _last_conclusion(fields.get("steps")))


def _response_format(result: Mapping[str, Any]) -> dict[str, Any]:
    texts = {"description": {"type": "string"}, "conclusion": {"type": "string"}}
    schema = _object({"steps": {"type": "array", "items": _object(texts)}, "result": result})
    return {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _last_conclusion(steps: object) -> str | None:
    if not isinstance(steps, list) or not steps:
        return None
    last = cast(list[Any], steps)[-1]
    conclusion = cast(dict[str, Any], last).get("conclusion") if isinstance(last, dict) else None
    return conclusion if isinstance(conclusion, str) else None


def _shown(text: str) -> str:
    return text if len(text) <= 200 else text[:197] + "..."
