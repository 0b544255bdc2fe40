"""A teacher that answers by a rule, over HTTP, and says what it was asked; and the prompts that tests ask it with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stillhouse.generation.book import Book
from stillhouse.generation.budget import Budget
from stillhouse.generation.desk import Desk
from stillhouse.generation.limits import Limits
from stillhouse.generation.rounds import Rounds
from stillhouse.teachers.api import Endpoint
from tests.gateway.serving import served

Rule = Callable[[str, dict], object]
QUICK = Limits(at_once=4, seconds=10, retries=1, first_wait=0.01)


class Rules:
    """Answers what a rule makes of the last message and the call: words, or anything else as JSON; None refuses."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.asked: list[dict] = []

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        call = json.loads(await request.body())
        self.asked.append(call)
        said = self.rule(call["messages"][-1]["content"], call)
        if said is None:
            return JSONResponse({"error": {"message": "This is against our policy."}}, 400)
        words = said if isinstance(said, str) else json.dumps(said)
        choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return JSONResponse({"choices": [choice], "usage": usage})


class Words:
    """A prompt with blanks in plain text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def fill(self, values) -> list[dict]:
        return [{"role": "user", "content": re.sub(r"\{(\w+)\}", lambda blank: values[blank[1]], self.text)}]


@contextmanager
def asking(rule: Rule, folder: Path, partial: bool = False, budget: Budget | None = None) -> Iterator[tuple]:
    """A teacher that follows a rule, and the way to ask it in rounds."""
    rules = Rules(rule)
    with served(rules.app()) as url:
        yield rules, Rounds(Desk(Endpoint(url), Book(folder / "book.jsonl"), QUICK, budget), partial=partial)
