"""What must hold after servers were killed: nothing lost, nothing torn, and the results of an undisturbed run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

from chaos_load import Clients, Ledger
from openai import OpenAI
from sqlalchemy import create_engine, text

from stillhouse.storage.database import database_url
from stillhouse.storage.store import Store

OURS = re.compile(r"(ftjob-|file-|ftckpt_)[0-9A-Za-z_-]+|ft:[^ \"]+")
"""Ids in what a job tells, which differ from job to job."""
OLD = 7_200
"""Seconds after which what nobody uses is known to be a leftover."""


def results(clients: Clients, home: Path) -> dict[str, list[tuple[str, Any]]]:
    """What came out of every run and job there is, by its kind: its id, and all of it but ids and times."""
    found: dict[str, list[tuple[str, Any]]] = {}
    client = clients.client
    of_runs = clients.client.evals.runs
    for of in set(clients.ledger.evals.values()):
        for run in of_runs.list(of, limit=100):
            found.setdefault(f"run {run.name}", []).append((run.id, _run(client, of, run)))
    for job in client.fine_tuning.jobs.list(limit=100):
        kind = clients.ledger.jobs.get(job.id) or _suffix(client, job.id)
        found.setdefault(f"job {kind}", []).append((job.id, _job(client, home, job)))
    return found


def compare(undisturbed: dict[str, Any], disturbed: dict[str, Any]) -> list[str]:
    """What differs."""
    faults: list[str] = []
    for kind, [(_, wanted)] in undisturbed.items():
        for name, result in disturbed.get(kind, ()):
            for part, value in wanted.items():
                if result[part] != value:
                    faults.append(f"{kind} {name}: {part} differs: {_difference(value, result[part])}")
    return faults


def kept(client: OpenAI, ledger: Ledger) -> tuple[list[str], dict[str, int]]:
    """What is wrong with the stored completions, and how many there are."""
    faults: list[str] = []
    seen: set[str] = set()
    counts = {"stored": 0, "stored_unacknowledged": 0}
    for row in client.chat.completions.list(limit=100):
        counts["stored"] += 1
        tag = (row.metadata or {}).get("tag", "")
        call = ledger.calls.get(tag)
        if call is None or tag in seen:
            faults.append(f"stored {row.id}: nobody asked for it (metadata {row.metadata})")
            continue
        seen.add(tag)
        if call.id is None:
            counts["stored_unacknowledged"] += 1
        elif call.id != row.id:
            faults.append(f"stored {row.id}: its call was answered as {call.id}")
        if row.choices[0].message.content != call.content or row.choices[0].finish_reason != "stop":
            faults.append(f"stored {row.id}: it says {row.choices[0].message.content!r}, not {call.content!r}")
        if row.metadata not in call.metadata:
            faults.append(f"stored {row.id}: its metadata is {row.metadata}, not one of {call.metadata}")
        if call.deleted:
            faults.append(f"stored {row.id}: it was deleted")
        if call.id is None or counts["stored"] % 20 == 0:
            asked = [{"role": m.role, "content": m.content} for m in client.chat.completions.messages.list(row.id)]
            if asked != call.messages:
                faults.append(f"stored {row.id}: its messages are {asked}")
    missing = [c for c in ledger.calls.values() if c.id and c.tag not in seen and not c.deleting]
    faults += [f"lost: call {call.tag}, acknowledged as {call.id}" for call in missing]
    return faults, counts


def files(client: OpenAI, ledger: Ledger) -> list[str]:
    """What is wrong with the files."""
    faults: list[str] = []
    listed = {file.id: file for file in client.files.list(purpose="user_data")}
    for file in listed.values():
        sent = ledger.files.get(file.filename)
        content = client.files.content(file.id).content
        if sent is None or hashlib.sha256(content).hexdigest() != sent.digest or len(content) != file.bytes:
            faults.append(f"file {file.id} ({file.filename}): its content is not what was sent")
        elif sent.deleted and sent.id == file.id:
            faults.append(f"file {file.id}: it was deleted")
    missing = [each for each in ledger.files.values() if each.id and each.id not in listed and not each.deleting]
    faults += [f"lost: file {each.name}, acknowledged as {each.id}" for each in missing]
    names = [file.filename for file in client.files.list(purpose="fine-tune-results")]
    twice = {name for name in names if names.count(name) > 1}
    return faults + [f"there are several results files {name}" for name in twice]


def orders(client: OpenAI, ledger: Ledger) -> list[str]:
    """What was ordered and acknowledged, and is not there."""
    jobs = {job.id for job in client.fine_tuning.jobs.list(limit=100)}
    runs = {run.id for of in set(ledger.evals.values()) for run in client.evals.runs.list(of, limit=100)}
    return [f"lost: {name}" for name in [*(ledger.jobs.keys() - jobs), *(ledger.runs.keys() - runs)]]


async def on_disk(database: str | None, home: Path) -> list[str]:
    """What is wrong in the databases and folders once everything has stopped."""
    faults: list[str] = []
    url = database_url(database, home)
    lite = url.get_backend_name() == "sqlite"
    mine = create_engine(url.set(drivername="sqlite" if lite else "postgresql+psycopg"))
    record = create_engine(f"sqlite:///{home / 'dbos.sqlite'}") if lite else mine
    with mine.connect() as connection, record.connect() as durable:
        if lite:
            for name, each in (("stillhouse.db", connection), ("dbos.sqlite", durable)):
                said = each.execute(text("PRAGMA integrity_check")).scalar()
                faults += [] if said == "ok" else [f"{name}: integrity_check says {said}"]
        for words, query in (
            ("orders that wait", "SELECT count(*) FROM work_orders"),
            ("keys that workers left", "SELECT count(*) FROM api_keys WHERE name LIKE 'eval run%'"),
            (
                "items of runs that are not there",
                "SELECT count(*) FROM eval_items WHERE run_id NOT IN (SELECT id FROM eval_runs)",
            ),
        ):
            count = connection.execute(text(query)).scalar()
            faults += [f"{count} {words}"] if count else []
        status = "workflow_status" if lite else "dbos.workflow_status"
        rows = durable.execute(text(f"SELECT status, count(*) FROM {status} GROUP BY status")).all()
        faults += [f"{count} workflows are {name}" for name, count in rows if name != "SUCCESS"]
    return faults + await _leftovers(database, home)


async def _leftovers(database: str | None, home: Path) -> list[str]:
    """What lies in the home folder and belongs to nothing, once it is old enough to be tidied up."""
    aged = time.time() - OLD
    store = await Store.open(database, home)
    try:
        folder = store.files.blobs.folder
        for path in folder.glob("*/*"):
            os.utime(path, (aged, aged))
        await store.tidy(thorough=True)
        drafts = list(folder.glob("incoming/*"))
    finally:
        await store.close()
    found = [*drafts, *home.glob("jobs/*/*.writing"), *home.glob("jobs/*/epochs/.*"), *home.glob("jobs/*/.[!.]*")]
    return [f"leftover: {path.relative_to(home)}" for path in found]


def _run(client: OpenAI, of: str, run: Any) -> dict[str, Any]:
    items: list[Any] = []
    for item in client.evals.runs.output_items.list(run.id, eval_id=of, limit=100):
        row = {name: value for name, value in item.datasource_item.items() if name != "completion_id"}
        grades = [[grade.passed, grade.score] for grade in item.results]  # their names end in an id
        said = [[output.role, output.content] for output in item.sample.output]
        items.append([item.datasource_item_id, item.status, row, grades, said])
    criteria = [[each.passed, each.failed] for each in run.per_testing_criteria_results]
    usage = [each.model_dump() for each in run.per_model_usage or ()]
    return {
        "status": run.status,
        "counts": run.result_counts.model_dump(),
        "criteria": criteria,
        "usage": usage,
        "items": sorted(items, key=lambda each: each[0]),
    }


def _job(client: OpenAI, home: Path, job: Any) -> dict[str, Any]:
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=100))
    told = [[event.type, event.level, OURS.sub("ID", event.message), event.data] for event in reversed(events)]
    points = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    weights = {
        f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((home / "jobs" / job.id / "epochs").glob("*/*.safetensors"))
    }
    return {
        "status": job.status,
        "error": job.error.model_dump() if job.error and job.error.code else None,
        "tokens": job.trained_tokens,
        "figures": [client.files.content(file).text for file in job.result_files],
        "events": told,
        "checkpoints": [[point.step_number, point.metrics.model_dump()] for point in points],
        "weights": weights,
    }


def _suffix(client: OpenAI, job_id: str) -> str:
    """The kind of a job that was made and not acknowledged."""
    job: Any = client.fine_tuning.jobs.retrieve(job_id)
    return (job.fine_tuned_model or "::::").split(":")[3]


def _difference(wanted: Any, seen: Any) -> str:
    """Where two values part, in a few words."""
    if isinstance(wanted, list) and isinstance(seen, list):
        if len(wanted) != len(seen):
            more = [each for each in seen if each not in wanted] + [each for each in wanted if each not in seen]
            return f"{len(seen)} instead of {len(wanted)}; {json.dumps(more[:3], default=str)[:600]}"
        pairs = [(a, b) for a, b in zip(wanted, seen, strict=True) if a != b]
        wanted, seen = pairs[0]
    return f"{json.dumps(seen, default=str)[:300]} instead of {json.dumps(wanted, default=str)[:300]}"
