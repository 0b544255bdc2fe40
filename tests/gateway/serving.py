"""What the tests of serving share: a small real classifier, servers on loopback sockets, and a teacher's many moods."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.bundle.manifest import Featurizer, Manifest
from stillhouse.bundle.prompt import PromptForm
from stillhouse.chat import Message
from stillhouse.gateway.house import Answerer, House
from stillhouse.inference.onnx_classifier import Prediction
from stillhouse.teachers.api import TeacherApi
from stillhouse.wire.models import ModelCard

SYSTEM = "You sort requests."
INTENTS = ('"refund"', '"delivery"', '"other 🙂"')
PRIORITIES = ('"low"', '"high"')

MANIFEST = Manifest(
    name="desk/triage",
    student="words",
    teacher="large-model",
    prompt=PromptForm(leading=(Message("system", SYSTEM),), prefix="Request: "),
    answer=AnswerForm(
        (Field("intent", INTENTS), Field("priority", PRIORITIES)), ('{"intent": ', 0, ', "priority": ', 1, "}")
    ),
    featurizer=Featurizer("ngrams", max_tokens=64, buckets=64),
    temperatures=(1.0, 1.0),
    threshold=0.8,
    files={},
)
LABELS = replace(
    MANIFEST,
    name="plain",
    prompt=PromptForm(),
    answer=AnswerForm((Field(None, ("refund", "delivery", "other 🙂")),), (0,)),
    temperatures=(1.0,),
)


class Keywords:
    """A classifier that goes by words; "maybe" makes it unsure, "crash" makes it fail."""

    def __init__(self, manifest: Manifest = MANIFEST) -> None:
        self.manifest = manifest
        self.batches: list[int] = []

    def predict(self, texts: Sequence[str]) -> Prediction:
        if any("crash" in text for text in texts):
            raise RuntimeError("a secret detail of the inside")
        self.batches.append(len(texts))
        sure = np.array([[0.5 if "maybe" in text else 0.95] for text in texts])
        intents = [next((i for i, word in enumerate(("refund", "parcel")) if word in text), 2) for text in texts]
        fields = [spread(intents, sure, 3), spread(["now" in text for text in texts], sure, 2)]
        return Prediction(fields[: len(self.manifest.answer.fields)], [len(text.split()) for text in texts])


def spread(chosen, sure: np.ndarray, labels: int) -> np.ndarray:
    """Probabilities with `sure` for the chosen label and the rest shared evenly."""
    picked = np.eye(labels)[np.array(chosen, dtype=int)]
    return (picked * sure + (1 - picked) * (1 - sure) / (labels - 1)).astype(np.float32)


def prompt(text: str) -> list[dict]:
    """The messages of a call whose prompt fits."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"Request: {text}"}]


def cascade_of(teacher: TeacherApi) -> House:
    """A house with a student, and a teacher for what it leaves."""
    house = House()
    house.enter(teacher)
    house.add_student(Keywords(), teacher=Answerer(teacher, ModelCard("large-1", 1)))
    return house


@contextmanager
def served(app, http="auto", port=0) -> Generator[str]:
    """The URL of an app that uvicorn serves in a thread; `http` is what stands between its sockets and it."""
    door = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, http=http, log_level="critical", lifespan="on", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        door.close()


def status_of(request: urllib.request.Request | str) -> int:
    """The HTTP status that a request is answered with."""
    try:
        with urllib.request.urlopen(request) as response:
            return response.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


class Teacher:
    """A large model's API; `mood` says how it answers, `asked` what it was asked."""

    def __init__(self) -> None:
        self.mood = "well"
        self.asked: list[dict] = []
        self.keys: list[str | None] = []
        self.hung_up = threading.Event()

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        call = await request.json()
        self.asked.append(call)
        self.keys.append(request.headers.get("authorization"))
        mood, _, rest = self.mood.partition(" ")
        if rest and len(self.asked) > int(rest):
            mood = "well"
        match mood:
            case "broken":
                return Response("<html>oh no</html>", 500)
            case "busy":
                envelope = {"error": {"message": "Slow down", "type": "requests", "param": None, "code": "rate_limit"}}
                return JSONResponse(envelope, 429, {"retry-after": "0"})
            case "strict":
                envelope = {"error": {"message": "No such key", "type": "auth", "param": None, "code": "bad_key"}}
                return JSONResponse(envelope, 401)
            case "repeating":
                message = f"No such key: {self.keys[-1]}"
                return JSONResponse({"error": {"message": message, "type": "auth", "param": None, "code": None}}, 401)
            case "slow":
                await asyncio.sleep(30)
            case "page":
                return Response("<html>hello</html>", media_type="text/html")
        if call.get("stream"):
            return StreamingResponse(self.events(mood), media_type="text/event-stream")
        return JSONResponse(completion("teacher says"))

    async def events(self, mood: str):
        if mood == "silent":
            raise ConnectionResetError
        try:
            yield event({"role": "assistant", "content": ""})
            yield event({"content": "teacher "})
            if mood == "dying":
                yield event({"content": "never whole"})[:40]
                await asyncio.sleep(0.05)
                raise ConnectionResetError
            if mood == "endless":
                while True:
                    await asyncio.sleep(0.02)
                    yield event({"content": "and "})
            yield event({"content": "says"})
            yield event({}, "stop")
            yield b"data: [DONE]\n\n"
        finally:
            self.hung_up.set()


def event(delta: dict, reason: str | None = None) -> bytes:
    """One chunk of a teacher's stream."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    chunk = {
        "id": "chatcmpl-t",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "large-1",
        "choices": [choice],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def completion(text: str) -> dict:
    """A teacher's whole answer."""
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-t",
        "object": "chat.completion",
        "created": 1,
        "model": "large-1",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
