"""Upstream: a stand-in for a large model's API: a real HTTP server with set latency, streaming and errors.

    python benchmarks/upstream.py [--port 0] [--latency 0.02] [--gap 0.001] [--failing 0.1]

It answers chat completions with as many words as `max_tokens` says, with log-probabilities where these are asked for.
It prints its base URL once it listens. The tests of the gateway ask it too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn

WORDS = 16
"""Words of an answer when nothing is said."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


@dataclass
class Upstream:
    """An ASGI app; what it was asked, and with which headers, is kept where `remembers` is set."""

    latency: float = 0.0
    """Seconds before the first word."""
    gap: float = 0.0
    """Seconds before each other word of a stream."""
    failing: float = 0.0
    """The share of calls that are answered with an error."""
    status: int = 500
    """Of these errors."""
    retry_after: str | None = None
    gives_logprobs: bool = True
    """Otherwise calls that ask for them are refused."""
    remembers: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    bodies: list[bytes] = field(default_factory=list[bytes])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    left: int = 0
    """Calls whose client hung up before the end."""

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _lifespan(receive, send)
            return
        if scope["path"].endswith("/models"):
            content = json.dumps({"object": "list", "data": [{"id": "org/one"}, {"id": "two"}]}).encode()
            await _begin(send, 200, b"application/json", [])
            await send({"type": "http.response.body", "body": content})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        call = json.loads(body)
        if self.remembers:
            self.asked.append(call)
            self.bodies.append(body)
            self.headers.append({name.decode(): value.decode("latin-1") for name, value in scope["headers"]})
        answering = asyncio.ensure_future(self._answer(call, send))
        leaving = asyncio.ensure_future(receive())
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            answering.cancel()
            self.left += 1
        leaving.cancel()
        await asyncio.wait((answering, leaving))

    async def _answer(self, call: dict[str, Any], send: Send) -> None:
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.failing and random.random() < self.failing:
            await self._refuse(send, self.status, "server_error", "The model is not well.")
        elif call.get("logprobs") and not self.gives_logprobs:
            await self._refuse(send, 400, "unsupported_value", "logprobs are not supported with this model.")
        elif call.get("stream"):
            await self._stream(call, send)
        else:
            content = json.dumps(_completion(call)).encode()
            await _begin(send, 200, b"application/json", [(b"content-length", str(len(content)).encode())])
            await send({"type": "http.response.body", "body": content})

    async def _stream(self, call: dict[str, Any], send: Send) -> None:
        await _begin(send, 200, b"text/event-stream", [])
        words = _words(call)
        await _event(send, call, {"role": "assistant", "content": "", "refusal": None}, None, [])
        for word in words:
            if self.gap:
                await asyncio.sleep(self.gap)
            await _event(send, call, {"content": word}, None, [word])
        await _event(send, call, {}, "stop", [])
        if (call.get("stream_options") or {}).get("include_usage"):
            await _send_chunk(send, {**_head(call, "chat.completion.chunk"), "choices": [], "usage": _usage(call)})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _refuse(self, send: Send, status: int, code: str, message: str) -> None:
        envelope = {"error": {"message": message, "type": "error", "param": None, "code": code}}
        more = [(b"retry-after", self.retry_after.encode())] if self.retry_after else []
        await _begin(send, status, b"application/json", more)
        await send({"type": "http.response.body", "body": json.dumps(envelope).encode()})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _begin(send: Send, status: int, kind: bytes, more: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *more]})


async def _event(send: Send, call: dict[str, Any], delta: dict[str, Any], reason: str | None, words: list[str]) -> None:
    choice = {"index": 0, "delta": delta, "logprobs": _logprobs(call, words), "finish_reason": reason}
    await _send_chunk(send, {**_head(call, "chat.completion.chunk"), "choices": [choice]})


async def _send_chunk(send: Send, chunk: dict[str, Any]) -> None:
    body = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _head(call: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-upstream", "object": kind, "created": 1, "model": f"{call['model']}-2026-01-01"}


def _words(call: dict[str, Any]) -> list[str]:
    return [f"word{number} " for number in range(call.get("max_tokens") or WORDS)]


def _usage(call: dict[str, Any]) -> dict[str, int]:
    read, written = len(json.dumps(call["messages"])) // 4, len(_words(call))
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _logprobs(call: dict[str, Any], words: list[str]) -> dict[str, Any] | None:
    if not call.get("logprobs"):
        return None
    likeliest = [{"token": f"other{rank}", "logprob": math.log(0.05), "bytes": None} for rank in range(19)]
    content: list[dict[str, Any]] = []
    for word in words:
        first = {"token": word, "logprob": math.log(0.9), "bytes": list(word.encode())}
        content.append({**first, "top_logprobs": [first, *likeliest][: call.get("top_logprobs") or 0]})
    return {"content": content, "refusal": None}


def _completion(call: dict[str, Any]) -> dict[str, Any]:
    words = _words(call)
    message = {"role": "assistant", "content": "".join(words), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": _logprobs(call, words), "finish_reason": "stop"}
    return {**_head(call, "chat.completion"), "choices": [choice], "usage": _usage(call)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before the first word")
    parser.add_argument("--gap", type=float, default=0.0, help="seconds before each other word of a stream")
    parser.add_argument("--failing", type=float, default=0.0, help="share of calls that fail")
    given = parser.parse_args()
    door = socket.create_server(("127.0.0.1", given.port), backlog=2048)
    print(f"http://127.0.0.1:{door.getsockname()[1]}/v1", flush=True)
    app = Upstream(given.latency, given.gap, given.failing)
    config = uvicorn.Config(app, http="httptools", log_level="warning", access_log=False)  # pyright: ignore[reportArgumentType]
    uvicorn.Server(config).run(sockets=[door])


if __name__ == "__main__":
    main()
