"""Soak: ten minutes of mixed calls through the gateway: does its memory stay, is anything lost, does anything fail.

    python benchmarks/soak.py [--minutes 10] [--rate 100] [--quick] [--json]

Of every twenty calls five are streams, one is left by its client in the middle, and one goes to a model that does not
exist; one in a hundred fails at the API and is asked again. All but those are kept. The memory is the gateway's
resident set, once a second; what it has after a fifth of the time is compared with what it has in the last fifth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import shlex
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from gateway import gateway
from load import Target, body, client, keep_rate, tell, upstream

from stillhouse.extras import version
from stillhouse.storage.records import Wanted
from stillhouse.storage.store import Store

STREAM, LEAVE, UNKNOWN = range(5), 5, 6
"""Which of twenty calls are streams, left, and for a model that is not there."""


ID = re.compile(rb"chatcmpl-[0-9A-Za-z_-]+")


class Soak:
    """What happened to the calls of a run."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.answered: list[str] = []
        """The ids of the completions."""
        self.left = self.refused = 0
        self.memory: list[float] = []

    async def call(self, session: aiohttp.ClientSession, number: int) -> None:
        """One of the mixture."""
        kind = number % 20
        model = "nobody" if kind == UNKNOWN else self.target.model
        call = body(model, number, stream=kind in STREAM or kind == LEAVE)
        headers = {"Authorization": f"Bearer {self.target.key}"}
        started = time.perf_counter()
        try:
            async with session.post(f"{self.target.url}/chat/completions", json=call, headers=headers) as response:
                if kind == LEAVE:
                    await response.content.readany()
                    response.close()
                    self.left += 1
                    return
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.target.fail(type(error).__name__)
            return
        if kind == UNKNOWN and response.status == 404:
            self.refused += 1
        elif response.status != 200 or (kind in STREAM and not content.endswith(b"[DONE]\n\n")):
            self.target.fail(str(response.status))
        elif found := ID.search(content):
            self.answered.append(found[0].decode())
            self.target.seconds.append(time.perf_counter() - started)

    async def watch(self) -> None:
        """The memory of the gateway, once a second."""
        while True:
            pages = int(Path(f"/proc/{self.target.pid}/statm").read_text().split()[1])
            self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
            if len(self.memory) % 30 == 0:
                tell(f"{len(self.memory)} s: {self.memory[-1]:.0f} MiB, {len(self.answered):,} answered")
            await asyncio.sleep(1)


async def run(target: Target, rate: float, seconds: float) -> tuple[Soak, float]:
    """The whole of it, and the rate that was kept."""
    soak = Soak(target)
    async with client() as session:
        watching = asyncio.create_task(soak.watch())
        achieved = await keep_rate(rate, seconds, lambda number: soak.call(session, number))
        watching.cancel()
    return soak, achieved


async def kept(home: Path) -> set[str]:
    """The ids of what is on the disk."""
    store = await Store.open(None, home)
    try:
        return set(await store.completions.ids("default", Wanted()))
    finally:
        await store.close()


def benchmark(given: argparse.Namespace) -> dict[str, Any]:
    seconds = 20.0 if given.quick else given.minutes * 60
    with tempfile.TemporaryDirectory() as folder, upstream("--latency", "0.02", "--failing", "0.01") as behind:
        home = Path(folder) / "home"
        with gateway(behind, home) as target:
            soak, achieved = asyncio.run(run(target, given.rate, seconds))
        there = asyncio.run(kept(home))
    lost = len(set(soak.answered) - there)
    fifth = max(len(soak.memory) // 5, 1)
    early, late = (
        statistics.median(soak.memory[fifth : 2 * fifth] or soak.memory),
        statistics.median(soak.memory[-fifth:]),
    )
    growth, failed = (late / early - 1) * 100, sum(target.errors.values())
    words = ["--minutes", f"{given.minutes:g}", "--rate", f"{given.rate:g}"]
    words += [flag for flag, is_set in (("--quick", given.quick), ("--json", given.json)) if is_set]
    return {
        "benchmark": "soak",
        "command": shlex.join(["python", "benchmarks/soak.py", *words]),
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "processor": platform.machine()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("aiohttp", "starlette", "uvicorn", "sqlalchemy")},
        },
        "seconds": seconds,
        "rate": given.rate,
        "achieved": achieved,
        "answered": len(soak.answered),
        "left_by_clients": soak.left,
        "refused": soak.refused,
        "errors": target.errors,
        "kept": len(there),
        "ms": target.milliseconds(),
        "memory_mib": {"early": early, "late": late, "max": max(soak.memory), "growth_percent": growth},
        "memory_by_second": soak.memory[:: max(len(soak.memory) // 120, 1)],
        "targets": [
            {"name": "growth of memory, percent", "target": 5, "measured": growth, "met": growth <= 5},
            {"name": "calls that failed", "target": 0, "measured": failed, "met": failed == 0},
            {"name": "answered but not kept", "target": 0, "measured": lost, "met": lost == 0},
        ],
    }


def table(result: dict[str, Any]) -> str:
    """The result as people read it."""
    memory = result["memory_mib"]
    lines = [
        f"{result['seconds']:g} s at {result['achieved']:.0f} calls a second: {result['answered']:,} answered, "
        f"{result['kept']:,} kept, {result['left_by_clients']:,} left by their clients",
        f"errors: {result['errors'] or 'none'}",
        f"memory: {memory['early']:.0f} MiB after a fifth, {memory['late']:.0f} MiB at the end "
        f"({memory['growth_percent']:+.1f} %), {memory['max']:.0f} MiB at most",
    ]
    missed = [target for target in result["targets"] if not target["met"]]
    return "\n".join([*lines, *(f"MISSED: {t['name']}: {t['measured']:,.1f} (target {t['target']:,})" for t in missed)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=100, help="calls a second")
    parser.add_argument("--quick", action="store_true", help="20 seconds, which says little about memory")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args()
    result = benchmark(given)
    print(json.dumps(result, indent=2) if given.json else table(result))


if __name__ == "__main__":
    main()
