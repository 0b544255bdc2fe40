"""What the benchmarks of the gateway share: servers as processes, a client that keeps a rate, and percentiles."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[1]
SYSTEM = "You sort the requests of a support desk. Answer with the label and a short reason. " * 8
QUESTION = (
    "My parcel has not come, and I have waited for nine days. Please write to ann.jones@example.org, order 4711. "
)


def body(model: str, number: int, words: int = 32, **more: Any) -> dict[str, Any]:
    """A call of about 1.2 KB; each differs."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"{QUESTION * 4}{number}"}]
    return {"model": model, "messages": messages, "max_tokens": words, "temperature": 0.2, **more}


@dataclass
class Target:
    """Whom to ask, and how long it took."""

    name: str
    url: str
    model: str
    key: str = "none"
    pid: int = 0
    """Of the server's process; 0 when that does not matter."""
    seconds: list[float] = field(default_factory=list[float])
    errors: dict[str, int] = field(default_factory=dict[str, int])

    async def ask(self, session: aiohttp.ClientSession, number: int) -> None:
        """One call to its end; what is not an answer is an error."""
        started = time.perf_counter()
        try:
            headers = {"Authorization": f"Bearer {self.key}"}
            url = f"{self.url}/chat/completions"
            async with session.post(url, json=body(self.model, number), headers=headers) as response:
                await response.read()
                if response.status != 200:
                    self.fail(str(response.status))
                    return
        except (aiohttp.ClientError, TimeoutError) as error:
            self.fail(type(error).__name__)
            return
        self.seconds.append(time.perf_counter() - started)

    def fail(self, why: str) -> None:
        """Count an error."""
        self.errors[why] = self.errors.get(why, 0) + 1

    async def first_word(self, session: aiohttp.ClientSession, number: int) -> None:
        """One stream, timed to its first word."""
        started = time.perf_counter()
        headers = {"Authorization": f"Bearer {self.key}"}
        call = body(self.model, number, words=8, stream=True)
        async with session.post(f"{self.url}/chat/completions", json=call, headers=headers) as response:
            async for line in response.content:
                if b"word0" in line:
                    self.seconds.append(time.perf_counter() - started)
                    break
            await response.read()

    def milliseconds(self) -> dict[str, float]:
        """Percentiles of what was answered."""
        return percentiles([each * 1000 for each in self.seconds])

    def processor_seconds(self) -> float:
        """What the server has computed so far, on Linux; 0 elsewhere."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def clear(self) -> None:
        """Begin anew."""
        self.seconds, self.errors = [], {}


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """The middle and the slow end of some values."""
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=1000, method="inclusive")
    return {"p50": cuts[499], "p95": cuts[949], "p99": cuts[989], "max": max(values)}


async def keep_rate(rate: float, seconds: float, call: Callable[[int], Any]) -> float:
    """Start calls at even distances however long each takes; the rate at which they were answered."""
    started, running, number = time.perf_counter(), set[asyncio.Task[Any]](), 0
    while (now := time.perf_counter() - started) < seconds:
        while number < now * rate:
            task = asyncio.ensure_future(call(number))
            running.add(task)
            task.add_done_callback(running.discard)
            number += 1
        await asyncio.sleep(max(0.0, number / rate - (time.perf_counter() - started)))
    if running:
        await asyncio.wait(running, timeout=30)
    return number / (time.perf_counter() - started)


async def keep_busy(callers: int, seconds: float, call: Callable[[int], Any]) -> float:
    """So many callers, each with one call after the other; calls a second."""
    started, done = time.perf_counter(), 0

    async def caller(which: int) -> None:
        nonlocal done
        number = which
        while time.perf_counter() - started < seconds:
            await call(number)
            number += callers
            done += 1

    await asyncio.gather(*[caller(which) for which in range(callers)])
    return done / (time.perf_counter() - started)


@contextlib.asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections without a limit."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60)
    ) as session:
        yield session


@contextlib.contextmanager
def process(command: Sequence[str | Path], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A server of its own, that ends with the benchmark."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    running = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
        running.communicate()


@contextlib.contextmanager
def upstream(*options: str) -> Iterator[str]:
    """The base URL of a stand-in for a large model's API."""
    with process([sys.executable, ROOT / "benchmarks" / "upstream.py", *options]) as running:
        assert running.stdout
        yield running.stdout.readline().strip()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


def tell(words: str) -> None:
    """To people, beside the result."""
    print(words, file=sys.stderr, flush=True)
