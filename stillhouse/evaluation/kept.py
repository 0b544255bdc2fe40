"""Evals and runs between the JSON of the wire and the form in which the database keeps them."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from stillhouse.evaluation.run import Graded, Tally, results, sample_shown
from stillhouse.storage.eval_records import DoneItem, ItemStatus, RunCounts, StoredEval, StoredItem, StoredRun
from stillhouse.storage.ids import new_id
from stillhouse.wire.data_sources import DataSource, StoredCompletions, read_data_source, write_data_source
from stillhouse.wire.evals import (
    Counts,
    Criterion,
    Eval,
    NewEval,
    NewRun,
    OutputItem,
    Progress,
    Run,
    restore_eval,
    write_eval,
    write_output_item,
    write_run,
)
from stillhouse.wire.samples import Sampling, Tokens, write_sample

__all__ = [
    "done_item",
    "keep_eval",
    "new_eval",
    "new_run",
    "read_counts",
    "restore_source",
    "restored",
    "show_eval",
    "show_run",
    "unreadable_item",
]


def new_eval(asked: NewEval, now: int) -> tuple[Eval, StoredEval]:
    """An eval that is to be made, with ids of its own, and the form in which it is kept."""
    criteria = tuple([Criterion(f"{grader.name}-{uuid.uuid4()}", grader) for grader in asked.criteria])
    eval_id = new_id("eval_")
    made = Eval(eval_id, asked.name or eval_id, now, asked.config, criteria, asked.metadata)
    return made, keep_eval(made)


def keep_eval(made: Eval) -> StoredEval:
    """The form in which an eval is kept, whoever made it."""
    content = orjson.dumps(write_eval(made))
    return StoredEval(made.id, made.created_at, made.created_at, made.name, made.metadata, content)


def restored(kept: StoredEval) -> Eval:
    """An eval as it was kept."""
    return replace(restore_eval(orjson.loads(kept.content)), name=kept.name, metadata=kept.metadata)


def show_eval(kept: StoredEval) -> dict[str, Any]:
    """The JSON of an eval that is kept."""
    return {**orjson.loads(kept.content), "name": kept.name, "metadata": dict(kept.metadata)}


def new_run(asked: NewRun, of: StoredEval, now: int) -> StoredRun:
    """A run that is to be made, queued; its model is the one it asks, else the one whose answers it reads."""
    source = asked.source
    model = source.asking.model if source.asking else None
    if model is None and isinstance(source.source, StoredCompletions):
        model = source.source.model
    return StoredRun(
        id=new_id("evalrun_"),
        eval_id=of.id,
        created=now,
        status="queued",
        name=asked.name or model or of.name,
        model=model,
        metadata=asked.metadata,
        token=secrets.token_urlsafe(16),
        source=orjson.dumps(write_data_source(source)),
    )


def restore_source(kept: StoredRun) -> DataSource:
    """A run's data source as it was kept; its rows were held against the schema when it was made."""
    return read_data_source(orjson.loads(kept.source), "data_source", None)


def show_run(kept: StoredRun, report_url: str) -> dict[str, Any]:
    """The JSON of a run that is kept."""
    run = Run(
        id=kept.id,
        eval_id=kept.eval_id,
        name=kept.name,
        model=kept.model,
        created_at=kept.created,
        source=orjson.loads(kept.source),
        metadata=kept.metadata,
        report_url=report_url,
    )
    return write_run(run, read_counts(kept))


def read_counts(kept: StoredRun) -> Progress:
    """How far a run is that is kept."""
    counts = kept.counts
    return Progress(
        status=kept.status,
        counts=Counts(*counts.items),
        criteria={name: Counts(*outcomes) for name, outcomes in counts.criteria.items()},
        usage={model: (calls, Tokens(*tokens)) for model, (calls, *tokens) in counts.usage.items()},
        error=kept.error,
    )


def done_item(run: StoredRun, row: int, graded: Graded, criteria: Sequence[Criterion], now: int) -> DoneItem:
    """A row that has been graded, as it is kept and counted."""
    tally = Tally()
    tally.add(row, graded)
    shown = OutputItem(
        id=_item_id(run, row),
        run_id=run.id,
        eval_id=run.eval_id,
        created_at=now,
        row=row,
        item=graded.row.item,
        status=graded.status,
        results=results(graded, criteria),
        sample=sample_shown(graded),
    )
    return _done(shown, _counts(tally))


def unreadable_item(run: StoredRun, row: int, item: Mapping[str, Any], reason: str, now: int) -> DoneItem:
    """A row that could not be read, as it is kept and counted: it is errored."""
    sample = write_sample(None, (), Sampling(), ("invalid_data", reason))
    shown = OutputItem(_item_id(run, row), run.id, run.eval_id, now, row, item, "error", (), sample)
    return _done(shown, RunCounts((0, 0, 1)))


def _done(shown: OutputItem, counts: RunCounts) -> DoneItem:
    status: ItemStatus = shown.status
    return DoneItem(StoredItem(shown.id, shown.row, status, orjson.dumps(write_output_item(shown))), counts)


def _item_id(run: StoredRun, row: int) -> str:
    """The same for the same row, whoever does it."""
    return f"outputitem_{run.id.removeprefix('evalrun_')}{row:08x}"


def _counts(tally: Tally) -> RunCounts:
    criteria = {name: (told.passed, told.failed, told.errored) for name, told in tally.criteria.items()}
    usage = {
        model: (calls, tokens.prompt, tokens.completion, tokens.cached)
        for model, (calls, tokens) in tally.usage.items()
    }
    counts = tally.counts
    return RunCounts((counts.passed, counts.failed, counts.errored), criteria, usage)
