"""`stillhouse import`: stored calls and evals from elsewhere, taken over with their ids."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import orjson
import typer

from stillhouse import settings
from stillhouse.cli.console import actor, emit, progress, words
from stillhouse.cli.transfer import Transfer
from stillhouse.errors import BadRow, UsageError
from stillhouse.storage.records import StoredCompletion

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["Kind", "import_"]

TOGETHER = 500
"""Stored calls that go into one commit."""

ROUTE = "imported"
"""What a stored call that was taken over says about who answered and why."""

Result = TypeVar("Result")
Told = Callable[[str, int], None]


class Kind(StrEnum):
    """What a file holds."""

    OPENAI_STORED = "openai-stored"
    OPENAI_EVALS = "openai-evals"
    PROMPTFOO = "promptfoo"


def import_(
    kind: Annotated[
        Kind,
        typer.Argument(
            help="What it holds: stored completions with their messages (openai-stored) or evals (openai-evals), an "
            "object a line; or a promptfoo configuration in YAML or JSON."
        ),
    ],
    file: Annotated[Path, typer.Argument(help="The file to read; JSON lines may be compressed by gzip.")],
    judge: Annotated[str | None, typer.Option(help="The model of the server that grades promptfoo's rubrics.")] = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave out lines that cannot be used, and count them.")
    ] = False,
    project: Annotated[str, typer.Option(help="Whose they become.")] = "default",
    home: Annotated[Path | None, typer.Option(help="The folder that holds everything.", show_default=False)] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="The database that the server keeps calls in.", show_default="stillhouse.db in the home folder"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object with what was taken over.")] = False,
) -> None:
    """Take over what the hosted suite or promptfoo has of yours.

    What is here already, or was deleted here, is left as it is: the same command may be run again. Servers may run
    meanwhile.
    """
    if not file.is_file():
        raise UsageError(f"There is no file {file}.")
    if judge and kind != Kind.PROMPTFOO:
        raise UsageError("--judge is for promptfoo, whose rubrics name no model of this server.")

    async def work() -> dict[str, Any]:
        from stillhouse.storage.store import Store

        store = await Store.open(settings.database(database), settings.home(home))
        try:
            with Transfer(progress(), unit="lines") as told:
                if kind == Kind.OPENAI_STORED:
                    return await _tell_log(store, project, await _stored(store, project, file, skip_bad_rows, told))
                if kind == Kind.OPENAI_EVALS:
                    return await _evals(store, project, file, skip_bad_rows, told)
                return await _promptfoo(store, project, file, judge)
        finally:
            await store.close()

    result = asyncio.run(work())
    if json:
        emit(result)
        return
    told = f"{result['imported']} imported, {result['known']} known already, {result['bad_rows']} left out"
    words().print(f"{file}: {told}.", markup=False, soft_wrap=True)
    for each in result.get("evals", ()):
        told = (
            f"  {each['id']}  {each['name']}: {each['rows']} rows in {each['file']}, {len(each['runs'])} runs to begin"
        )
        words().print(told, markup=False, highlight=False, soft_wrap=True)


async def _tell_log(store: Store, project: str, counts: dict[str, Any]) -> dict[str, Any]:
    """The counts of an import, which the audit log is told."""
    from stillhouse.storage.audit_records import Event

    await store.audit.tell(Event("completions.imported", actor(), project, details=counts))
    return counts


async def _stored(store: Store, project: str, file: Path, skip: bool, told: Told) -> dict[str, Any]:
    from stillhouse.data.subjects import subject_of
    from stillhouse.wire.exported import read_exported_completion

    counts = {"imported": 0, "known": 0, "bad_rows": 0}
    if not skip:  # nothing is taken over of a file that cannot be taken over whole
        for _ in _read(file, read_exported_completion, False, counts):
            told("Checking", 1)
    waiting: dict[str, StoredCompletion] = {}

    async def keep() -> None:
        known = await store.completions.known(project, list(waiting))
        new = [row for row in waiting.values() if row.id not in known]
        await store.completions.add(project, *new)
        counts["imported"] += len(new)
        counts["known"] += len(known)
        waiting.clear()

    for row in _read(file, read_exported_completion, skip, counts):
        told("Importing", 1)
        if row.id in waiting:
            counts["known"] += 1
            continue
        waiting[row.id] = StoredCompletion(
            id=row.id,
            created=row.created,
            asked=row.model,
            model=row.model,
            route=ROUTE,
            metadata=row.metadata,
            answer=row.answer,
            messages=row.messages,
            subject=subject_of(row.metadata, orjson.loads(row.answer)),
        )
        if len(waiting) == TOGETHER:
            await keep()
    await keep()
    return counts


async def _evals(store: Store, project: str, file: Path, skip: bool, told: Told) -> dict[str, Any]:
    from stillhouse.storage.eval_records import StoredEval
    from stillhouse.wire.evals import write_eval
    from stillhouse.wire.exported import read_exported_eval

    counts = {"imported": 0, "known": 0, "bad_rows": 0}
    for one in list(_read(file, read_exported_eval, skip, counts)):
        told("Importing", 1)
        if await store.evals.get(project, one.id):
            counts["known"] += 1
            continue
        content = orjson.dumps(write_eval(one))
        await store.evals.add(
            project, StoredEval(one.id, one.created_at, one.created_at, one.name, one.metadata, content)
        )
        counts["imported"] += 1
    return counts


async def _promptfoo(store: Store, project: str, file: Path, judge: str | None) -> dict[str, Any]:
    """An eval for each set of assertions, with its rows as a file; its id is made of what it says."""
    from stillhouse.evaluation.kept import new_eval
    from stillhouse.storage.file_records import NewFile
    from stillhouse.wire.evals import read_eval, write_eval
    from stillhouse.wire.promptfoo import read_promptfoo

    counts = {"imported": 0, "known": 0, "bad_rows": 0}
    evals: list[dict[str, Any]] = []
    for one in read_promptfoo(file, judge):
        rows = b"".join(orjson.dumps(row) + b"\n" for row in one.rows)
        body = orjson.dumps(one.body)
        eval_id = f"eval_{hashlib.sha256(project.encode() + body + rows).hexdigest()[:30]}"
        if await store.evals.get(project, eval_id):
            counts["known"] += 1
            continue
        made, kept = new_eval(read_eval(body), int(time.time()))
        content = orjson.dumps(write_eval(replace(made, id=eval_id)))
        rows_file = await store.files.put(project, NewFile(f"{file.stem}.jsonl", "evals"), [rows])
        await store.evals.add(project, replace(kept, id=eval_id, content=content))
        counts["imported"] += 1
        source = {"type": "file_id", "id": rows_file.id}
        runs = [{**run, "data_source": {**run["data_source"], "source": source}} for run in one.runs]
        evals.append({"id": eval_id, "name": made.name, "file": rows_file.id, "rows": len(one.rows), "runs": runs})
    return {**counts, "evals": evals}


def _read(file: Path, read: Callable[[bytes], Result], skip: bool, counts: dict[str, int]) -> Iterator[Result]:
    """What each line holds; raises BadRow for one that cannot be used, or counts it."""
    from stillhouse.data.formats import read_lines
    from stillhouse.wire.errors import WireError

    for number, line in read_lines(file):
        try:
            yield read(line)
        except WireError as error:
            if not skip:
                raise BadRow(str(file), number, str(error)) from error
            counts["bad_rows"] += 1
