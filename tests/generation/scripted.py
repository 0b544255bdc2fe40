"""A teacher that answers as a function says: of the request, and of how often the same one came before."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Script = Callable[[dict, int], object]
"""Gives the words of the answer, or a whole choice, or several of these, or a status with words."""


class Scripted:
    """Serves a script, and remembers what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[dict] = []
        self.seen: Counter[bytes] = Counter()

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        call = json.loads(body)
        self.asked.append(call)
        said = self.script(call, self.seen[body])
        self.seen[body] += 1
        if isinstance(said, tuple):
            return JSONResponse({"error": {"message": said[1]}}, said[0])
        choices = [
            each
            if isinstance(each, dict)
            else {"message": {"role": "assistant", "content": each}, "finish_reason": "stop"}
            for each in (said if isinstance(said, list) else [said])
        ]
        usage = {"prompt_tokens": 11, "completion_tokens": 3}
        return JSONResponse({"choices": [{"index": at, **each} for at, each in enumerate(choices)], "usage": usage})


def last_words(call: dict) -> str:
    """What was asked last, the words alone."""
    content = call["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
