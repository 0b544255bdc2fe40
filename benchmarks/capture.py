"""Capture: how many stored calls a second a database takes in each durability, and how long each is waited for.

    python benchmarks/capture.py [--database URL] [--quick] [--json]

Calls of about 1.5 KB with three pairs of metadata are added as the gateway adds them, each by itself, by one caller
and by 256 at a time. The time of a call is from its adding to its acknowledgement; the rate ends when all is on the
disk. Who is refused, since too much waits for the disk, comes again soon. For `batch` also the calls that an import
adds in hundreds. Each case begins with an empty SQLite file in the folder for temporary files; a PostgreSQL that is
named is filled by one case after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import shlex
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text
from stored_completions import rows

from stillhouse.errors import StorageBusy
from stillhouse.extras import version
from stillhouse.storage.records import Durability, StoredCompletion
from stillhouse.storage.store import Store

PROJECT = "default"
CASES = [
    ("sync", 1, 1),
    ("sync", 256, 1),
    ("batch", 1, 1),
    ("batch", 256, 1),
    ("batch", 16, 100),
    ("async", 1, 1),
    ("async", 256, 1),
]
"""Durability, callers at a time, and completions that each adds at once."""


Case = tuple[str, int, int]


async def measure(store: Store, source: Iterator[StoredCompletion], count: int, case: Case) -> dict[str, Any]:
    """One case: so many completions added by so many callers."""
    durability, callers, together = case
    parts = iter([list(itertools.islice(source, together)) for _ in range(count // together)])
    waited: list[float] = []

    async def call() -> None:
        for part in parts:
            started = time.perf_counter()
            while True:
                try:
                    await store.completions.add(PROJECT, *part)
                    break
                except StorageBusy:
                    await asyncio.sleep(0.05)
            waited.append((time.perf_counter() - started) * 1000)

    started, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*[call() for _ in range(callers)])
    await store.writer.settled()
    spent, burnt = time.perf_counter() - started, time.process_time() - used
    done = len(waited) * together
    cuts = statistics.quantiles(waited, n=100, method="inclusive")
    tell(f"{durability}, {callers} callers, {together} at once: {done / spent:,.0f} a second")
    return {
        "durability": durability,
        "callers": callers,
        "at_once": together,
        "completions": done,
        "per_second": done / spent,
        "cpu_microseconds_each": burnt / done * 1e6,
        "wait_ms": {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(waited)},
    }


async def run(given: argparse.Namespace, case: Case, folder: Path) -> tuple[dict[str, Any], str]:
    """A case in a store of its own, and what database it was."""
    durability, callers, _ = case
    count = (2_000 if given.quick else 20_000) * (10 if callers > 1 else 1) // (20 if durability == "sync" else 1)
    store = await Store.open(given.database, folder, Durability(durability))
    try:
        if store.database.is_sqlite:
            name = f"SQLite {sqlite3.sqlite_version}"
        else:
            async with store.database.reading() as connection:
                name = f"PostgreSQL {(await connection.execute(text('SHOW server_version'))).scalar()}"
        return await measure(store, rows(count, given.seed), count, case), name
    finally:
        await store.close()


def benchmark(given: argparse.Namespace) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    database = ""
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            result, database = asyncio.run(run(given, case, Path(folder)))
        found.append(result)
    best = max(row["per_second"] for row in found if row["durability"] == "batch")
    lone = next(row for row in found if (row["durability"], row["callers"]) == ("batch", 1))
    words = ["--database", "URL"] if given.database else []
    words += [flag for flag, is_set in (("--quick", given.quick), ("--json", given.json)) if is_set]
    return {
        "benchmark": "capture",
        "command": shlex.join(["python", "benchmarks/capture.py", *words]),
        "seed": given.seed,
        "database": database,
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "processor": platform.machine()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("sqlalchemy", "aiosqlite", "asyncpg")},
        },
        "cases": found,
        "targets": [
            {"name": "batch, rows/s", "target": 20_000, "measured": best, "met": best >= 20_000},
            {"name": "batch, one caller waits, p50 ms", "target": 10, "measured": lone["wait_ms"]["p50"],
             "met": lone["wait_ms"]["p50"] <= 10},
        ],
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """The result as people read it."""
    lines = [f"{result['database']}; load {result['machine']['load']:.1f} on {result['machine']['cores']} cores", ""]
    lines += [
        "| durability | callers | at once | rows/s | CPU us | wait p50 | p99 | max ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["cases"]:
        wait = row["wait_ms"]
        numbers = f"{row['per_second']:,.0f} | {row['cpu_microseconds_each']:.0f}"
        waits = f"{wait['p50']:.2f} | {wait['p99']:.2f} | {wait['max']:.0f}"
        lines.append(f"| {row['durability']} | {row['callers']} | {row['at_once']} | {numbers} | {waits} |")
    missed = [target for target in result["targets"] if not target["met"]]
    return "\n".join([*lines, *(f"MISSED: {t['name']}: {t['measured']:,.1f} (target {t['target']:,})" for t in missed)])


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="URL of a PostgreSQL database for this alone; else SQLite files")
    parser.add_argument("--quick", action="store_true", help="a tenth of the calls: under two minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args()
    result = benchmark(given)
    print(json.dumps(result, indent=2) if given.json else table(result))


if __name__ == "__main__":
    main()
