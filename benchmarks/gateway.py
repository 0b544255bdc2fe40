"""Gateway: what it adds to a call, how many it takes, and how soon streams begin, beside LiteLLM's proxy.

    python benchmarks/gateway.py [--litellm FOLDER_OF_ITS_VENV] [--quick] [--json]

A stand-in for a large model's API, the gateway and the proxy are processes of their own on one machine, and the client
is this one. Calls of about 1.2 KB go through the gateway at an even rate, answered or not; after every fifth one also
goes to the API directly, so that both see the same machine at the same time. What is added is the difference of the
percentiles. The gateway keeps every call (in `batch` it is on the disk before the answer goes out, which takes as long
as the disk does; in `async` soon after), asks for API keys, and looks for mail addresses and numbers in every text that
it keeps, as redaction would. The targets are those of `batch`. The proxy asks for its key and keeps nothing. Install it
beside this project, never into it: `python -m venv V && V/bin/pip install 'litellm[proxy]'`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from load import Target, client, free_port, keep_busy, keep_rate, process, tell, upstream

from stillhouse.cli.serve import listen
from stillhouse.extras import version
from stillhouse.gateway.app import create_app
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.doorkeeper import Doorkeeper
from stillhouse.gateway.furnish import furnish
from stillhouse.gateway.shelf import Policy, Shelf
from stillhouse.recipes.server import ServerFile, TeacherSection
from stillhouse.storage.records import Durability, Scope
from stillhouse.storage.store import Store

RATES = (100, 300, 800)
LATENCY = 0.02
"""Seconds that the stand-in takes for an answer."""
DIRECT = 5
"""After so many calls one goes past the gateway."""
PRIVATE = re.compile(
    r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.]+|\b(?:\d[ -]?){13,19}\b|\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b|sk-[\w-]{16,}"
)


def redact(text: str) -> str:
    """A stand-in for redaction that costs what one pass of compiled patterns costs."""
    return PRIVATE.sub("[private]", text)


def serve(behind: str, home: Path, durability: Durability) -> None:
    """The gateway, in a process of its own; it prints its base URL and a key."""
    import uvicorn

    async def first_key() -> str:
        store = await Store.open(None, home)
        try:
            return (await store.keys.create("default", "bench", [Scope.ADMIN]))[1]
        finally:
            await store.close()

    key = asyncio.run(first_key())
    shelf = Shelf(None, home, durability, Policy(every=True, redact=redact))
    file = ServerFile(teachers={"bench": TeacherSection(base_url=behind, models={"large": "large"}, connections=1000)})
    app = create_app(furnish(file, []), shelf, Gate(shelf))
    door = listen("127.0.0.1", 0)
    print(f"http://127.0.0.1:{door.getsockname()[1]}/v1 {key}", flush=True)
    config = uvicorn.Config(
        app, http=Doorkeeper, ws="none", proxy_headers=False, log_level="warning", access_log=False, server_header=False
    )
    uvicorn.Server(config).run(sockets=[door])


@contextlib.contextmanager
def gateway(behind: str, home: Path, durability: Durability = Durability.BATCH) -> Iterator[Target]:
    """The gateway as a target."""
    command = [sys.executable, __file__, "--serve", behind, "--home", home, "--durability", durability]
    with process(command) as running:
        assert running.stdout
        url, key = running.stdout.readline().split()
        yield Target(f"gateway, {durability}", url, "large", key, running.pid)


@contextlib.contextmanager
def litellm(venv: Path, behind: str, folder: Path) -> Iterator[Target]:
    """LiteLLM's proxy as a target."""
    port, config = free_port(), folder / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: large\n    litellm_params:\n      model: openai/large\n"
        f"      api_base: {behind}\n      api_key: none\ngeneral_settings:\n  master_key: sk-bench\n"
    )
    command = [venv / "bin" / "litellm", "--config", config, "--port", str(port), "--num_workers", "1"]
    with process(command, LITELLM_LOG="ERROR", LITELLM_LOCAL_MODEL_COST_MAP="True", NO_DOCS="True") as running:
        url = f"http://127.0.0.1:{port}"
        for _ in range(400):
            time.sleep(0.5)
            if running.poll() is not None:
                raise SystemExit(f"LiteLLM's proxy did not start: {' '.join(map(str, command))}")
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/health/liveliness", timeout=2).read()
                break
        else:
            raise SystemExit("LiteLLM's proxy did not answer within 200 seconds.")
        yield Target("litellm", f"{url}/v1", "large", "sk-bench", running.pid)


async def at_rate(target: Target, direct: Target, rate: float, seconds: float) -> dict[str, Any]:
    """One rate: percentiles through the target, past it, and their difference."""
    target.clear()
    direct.clear()
    async with client() as session:

        async def call(number: int) -> None:
            await target.ask(session, number)
            if number % DIRECT == 0:
                await direct.ask(session, number)

        await asyncio.gather(*[target.ask(session, number) for number in range(20)])  # warm connections
        await asyncio.gather(*[direct.ask(session, number) for number in range(20)])
        target.clear()
        direct.clear()
        computed = target.processor_seconds()
        achieved = await keep_rate(rate, seconds, call)
        computed = target.processor_seconds() - computed
    through, past = target.milliseconds(), direct.milliseconds()
    added = {name: through[name] - past[name] for name in through if name in past}
    tell(f"{target.name} at {rate:g}/s: added {added.get('p50', -1):.2f} ms p50, {added.get('p99', -1):.2f} ms p99")
    return {
        "target": target.name,
        "rate": rate,
        "achieved": achieved,
        "calls": len(target.seconds),
        "processor_us_each": computed / max(len(target.seconds), 1) * 1e6,
        "errors": target.errors,
        "through_ms": through,
        "direct_ms": past,
        "added_ms": added,
    }


async def first_words(target: Target, direct: Target, count: int) -> dict[str, Any]:
    """Streams one after the other, through the target and past it in turn."""
    target.clear()
    direct.clear()
    async with client() as session:
        for number in range(count + 5):
            if number == 5:
                target.clear()
                direct.clear()
            await target.first_word(session, number)
            await direct.first_word(session, number)
    through, past = target.milliseconds(), direct.milliseconds()
    added = {name: through[name] - past[name] for name in through}
    tell(f"{target.name}, first word of a stream: added {added['p50']:.2f} ms p50")
    return {"target": target.name, "streams": count, "through_ms": through, "direct_ms": past, "added_ms": added}


async def saturate(target: Target, seconds: float, callers: int = 64) -> dict[str, Any]:
    """As many as it takes."""
    target.clear()
    async with client() as session:
        rate = await keep_busy(callers, seconds, lambda number: target.ask(session, number))
    failed = sum(target.errors.values())
    good = rate * len(target.seconds) / max(len(target.seconds) + failed, 1)
    tell(f"{target.name}, {callers} callers: {good:,.0f} a second")
    return {
        "target": target.name,
        "callers": callers,
        "per_second": good,
        "errors": target.errors,
        "ms": target.milliseconds(),
    }


async def kept(home: Path) -> int:
    """How many calls are on the disk."""
    from sqlalchemy import text

    store = await Store.open(None, home)
    try:
        async with store.database.reading() as connection:
            return (await connection.execute(text("SELECT count(*) FROM completions"))).scalar() or 0
    finally:
        await store.close()


def measure(target: Target, behind: str, given: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Everything about one target, and how many calls it answered."""
    direct = Target("direct", behind, "large")
    seconds, answered = (4.0, 0) if given.quick else (30.0, 0)
    rates: list[dict[str, Any]] = []
    for rate in given.rates:
        rates.append(asyncio.run(at_rate(target, direct, rate, seconds)))
        answered += rates[-1]["calls"] + 20
    streams = asyncio.run(first_words(target, direct, 40 if given.quick else 400))
    most = asyncio.run(saturate(target, seconds))
    answered += streams["streams"] + 5 + len(target.seconds)
    return {"rates": rates, "streams": streams, "saturation": most}, answered


def benchmark(given: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    lost = 0
    with tempfile.TemporaryDirectory() as folder, upstream("--latency", str(LATENCY)) as behind:
        for durability in (Durability.BATCH, Durability.ASYNC):
            home = Path(folder) / durability
            with gateway(behind, home, durability) as target:
                found[target.name], answered = measure(target, behind, given)
            lost += answered - asyncio.run(kept(home))
        if given.litellm:
            with litellm(given.litellm, behind, Path(folder)) as target:
                found["litellm"], _ = measure(target, behind, given)
    ours = found["gateway, batch"]
    at_300 = next((row for row in ours["rates"] if row["rate"] == 300), ours["rates"][-1])
    words = ["--litellm", "FOLDER"] if given.litellm else []
    words += [flag for flag, is_set in (("--quick", given.quick), ("--json", given.json)) if is_set]
    return {
        "benchmark": "gateway",
        "command": shlex.join(["python", "benchmarks/gateway.py", *words]),
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "processor": platform.machine()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("aiohttp", "starlette", "uvicorn", "orjson", "sqlalchemy")},
            **({"litellm": _version_of_litellm(given.litellm)} if given.litellm else {}),
        },
        "latency_of_upstream_ms": LATENCY * 1000,
        "found": found,
        "lost": lost,
        "targets": [
            _target("added at 300/s, p50 ms", 1.0, at_300["added_ms"]["p50"]),
            _target("added at 300/s, p99 ms", 8.0, at_300["added_ms"]["p99"]),
            _target("added to the first word, p50 ms", 1.5, ours["streams"]["added_ms"]["p50"]),
            _target("answered but not kept", 0, lost),
            {
                "name": "calls/s on one worker",
                "target": 800,
                "measured": ours["saturation"]["per_second"],
                "met": ours["saturation"]["per_second"] >= 800,
            },
        ],
    }


def _target(name: str, target: float, measured: float) -> dict[str, Any]:
    return {"name": name, "target": target, "measured": measured, "met": measured <= target}


def _version_of_litellm(venv: Path) -> str:
    code = "from importlib.metadata import version; print(version('litellm'))"
    return subprocess.run(
        [venv / "bin" / "python", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def table(result: dict[str, Any]) -> str:
    """The result as people read it."""
    lines = [
        f"load {result['machine']['load']:.1f} on {result['machine']['cores']} cores; "
        f"the API takes {result['latency_of_upstream_ms']:g} ms; lost: {result['lost']}",
        "",
        "| | rate | achieved | added p50 ms | p95 | p99 | CPU us | errors |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in result["found"].items():
        for row in found["rates"]:
            added = row["added_ms"]
            numbers = " | ".join(f"{added[part]:.2f}" for part in ("p50", "p95", "p99")) if added else "- | - | -"
            head = f"| {name} | {row['rate']:g} | {row['achieved']:.0f} | {numbers} | {row['processor_us_each']:.0f}"
            lines.append(f"{head} | {sum(row['errors'].values())} |")
    for name, found in result["found"].items():
        first, most = found["streams"]["added_ms"]["p50"], found["saturation"]["per_second"]
        lines.append(f"\n{name}: first word of a stream {first:.2f} ms later; at most {most:,.0f} calls a second")
    missed = [target for target in result["targets"] if not target["met"]]
    return "\n".join([*lines, *(f"MISSED: {t['name']}: {t['measured']:,.2f} (target {t['target']:,})" for t in missed)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litellm", type=Path, metavar="FOLDER", help="a virtual environment with litellm[proxy]")
    parser.add_argument("--rates", type=float, nargs="+", default=list(RATES), help="calls a second")
    parser.add_argument("--quick", action="store_true", help="4 seconds a rate: under two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--serve", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--durability", type=Durability, default=Durability.BATCH, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.home, given.durability)
        return
    result = benchmark(given)
    print(json.dumps(result, indent=2) if given.json else table(result))


if __name__ == "__main__":
    main()
