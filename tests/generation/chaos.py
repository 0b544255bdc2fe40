"""A teacher in trouble: it fails, throttles, stalls and hangs up, and keeps account of what it would bill."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass
class Chaos:
    """Answers with the question turned around; a share of attempts meets each kind of trouble, by their number."""

    fails: float = 0.0
    throttles: float = 0.0
    stalls: float = 0.0
    drops: float = 0.0
    honours: bool = True
    """Whether an Idempotency-Key is answered from memory."""
    stall: float = 30.0
    pause: float = 0.0
    tokens: tuple[int, int] = (20, 5)
    attempts: int = 0
    bills: Counter = field(default_factory=Counter)
    """How often each call was billed, by its key."""
    answers: dict = field(default_factory=dict)
    billed: int = 0
    now: int = 0
    most: int = 0

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        key = request.headers["idempotency-key"]
        self.attempts += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.pause)
            return await self._answer(body, key)
        finally:
            self.now -= 1

    async def _answer(self, body: bytes, key: str) -> Response:
        luck = int.from_bytes(hashlib.sha256(f"{key}{self.attempts}".encode()).digest()[:4], "big") / 2**32
        for share, trouble in (
            (self.fails, lambda: Response("oh no", 500)),
            (self.throttles, lambda: JSONResponse({"error": {"message": "Slow down"}}, 429, {"retry-after": "0.05"})),
        ):
            if luck < share:
                return trouble()
            luck -= share
        replayed = self.honours and key in self.answers
        if not replayed:
            self.bills[key] += 1
            self.billed += 1
            self.answers[key] = self._said(json.loads(body))
        said = json.dumps(self.answers[key]).encode()
        if luck < self.stalls:
            await asyncio.sleep(self.stall)
        elif luck < self.stalls + self.drops:
            return StreamingResponse(half(said), headers={"content-length": str(len(said))})
        return Response(said, headers={"idempotent-replayed": "true"} if replayed else {})

    def _said(self, call: dict) -> dict:
        words = call["messages"][-1]["content"]
        message = {"role": "assistant", "content": words[::-1], "refusal": None}
        usage = {"prompt_tokens": self.tokens[0], "completion_tokens": self.tokens[1], "total_tokens": sum(self.tokens)}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


async def half(said: bytes):
    yield said[: len(said) // 2]
    raise ConnectionResetError
