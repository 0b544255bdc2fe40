"""What the tests of evals share: models behind an HTTP API, a gateway before them, and hands that carry runs out."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stillhouse.evaluation.graders.build import Means
from stillhouse.gateway.app import create_app
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.house import Answerer, House
from stillhouse.gateway.judges import Judges
from stillhouse.gateway.shelf import Shelf
from stillhouse.jobs.evaluate import evaluate
from stillhouse.storage.store import Store
from stillhouse.teachers.api import Endpoint, TeacherModel
from stillhouse.teachers.asking import Patience
from stillhouse.wire.models import ModelCard
from tests.gateway.serving import served

MODELS = ("shouts", "echoes", "judge", "gone")
TOOL = {
    "type": "function",
    "function": {"name": "find", "parameters": {"type": "object", "properties": {"symbols": {"type": "array"}}}},
}


@dataclass
class Upstream:
    """Several models of one API: one shouts, one echoes, one judges; "gone" is not there. Who says "fail" fails;
    who begins with "slowly" waits."""

    calls: list[dict] = field(default_factory=list)
    seconds: float = 0.0
    held: threading.Event | None = None
    """While it is not set, calls wait."""

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        call = await request.json()
        self.calls.append(call)
        while self.held is not None and not self.held.is_set():
            await asyncio.sleep(0.01)
        asked = call["messages"][-1]["content"]
        await asyncio.sleep(1.0 if asked.startswith("slowly") else self.seconds)
        if call["model"] == "gone":
            error = {"message": "The model 'gone' does not exist", "type": "x", "param": "model"}
            return JSONResponse({"error": {**error, "code": "model_not_found"}}, 404)
        if "fail" in asked:
            return JSONResponse({"error": {"message": "no such thing", "type": "x", "param": None, "code": None}}, 422)
        message = {"role": "assistant", "content": None, "refusal": None}
        if call.get("tools"):
            called = {"name": "find", "arguments": json.dumps({"symbols": asked.split()})}
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": called}]
        else:
            message["content"] = written(call, asked)
        return JSONResponse(completion(call["model"], message, asked))


def completion(model: str, message: dict, asked: str) -> dict:
    words = len(asked.split())
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "id": "chatcmpl-u",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": f"{model}-2026-01-01",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": {"prompt_tokens": words, "completion_tokens": 2, "total_tokens": words + 2},
    }


def written(call: dict, asked: str) -> str:
    """The text of an answer: a verdict for whom asks for one, a list of symbols for who asks for JSON, else words."""
    form = (call.get("response_format") or {}).get("json_schema", {}).get("schema")
    if form is None:
        return asked.upper() if call["model"] == "shouts" else asked
    if "result" not in form["properties"]:
        return json.dumps({"symbols": asked.split()})
    labels = form["properties"]["result"].get("enum")
    result = (labels[0] if asked.isupper() else labels[-1]) if labels else float(len(asked.split()))
    return json.dumps({"steps": [{"description": "I look", "conclusion": "so it is"}], "result": result})


@dataclass
class World:
    """Where an eval is run: the gateway's URL, the models behind it, and what is kept where."""

    url: str
    upstream: Upstream
    home: Path
    database: str | None

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"


@dataclass(frozen=True)
class Site:
    """A worker's place without a worker."""

    store: Store
    home: Path
    gateway: str | None


@contextmanager
def world(home: Path, database: str | None = None, locked: bool = False, port: int = 0, **tools) -> Generator[World]:
    """A gateway before the upstream, without anybody who carries runs out."""
    upstream = Upstream()
    with served(upstream.app()) as api:
        endpoint = Endpoint(api, None, Patience(total=20.0, retries=0))
        house = House()
        house.enter(endpoint)
        for name in MODELS:
            house.add(Answerer(TeacherModel(endpoint, name), ModelCard(name, 1)))
        shelf = Shelf(database, home)
        judges = Judges(house, lambda chat: Means(chat, **tools))
        app = create_app(house, shelf, Gate(shelf) if locked else None, judges)
        with served(app, port=port) as url:
            yield World(url, upstream, home, database)


@contextmanager
def hands(where: World) -> Generator[None]:
    """A thread that does what is ordered, as a worker does, but without DBOS."""
    ended = threading.Event()

    async def work() -> None:
        store = await Store.open(where.database, where.home)
        tasks = set()
        while not ended.is_set():
            for order in await store.orders.waiting():
                await store.orders.taken(order)
                tasks.add(asyncio.create_task(evaluate(Site(store, where.home, where.base_url), order.argument)))
            await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await store.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def until_done(client, eval_id: str, run_id: str, seconds: float = 30.0):
    """A run at its end; polled as OpenAI's users do, and its counts never fall."""
    deadline, most = time.monotonic() + seconds, 0
    while True:
        run = client.evals.runs.retrieve(run_id, eval_id=eval_id)
        assert run.result_counts.total >= most
        most = run.result_counts.total
        if run.status in ("completed", "failed", "canceled"):
            return run
        assert time.monotonic() < deadline, f"the run is {run.status} still, with {most} items"
        with suppress(InterruptedError):
            time.sleep(0.03)
