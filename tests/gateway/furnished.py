"""A gateway behind keys with one of everything in it, so that every route finds what its path names."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from openai import OpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stillhouse.data.items import Facts, Item, Kind
from stillhouse.data.review import queue_of
from stillhouse.gateway.app import create_app
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.doorkeeper import Doorkeeper
from stillhouse.gateway.house import Answerer, House
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.jobs import Made
from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from stillhouse.storage.tuning_records import ModelKind, NewEvent, Status, TunedModel, TuningCheckpoint
from stillhouse.teachers.api import Endpoint, TeacherModel
from stillhouse.teachers.asking import Patience
from stillhouse.wire.models import ModelCard
from tests.gateway.bundles import make_bundle
from tests.gateway.serving import LABELS, Keywords, completion, event, prompt, served
from tests.jobs.evaluating import World, hands, until_done

PROJECT, STUDENT, ECHO, TUNED = "mine", "desk/triage", "echo", "ft:base:local::1"


@dataclass(frozen=True)
class Furnished:
    """A server, its gate, a key that may do everything, and the ids of what is kept for its project by their kind."""

    url: str
    gate: Gate
    home: Path
    database: str | None
    key: str
    ids: dict[str, list[str]]


def echo() -> Starlette:
    """A model's API that answers whatever it is sent."""

    async def answer(request: Request) -> Response:
        call = json.loads(await request.body())
        if call.get("stream"):
            events = event({"role": "assistant", "content": "said"}) + event({}, "stop") + b"data: [DONE]\n\n"
            return Response(events, media_type="text/event-stream")
        return JSONResponse(completion(json.dumps(call["messages"])[:200]))

    return Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])


@contextmanager
def furnished(home: Path, copies: int = 1, database: str | None = None) -> Generator[Furnished]:
    """A server with so many of everything."""
    shelf = Shelf(database, home)
    gate = Gate(shelf)
    with served(echo()) as api:
        endpoint, house = Endpoint(api, None, Patience(total=20.0, retries=0)), House.of([Keywords(), Keywords(LABELS)])
        house.enter(endpoint)
        house.add(Answerer(TeacherModel(endpoint, ECHO), ModelCard(ECHO, 1), is_far=True))
        with served(create_app(house, shelf, gate), http=Doorkeeper) as url:
            key = asyncio.run(_key(home, database))
            names = [STUDENT, "plain", ECHO, TUNED, "stillhouse/auto"]
            one = Furnished(url, gate, home, database, key, {"ModelName": names})
            with OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
                for _ in range(copies):
                    _furnish(client, one)
                _run_evals(client, one)
            asyncio.run(_tune(one))
            asyncio.run(_queue(one))
            yield one


async def _key(home: Path, database: str | None) -> str:
    store = await Store.open(database, home)
    try:
        return (await store.keys.create(PROJECT, "all", [Scope.ADMIN]))[1]
    finally:
        await store.close()


def _furnish(client: OpenAI, into: Furnished) -> None:
    """One of everything that needs no work."""

    def keep(kind: str, one: str) -> str:
        into.ids.setdefault(kind, []).append(one)
        return one

    for _ in range(6):
        said = client.chat.completions.create(model=STUDENT, messages=prompt("refund"), store=True, metadata={"a": "b"})
    keep("CompletionId", said.id)
    keep("FeedbackId", client.post("/feedback", body={"completion_id": said.id, "rating": "up"}, cast_to=object)["id"])
    row = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}
    rows = "".join(json.dumps(row) + "\n" for _ in range(12)).encode()
    keep("FileId", client.files.create(file=("rows.jsonl", rows), purpose="fine-tune").id)
    upload = client.uploads.create(filename="r.bin", bytes=4, mime_type="text/plain", purpose="user_data")
    keep("UploadId", upload.id)
    keep("PartId", client.uploads.parts.create(upload.id, data=b"four").id)
    job = client.fine_tuning.jobs.create(model="stillhouse/auto", training_file=into.ids["FileId"][0])
    keep("JobId", job.id)
    made = client.evals.create(
        name="kept",
        data_source_config={"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True},
        testing_criteria=[
            {"type": "string_check", "name": "same", "input": "{{item.a}}", "reference": "b", "operation": "eq"}
        ],
    )
    keep("EvalId", made.id)


def _run_evals(client: OpenAI, into: Furnished) -> None:
    """A run of each eval that has been carried out, and one that waits for a worker."""
    rows = [{"item": {"a": "b"}}, {"item": {"a": "c"}}]
    source = {"type": "jsonl", "source": {"type": "file_content", "content": rows}}
    ids = into.ids
    with hands(World(into.url, None, into.home, into.database)):
        for eval_id in ids["EvalId"]:
            run = client.evals.runs.create(eval_id, data_source=source)
            until_done(client, eval_id, run.id)
            ids.setdefault("RunId", []).append(run.id)
            ids.setdefault("RunKey", []).append(run.report_url.rpartition("key=")[2])
            items = client.evals.runs.output_items.list(run.id, eval_id=eval_id)
            ids.setdefault("OutputItemId", []).extend(item.id for item in items)
    for eval_id in ids["EvalId"]:
        ids["RunId"].append(client.evals.runs.create(eval_id, data_source=source).id)


async def _queue(into: Furnished) -> None:
    """Two items to be looked at."""
    asked = [({"role": "user", "content": words},) for words in ("one", "two")]
    items = [Item(Kind.TEXT, messages, label="a", facts=Facts(grade=0.5)) for messages in asked]
    store = await Store.open(into.database, into.home)
    try:
        reviews = queue_of(lambda: iter(items), "support@1", 2)
        await store.reviews.add(PROJECT, reviews)
        into.ids["ReviewId"] = [review.id for review in reviews]
    finally:
        await store.close()


async def _tune(into: Furnished) -> None:
    """A checkpoint and an event of the first job, and its model."""
    store = await Store.open(into.database, into.home)
    try:
        job = into.ids["JobId"][0]
        folder = make_bundle(into.home / "jobs" / job / "bundle").relative_to(into.home)
        model = TunedModel(TUNED, PROJECT, 1, job, ModelKind.BUNDLE, str(folder))
        kept = TuningCheckpoint("ftckpt_1", job, 1, 4, TUNED, b'{"step":4}')
        event = NewEvent("step:4", "Step 4/4: training loss=0.5", data=b'{"step":4}')
        made = Made(checkpoints=[(kept, model)])
        await store.jobs.move(job, list(Status), lambda one: replace(one, status=Status.PAUSED), [event], made=made)
    finally:
        await store.close()
