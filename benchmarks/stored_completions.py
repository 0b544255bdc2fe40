"""Stored completions at a million rows: how long a page takes, by every kind of filter, and how fast rows go in.

    python benchmarks/stored_completions.py [--database URL] [--rows N] [--quick] [--json]

Rows are made here: conversations of about 1.5 KB, five models, metadata with 20, 50 and 10,000 values. The first
tenth goes in as the gateway adds them, each by itself and two thousand waiting at a time, the others in hundreds, as an
import does; all is acknowledged in batches. Then pages of 20 are read one by one: the first,
deep ones by cursor, and filtered ones; each kind as often as said, in random order, so that no kind finds its pages in
the cache because it was asked for just before. Without `--database` it is a SQLite file in the folder for temporary
files. A PostgreSQL that is named must be empty of stored completions.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import platform
import random
import shlex
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from stillhouse.extras import version
from stillhouse.storage.ids import new_id
from stillhouse.storage.records import Cut, StoredCompletion, Wanted
from stillhouse.storage.store import Store

PROJECT = "default"
AT_ONCE = 2_000
SENTENCE = "the customer asks whether a parcel that was sent on monday can still be stopped before it arrives"
Question = Callable[[random.Random], tuple[Wanted, Cut]]


def rows(count: int, seed: int) -> Iterator[StoredCompletion]:
    """Completions of the last thirty days, oldest first."""
    chance, words = random.Random(seed), SENTENCE.split()
    first = int(time.time()) - 30 * 86_400
    for number in range(count):
        made = new_id("chatcmpl-")
        said = " ".join(chance.choices(words, k=110))
        model = f"model-{min(chance.randrange(8), 4)}"
        head = {"id": made, "object": "chat.completion", "created": 1, "model": model, "temperature": 1.0}
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        yield StoredCompletion(
            id=made,
            created=first + number * 30 * 86_400 // count,
            asked=f"alias-{model}",
            model=f"{model}-2026-11",
            route="teacher",
            metadata={
                "use": str(chance.randrange(20)),
                "version": str(chance.randrange(50)),
                "customer": str(chance.randrange(10_000)),
            },
            answer=json.dumps({**head, "choices": [choice]}).encode(),
            messages=json.dumps([{"role": "user", "content": " ".join(chance.choices(words, k=110))}]).encode(),
        )


async def fill(store: Store, count: int, seed: int) -> dict[str, float]:
    """Add all rows: the first as calls come, each by itself, the others in hundreds; only the adding is timed."""
    source, one_by_one = rows(count, seed), count // 10
    first = await add(store, itertools.islice(source, one_by_one), 1)
    rest = await add(store, source, 100)
    return {
        "rows_per_second": first[0],
        "cpu_microseconds_per_row": first[1],
        "rows_per_second_in_hundreds": rest[0],
        "cpu_microseconds_per_row_in_hundreds": rest[1],
    }


async def add(store: Store, source: Iterator[StoredCompletion], together: int) -> tuple[float, float]:
    """Rows per second, and microseconds of CPU of each."""
    spent, burnt, done = 0.0, 0.0, 0
    while some := list(itertools.islice(source, AT_ONCE)):
        parts = [some[start : start + together] for start in range(0, len(some), together)]
        started, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*[store.completions.add(PROJECT, *part) for part in parts])
        spent, burnt, done = spent + time.perf_counter() - started, burnt + time.process_time() - used, done + len(some)
        if done % 50_000 < AT_ONCE:
            tell(f"{done:,} rows, {done / spent:,.0f} a second, {burnt / done * 1e6:.0f} us of CPU each")
    return done / spent, burnt / done * 1e6


def questions(ids: Sequence[str]) -> dict[str, Question]:
    """Every kind of page, asked for anew each time."""

    def page(wanted: Callable[[random.Random], Wanted], deep: bool = False, ascending: bool = False) -> Question:
        def ask(chance: random.Random) -> tuple[Wanted, Cut]:
            return wanted(chance), Cut(20, chance.choice(ids) if deep else None, ascending)

        return ask

    def metadata(**ranges: int) -> Callable[[random.Random], Wanted]:
        return lambda chance: Wanted(metadata={name: str(chance.randrange(end)) for name, end in ranges.items()})

    def model(chance: random.Random) -> Wanted:
        return Wanted(f"model-{chance.randrange(5)}-2026-11")

    def all_of_them(chance: random.Random) -> Wanted:
        return Wanted()

    def everything(chance: random.Random) -> Wanted:
        return Wanted(model(chance).model, metadata(use=20, version=50, customer=10_000)(chance).metadata)

    return {
        "first page": page(all_of_them),
        "first page, oldest first": page(all_of_them, ascending=True),
        "deep page": page(all_of_them, deep=True),
        "model": page(model),
        "model, deep": page(model, deep=True),
        "metadata, 1 of 20": page(metadata(use=20)),
        "metadata, 1 of 10,000": page(metadata(customer=10_000), deep=True),
        "two pairs, 1 of 1,000": page(metadata(use=20, version=50)),
        "two pairs, 1 of 1,000, deep": page(metadata(use=20, version=50), deep=True),
        "two pairs, 1 of 500,000": page(metadata(version=50, customer=10_000)),
        "model and three pairs": page(everything, deep=True),
        "a pair that nobody has": page(lambda _: Wanted(metadata={"use": "none"})),
    }


async def read(store: Store, kinds: dict[str, Question], times: int, seed: int) -> dict[str, list[float]]:
    """Milliseconds of each page, by its kind, in an order that mixes them."""
    chance = random.Random(seed)
    asked = [name for name in kinds for _ in range(times)]
    chance.shuffle(asked)
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for name in asked:
        wanted, cut = kinds[name](chance)
        started = time.perf_counter()
        page = await store.completions.page(PROJECT, wanted, cut)
        taken[name].append((time.perf_counter() - started) * 1000)
        assert page is not None
        assert len(page.rows) <= cut.limit
    return taken


async def sample(store: Store, count: int) -> list[str]:
    """Ids to go on after: of rows spread over all of time."""
    async with store.database.reading() as connection:
        found = await connection.execute(text("SELECT id FROM completions ORDER BY id"))
        every = list(found.scalars())
    return every[:: max(1, len(every) // count)]


async def benchmark(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    count, times = (50_000, 50) if given.quick else (given.rows, 200)
    store = await Store.open(given.database, folder)
    async with store.database.reading() as connection:
        if (await connection.execute(text("SELECT 1 FROM completions LIMIT 1"))).scalar():
            sys.exit("The database holds stored completions already: name an empty one.")
        server = (await connection.execute(text("SHOW server_version"))).scalar() if given.database else None
    try:
        ingest = await fill(store, count, given.seed)
        if not store.database.is_sqlite:
            async with store.database.reading() as connection:
                await connection.execute(text("ANALYZE"))
        kinds = questions(await sample(store, 1_000))
        taken = await read(store, kinds, times, given.seed)
    finally:
        await store.close()
    pages = {name: summary(values) for name, values in taken.items()}
    return {
        "benchmark": "stored_completions",
        "command": shlex.join(["python", "benchmarks/stored_completions.py", *flags(given)]),
        "seed": given.seed,
        "database": f"PostgreSQL {server}" if server else f"SQLite {sqlite3.sqlite_version}",
        "machine": {"cores": cores(), "processor": platform.machine()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("sqlalchemy", "aiosqlite", "asyncpg")},
        },
        "rows": count,
        "times": times,
        "ingest": ingest,
        "pages_ms": pages,
        "targets": [
            *({"name": f"{name}, p95 ms", "target": 50, "measured": found["p95"], "met": found["p95"] <= 50}
              for name, found in pages.items()),
            {"name": "ingest in hundreds, rows/s", "target": 20_000, "measured": ingest["rows_per_second_in_hundreds"],
             "met": ingest["rows_per_second_in_hundreds"] >= 20_000},
        ],
    }  # fmt: skip


def summary(values: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "max": max(values)}


def flags(given: argparse.Namespace) -> list[str]:
    """The options that were given, but for where the database is."""
    words = ["--database", "URL"] if given.database else []
    words += ["--rows", str(given.rows), "--seed", str(given.seed)]
    return words + [flag for flag, is_set in (("--quick", given.quick), ("--json", given.json)) if is_set]


def cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def table(result: dict[str, Any]) -> str:
    """The result as people read it."""
    ingest = result["ingest"]
    lines = [
        f"{result['database']}, {result['rows']:,} rows",
        "",
        "| page | p50 ms | p95 ms | max ms |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {f['p50']:.2f} | {f['p95']:.2f} | {f['max']:.1f} |" for name, f in result["pages_ms"].items()
    ]
    for name, how in (("", "one by one"), ("_in_hundreds", "in hundreds")):
        rate, cpu = ingest[f"rows_per_second{name}"], ingest[f"cpu_microseconds_per_row{name}"]
        lines += ["", f"ingest {how}: {rate:,.0f} rows/s, {cpu:.0f} us of CPU each"]
    missed = [target for target in result["targets"] if not target["met"]]
    return "\n".join([*lines, *(f"MISSED: {t['name']}: {t['measured']:,.1f} (target {t['target']:,})" for t in missed)])


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="URL of an empty PostgreSQL database; else a SQLite file")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="50,000 rows and 50 pages of each kind: under two minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(benchmark(given, Path(folder)))
    print(json.dumps(result, indent=2) if given.json else table(result))


if __name__ == "__main__":
    main()
