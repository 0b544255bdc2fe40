"""Models that judge, for tests: each answers a call with text it was told, and keeps what it was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from stillhouse.chat import ChatCall, Choice, Completion, Relayed, Route, TokenLogprob, Usage


@dataclass
class Judge:
    """An endpoint's answer, as bytes that came over the wire."""

    text: str | None
    refusal: str | None = None
    finish_reason: str = "stop"
    calls: list[dict] = field(default_factory=list)

    async def __call__(self, call: ChatCall) -> Relayed:
        self.calls.append(json.loads(call.body))
        message = {"role": "assistant", "content": self.text, "refusal": self.refusal}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        body = {"id": "x", "model": f"{call.model}-2026", "choices": [choice], "usage": usage}
        return Relayed(json.dumps(body).encode(), Route("teacher"))


@dataclass
class Student:
    """An answer made here."""

    text: str

    async def __call__(self, call: ChatCall) -> Completion:
        pieces = (TokenLogprob(self.text, -0.1),)
        return Completion("student", (Choice(pieces),), Usage(5, 1), Route("student"))


def verdict(result: object, conclusion: str = "so it is") -> str:
    return json.dumps({"steps": [{"description": "look", "conclusion": conclusion}], "result": result})
