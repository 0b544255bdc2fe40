"""How many calls a second `stillhouse serve` answers, how fast, and whether its memory stays flat."""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import random
import re
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from stillhouse.bundle.manifest import Manifest, read_manifest

CONNECTIONS = 32
FULL, QUICK, ALONE = 100_000, 10_000, 1_000
"""Calls under load, the same with --quick, and calls made one after the other."""
TEXTS = 5_000
RPS_TARGET = 1_000
GROWTH_TARGET = 0.05
"""Share by which the server's memory may grow after the first quarter of the calls."""
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
WORDS = """
my the a order parcel card account refund invoice password delivery kettle phone was is not has been never still again
please help why when where how can you I we it arrived charged twice late broken missing changed cancelled ordered
returned paid waiting working login address email money back week yesterday today Monday number support two three weeks
ago already told nobody answers want need new old wrong box inside warranty app battery plan
"""


def sentences(count: int, seed: int) -> list[str]:
    """Varied texts of 4 to 30 words."""
    chance, words = random.Random(seed), WORDS.split()
    return [" ".join(chance.choices(words, k=chance.randint(4, 30))) for _ in range(count)]


def request(url: str, manifest: Manifest, text: str) -> bytes:
    """One call over HTTP, its prompt in the form that the student learnt."""
    form = manifest.prompt
    messages = [{"role": message.role, "content": message.content} for message in form.leading]
    messages.append({"role": "user", "content": f"{form.prefix}{text}{form.suffix}"})
    body = json.dumps({"model": manifest.name, "messages": messages}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Caller(asyncio.Protocol):
    """One connection that is kept alive: sends the next call as soon as the last one is answered."""

    def __init__(self, calls: Iterator[bytes], seconds: list[float], errors: list[str]) -> None:
        self.calls, self.seconds, self.errors = calls, seconds, errors
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.buffer, self.sent = b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.send()

    def send(self) -> None:
        call = next(self.calls, None)
        if call is None:
            self.transport.close()
            return
        self.sent = time.perf_counter()
        self.transport.write(call)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        length = LENGTH.search(head) if separator else None
        if length is None or len(body) < int(length[1]):
            return
        self.seconds.append(time.perf_counter() - self.sent)
        if not head.startswith(b"HTTP/1.1 200"):
            self.errors.append(body.decode(errors="replace"))
        self.buffer = b""
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc:
            self.errors.append(repr(exc))
        self.done.set_result(None)


async def drive(url: str, calls: Iterator[bytes], connections: int) -> tuple[list[float], list[str]]:
    """Seconds of every call, and what went wrong, with so many calls at once."""
    seconds: list[float] = []
    errors: list[str] = []
    address, loop = urlsplit(url), asyncio.get_running_loop()
    host, port = str(address.hostname), int(address.port or 80)
    callers = [
        (await loop.create_connection(lambda: Caller(calls, seconds, errors), host, port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*[caller.done for caller in callers])
    return seconds, errors


def load(url: str, payloads: Sequence[bytes], total: int, connections: int, pipe: Connection) -> None:
    """The load generator, in a process of its own: says when each quarter is sent, and what it measured."""
    import uvloop

    def calls() -> Iterator[bytes]:
        for number in range(total):
            if number % (total // 4) == 0:
                pipe.send(number)
            yield payloads[number % len(payloads)]

    started = time.perf_counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds, errors = runner.run(drive(url, calls(), connections))
    pipe.send({"elapsed": time.perf_counter() - started, "seconds": sorted(seconds), "errors": errors})


def measure(url: str, payloads: Sequence[bytes], total: int, connections: int, pid: int) -> dict[str, Any]:
    """Rate, percentiles and errors of `total` calls, and the server's memory at each quarter."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=load, args=(url, payloads, total, connections, its))
    process.start()
    memory: list[float] = []
    while not isinstance(told := mine.recv(), dict):
        memory.append(resident(pid))
    memory.append(resident(pid))
    process.join()
    seconds, errors = told["seconds"], told["errors"]
    return {
        "calls": len(seconds),
        "connections": connections,
        "per_second": round(len(seconds) / told["elapsed"], 1),
        **{f"p{q}_ms": round(seconds[int(len(seconds) * q / 100)] * 1000, 3) for q in (50, 95, 99)},
        "errors": len(errors),
        "first_error": errors[0] if errors else None,
        "memory_mib": dict(zip(("start", "25%", "50%", "75%", "100%"), memory, strict=True)),
    }


def resident(pid: int) -> float:
    """Resident memory of a process in MiB; 0 where /proc does not tell."""
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        return 0.0
    kib = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
    return round(int(kib[1]) / 1024, 1) if kib else 0.0


@contextmanager
def server(bundle: Path) -> Generator[tuple[str, int]]:
    """The URL and the process id of a real server."""
    command = [sys.executable, "-m", "stillhouse", "serve", "--model", str(bundle), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise SystemExit("the server did not start")
        try:
            yield json.loads(line)["url"], process.pid
        finally:
            process.terminate()


def targets(busy: dict[str, Any]) -> list[dict[str, Any]]:
    """What was promised, and what was measured."""
    memory = busy["memory_mib"]
    growth = round(memory["100%"] / memory["25%"] - 1, 4) if memory["25%"] else 0.0
    return [
        {
            "name": "calls per second",
            "target": RPS_TARGET,
            "measured": busy["per_second"],
            "met": busy["per_second"] >= RPS_TARGET,
        },
        {
            "name": "memory growth after the first quarter",
            "target": GROWTH_TARGET,
            "measured": growth,
            "met": growth <= GROWTH_TARGET,
        },
        {"name": "errors", "target": 0, "measured": busy["errors"], "met": busy["errors"] == 0},
    ]


def bench(bundle: Path, quick: bool, seed: int) -> dict[str, Any]:
    """Everything the benchmark reports."""
    manifest = read_manifest(bundle)
    texts = sentences(TEXTS, seed)
    with server(bundle) as (url, pid):
        payloads = [request(url, manifest, text) for text in texts]
        alone = measure(url, payloads, ALONE, 1, pid)
        busy = measure(url, payloads, QUICK if quick else FULL, CONNECTIONS, pid)
    packages = ("stillhouse", "uvicorn", "starlette", "onnxruntime", "tokenizers", "orjson", "uvloop", "httptools")
    return {
        "benchmark": "serving",
        "command": " ".join(["python", *sys.argv]),
        "student": manifest.student,
        "labels": manifest.total_labels,
        "seed": seed,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {package: installed(package) for package in packages},
        "one_by_one": alone,
        "under_load": busy,
        "targets": targets(busy),
    }


def installed(package: str) -> str | None:
    """The version of a package, None when it runs from its folder without being installed."""
    try:
        return version(package)
    except ImportError:
        return None


def main() -> None:
    """Run the benchmark and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--bundle", type=Path, required=True, help="a bundle to serve; `stillhouse distill` or `quickstart` makes one"
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} calls instead of {FULL:,}")
    parser.add_argument("--seed", type=int, default=0, help="of the texts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    result = bench(options.bundle, options.quick, options.seed)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name in ("one_by_one", "under_load"):
        seen = result[name]
        print(
            f"{name.replace('_', ' ')} ({seen['connections']} at once): {seen['per_second']:,.0f} calls/s, "
            f"p50 {seen['p50_ms']} ms, p95 {seen['p95_ms']} ms, p99 {seen['p99_ms']} ms, {seen['errors']} errors"
        )
    print("memory in MiB: " + ", ".join(f"{when} {mib}" for when, mib in result["under_load"]["memory_mib"].items()))
    for target in result["targets"]:
        mark = "met" if target["met"] else "MISSED"
        print(f"{mark}: {target['name']}: {target['measured']:,} (target {target['target']:,})")


if __name__ == "__main__":
    main()
