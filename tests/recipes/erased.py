"""A home folder in which two people were busy, and a search for every byte of one of them."""

from __future__ import annotations

import gzip
import sqlite3
import zlib
from pathlib import Path
from typing import Any

import orjson

from stillhouse.data.catalogue import Catalogue, Step
from stillhouse.data.items import Facts, Item, Kind, Method, Source
from stillhouse.data.parquet import connect
from stillhouse.storage.eval_records import DoneItem, RunCounts, StoredEval, StoredItem, StoredRun
from stillhouse.storage.file_records import NewFile
from stillhouse.storage.records import Claim, KeptAnswer, StoredCompletion
from stillhouse.storage.store import Store

ANN, BOB = "ann-4711", "bob-0815"
CANARIES = ("kanarienvogel-zeisig", "Lindenweg seventeen in Jena", ANN)
"""What only Ann says."""

BOILERPLATE = "Please read the ticket below and name the department that it belongs to:"


def said(person: str, number: int) -> str:
    """What somebody asked; of each person it is another text."""
    if person == ANN:
        return (
            f"{BOILERPLATE}\nThe parcel {number} to Lindenweg seventeen in Jena is lost, kanarienvogel-zeisig {number}."
        )
    return f"{BOILERPLATE}\nMy invoice {number} says the wrong sum, could somebody look into it for me please?"


def call(person: str, number: int, **named: Any) -> StoredCompletion:
    messages = [{"role": "system", "content": "You route tickets."}, {"role": "user", "content": said(person, number)}]
    answer = {
        "id": f"chatcmpl-{person}-{number}",
        "choices": [{"message": {"role": "assistant", "content": "billing"}}],
    }
    return StoredCompletion(
        id=answer["id"],
        created=100 + number,
        asked="large",
        model="large-1",
        route="teacher",
        metadata=named.pop("metadata", {}),
        answer=orjson.dumps({**answer, "input_user": person}),
        messages=orjson.dumps(messages),
        subject=named.pop("subject", person),
    )


def item(person: str, number: int, **more: Any) -> Item:
    """A call as a row of a dataset."""
    return Item(
        kind=Kind.CHAT,
        messages=({"role": "user", "content": said(person, number)},),
        answer={"role": "assistant", "content": ("billing", "shipping", "returns")[number % 3]},
        facts=more.pop("facts", Facts(subject=person)),
        source=more.pop("source", Source(Method.CAPTURED, f"chatcmpl-{person}-{number}", teacher="large-1")),
    )


async def busy(store: Store, home: Path, calls: int = 6) -> None:
    """Both have called, and their calls were carried everywhere."""
    for person in (ANN, BOB):
        await store.completions.add("default", *[call(person, number) for number in range(calls)])
    named_later = call(ANN, 90, subject=None, metadata={"subject": ANN})
    await store.completions.add("default", named_later)
    await _answers(store)
    await _evals(store)
    rows = [{"messages": [{"role": "user", "content": said(who, n)}]} for n in range(calls) for who in (ANN, BOB)]
    lines = [orjson.dumps(row) + b"\n" for row in rows]
    await store.files.put("default", NewFile(f"of {ANN}.jsonl", "fine-tune"), lines)
    await store.files.put("default", NewFile("bob.jsonl", "fine-tune"), lines[1::2])
    await store.files.put("default", NewFile("notes.pdf", "user_data"), [b"%PDF\0" + said(ANN, 3).encode() + b"\0"])
    await _datasets(store, home, calls)
    _home_files(home, lines)


async def _answers(store: Store) -> None:
    for number, text in enumerate((call(ANN, 1).answer, call(BOB, 1).answer, b'{"id":"chatcmpl-unstored"}')):
        claim = await store.answers.claim("default", bytes([number]) * 32, None)
        assert isinstance(claim, Claim)
        await store.answers.keep(claim, KeptAnswer(200, {}, text))


async def _evals(store: Store) -> None:
    await store.evals.add("default", StoredEval("eval_1", 1, 1, "routing", {"subject": ANN}, b'{"id":"eval_1"}'))
    rows = [{"item": {"input": said(who, 2), "completion_id": f"chatcmpl-{who}-2"}} for who in (ANN, BOB)]
    source = {"type": "jsonl", "source": {"type": "file_content", "content": rows}}
    run = StoredRun("evalrun_1", "eval_1", 1, "in_progress", "run", "m", {}, "t", orjson.dumps(source))
    await store.eval_runs.add("default", run)
    for row, who in enumerate((ANN, BOB)):
        content = {
            "object": "eval.run.output_item",
            "id": f"o{row}",
            "status": "pass",
            "datasource_item": rows[row]["item"],
        }
        content["sample"] = {"input": [{"role": "user", "content": said(who, 2)}], "output": []}
        kept = StoredItem(f"o{row}", row, "pass", orjson.dumps(content))
        await store.eval_items.add("evalrun_1", [DoneItem(kept, RunCounts((1, 0, 0)))])


async def _datasets(store: Store, home: Path, calls: int) -> None:
    catalogue = Catalogue(store, home, "default")
    raw = [item(who, number) for number in range(calls) for who in (ANN, BOB)]
    first = await catalogue.add("support", raw, Step("import", ("calls.jsonl",)))
    kept, dropped = raw[: 2 * calls - 2], [(each, "too long") for each in raw[2 * calls - 2 :]]
    await catalogue.add("support", kept, Step("filter", (first.reference,)), dropped)
    made_up = [item(ANN, 50, facts=Facts(), source=Source(Method.SYNTHETIC, parents=(raw[0].id,))), item(BOB, 51)]
    await catalogue.add("invented", made_up, Step("synthesize", (first.reference,)))
    await catalogue.add("bob-only", [item(BOB, 1)], Step("import"))


def _home_files(home: Path, lines: list[bytes]) -> None:
    (home / "bad-rows.jsonl").write_bytes(b"".join(orjson.dumps({"row": line.decode()}) + b"\n" for line in lines))
    for place in ("answers", "jobs/ftjob-1", "stages/words-0123", "stages/static-77.partial", "signals/abcd"):
        (home / place).mkdir(parents=True)
        (home / place / "train.jsonl").write_bytes(b"".join(lines))
    (home / "jobs/ftjob-1/rows.jsonl.gz").write_bytes(gzip.compress(b"".join(lines)))
    (home / "server.log").write_bytes(b"started\nasked: " + said(ANN, 1).replace("\n", " ").encode() + b"\n")
    (home / "note.json").write_bytes(orjson.dumps({"user": ANN, "about": said(ANN, 2)}))


def traces(home: Path, canaries: tuple[str, ...] = CANARIES) -> list[str]:
    """Every file of a home folder that holds a canary: as it lies there, unpacked, and row by row."""
    found: list[str] = []
    for path in sorted(home.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        for form in (content, *_unpacked(path, content)):
            found += [f"{path.relative_to(home)}: {word}" for word in canaries if word.encode() in form]
        found += [f"{path.relative_to(home)}: in its name" for word in canaries if word in str(path.relative_to(home))]
    return found


def _unpacked(path: Path, content: bytes) -> list[bytes]:
    if path.suffix == ".gz":
        return [gzip.decompress(content)]
    if path.suffix == ".parquet":
        with connect() as connection:
            query = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
            return [repr(query.fetchall()).encode()]
    if path.suffix in (".db", ".sqlite"):
        with sqlite3.connect(path) as database:
            return ["\n".join(database.iterdump()).encode(errors="replace")]
    try:
        return [zlib.decompress(content)]
    except zlib.error:
        return []
