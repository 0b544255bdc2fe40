"""An endpoint that answers by the words of the question, and says what it was asked and how much at once."""

from __future__ import annotations

import asyncio
import json
import math

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Endpoint:
    """Answers with the question turned around, where no word in it ("refuse", "fail", "cut" ...) wants otherwise."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.asked: list[dict] = []
        self.keys: list[str | None] = []
        self.now = self.most = 0

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        call = json.loads(await request.body())
        self.asked.append(call)
        self.keys.append(request.headers.get("authorization"))
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.pause)
        self.now -= 1
        words = call["messages"][-1]["content"]
        if call["model"] == "nobody":
            return JSONResponse({"error": {"message": "The model nobody does not exist."}}, 404)
        if "refuse" in words:
            return JSONResponse({"error": {"message": "This is against our policy."}}, 400)
        if "fail" in words:
            return Response("oh no", 500)
        if "empty-handed" in words:
            return JSONResponse({"choices": []})
        return JSONResponse({"choices": [choice(words) | ({"logprobs": BETS} if call.get("logprobs") else {})]})


def bet(token: str, share: float, *others: tuple[str, float]) -> dict:
    """A token with how likely it was, and what was likely instead."""
    top = [{"token": one, "logprob": math.log(each)} for one, each in ((token, share), *others)]
    return {**top[0], "top_logprobs": top}


BETS = {"content": [bet("bill", 0.8, ("ship", 0.16), ("x", 0.01)), bet("ing", 1.0)]}
"""Of the answer "billing", with 0.16 on what begins "shipping", and 0.04 on no label."""


def choice(words: str) -> dict:
    """What is said to some words."""
    said = words[::-1]
    if "one of these labels" in words:
        said = (
            "Billing."
            if "MONEY" in words
            else "billing"
            if "money" in words
            else " shipping"
            if "parcel" in words
            else "who knows"
        )
    message = {"role": "assistant", "content": said, "refusal": None}
    return {"index": 0, "message": message, "finish_reason": "length" if "cut" in words else "stop"}
