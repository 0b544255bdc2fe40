"""`stillhouse eval`: lists eval runs, shows one, and compares two pair by pair."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from stillhouse import settings
from stillhouse.cli.console import emit, words
from stillhouse.errors import UsageError
from stillhouse.evaluation.side_by_side import By, KeptOutcome, criterion_names, read_outcome, set_side_by_side
from stillhouse.storage.eval_records import StoredRun
from stillhouse.storage.records import Cut

if TYPE_CHECKING:
    from stillhouse.evaluation.compare import RunComparison
    from stillhouse.storage.store import Store

__all__ = ["Action", "eval"]

FEW = 20
"""Rows that are named."""


class Action(StrEnum):
    """What is done with runs."""

    LIST = "list"
    SHOW = "show"
    COMPARE = "compare"


@dataclass(frozen=True, slots=True)
class Opened:
    """A run with the names of its criteria, and what became of its rows."""

    run: StoredRun
    names: Mapping[str, str]
    outcomes: Sequence[KeptOutcome]
    failing: Sequence[bytes]
    """The JSON of the first items that did not pass."""


def eval(
    action: Annotated[Action, typer.Argument(help="What to do: list runs, show one, or compare two.")],
    runs: Annotated[list[str] | None, typer.Argument(help="The ids of the runs: one to show, two to compare.")] = None,
    by: Annotated[
        By,
        typer.Option(
            help="What makes two items a pair: the number of their row, or the item itself; auto is the row where "
            "both runs have the same items."
        ),
    ] = By.AUTO,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.9999, help="The confidence of the intervals.")] = 0.95,
    project: Annotated[str, typer.Option(help="Whose runs are listed.")] = "default",
    home: Annotated[Path | None, typer.Option(help="The folder that holds everything.", show_default=False)] = None,
    database: Annotated[
        str | None,
        typer.Option(help="The database of the server.", show_default="stillhouse.db in the home folder"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at eval runs: list them, show one, or compare two row by row.

    A comparison sets each item of the second run against the same item of the first: how much more often it passes,
    with an interval, the same for the score of each criterion, and which rows were gained and lost.
    """
    wanted = {Action.LIST: 0, Action.SHOW: 1, Action.COMPARE: 2}[action]
    given = runs or []
    if len(given) != wanted:
        ids = ("no run", "the id of one run", "the ids of two runs")[wanted]
        raise UsageError(f"`eval {action}` takes {ids}. `stillhouse eval list` shows the ids.")

    async def work() -> tuple[list[StoredRun], list[Opened]]:
        from stillhouse.storage.store import Store

        store = await Store.open(settings.database(database), settings.home(home))
        try:
            if action is Action.LIST:
                return await _all(store, project), []
            return [], [await _open(store, run_id) for run_id in given]
        finally:
            await store.close()

    listed, opened = asyncio.run(work())
    if action is Action.LIST:
        _list(listed, json)
    elif action is Action.SHOW:
        _show(opened[0], json)
    else:
        told, how = set_side_by_side(opened[0].outcomes, opened[1].outcomes, by, confidence)
        _compare(opened[0].run, opened[1].run, told, how, json)


async def _all(store: Store, project: str) -> list[StoredRun]:
    """Every run of a project's evals, eval by eval."""
    found: list[StoredRun] = []
    after = None
    while page := await store.evals.page(project, Cut(100, after, ascending=True)):
        for each in page.rows:
            last = None
            while runs := await store.eval_runs.page(project, each.id, Cut(100, last, ascending=True)):
                found.extend(runs.rows)
                if not runs.has_more:
                    break
                last = runs.rows[-1].id
        if not page.has_more:
            break
        after = page.rows[-1].id
    return found


async def _open(store: Store, run_id: str) -> Opened:
    """A run with all its items; raises UsageError when there is none."""
    from stillhouse.evaluation.kept import restored

    found = await store.eval_runs.find(run_id)
    kept = await store.evals.get(found[0], found[1].eval_id) if found else None
    if found is None or kept is None:
        raise UsageError(f"There is no eval run {run_id!r}. `stillhouse eval list` shows the ids.")
    names = criterion_names(restored(kept))
    outcomes: list[KeptOutcome] = []
    failing: list[bytes] = []
    after = None
    while page := await store.eval_items.page(run_id, Cut(1_000, after, ascending=True)):
        outcomes.extend(read_outcome(item, names) for item in page.rows)
        failing.extend(item.content for item in page.rows if item.status != "pass")
        failing = failing[:FEW]
        if not page.has_more:
            break
        after = page.rows[-1].id
    return Opened(found[1], names, outcomes, failing)


def _about(run: StoredRun) -> dict[str, Any]:
    passed, failed, errored = run.counts.items
    counts = {"total": passed + failed + errored, "passed": passed, "failed": failed, "errored": errored}
    told = {"id": run.id, "eval_id": run.eval_id, "name": run.name, "model": run.model, "status": run.status}
    return {**told, "created": run.created, "result_counts": counts, "error": run.error}


def _list(runs: Sequence[StoredRun], as_json: bool) -> None:
    if as_json:
        emit({"runs": [_about(run) for run in runs]})
        return
    if not runs:
        words().print("There are no eval runs yet. Clients make them: docs/evals.md.")
        return
    for run in runs:
        words().print("  ".join([run.id, *_line(run)]), markup=False, highlight=False, soft_wrap=True)


def _show(opened: Opened, as_json: bool) -> None:
    run = opened.run
    criteria = {
        opened.names.get(criterion, criterion): dict(zip(("passed", "failed", "errored"), outcomes, strict=True))
        for criterion, outcomes in run.counts.criteria.items()
    }
    failing = [orjson.loads(content) for content in opened.failing]
    if as_json:
        emit({**_about(run), "criteria": criteria, "not_passed": failing})
        return
    console = words()
    _head(console, run)
    table = Table("criterion", "passed", "failed", "errored", box=None)
    for name, told in criteria.items():
        table.add_row(_plain(name), *[str(number) for number in told.values()])
    console.print(table)
    for item in failing:
        reason = item["sample"]["error"]["message"] if item["sample"]["error"] else ""
        shown = orjson.dumps(item["datasource_item"]).decode()
        console.print(f"  row {item['datasource_item_id']}  {item['status']}  {_short(shown)}  {reason}", markup=False)


def _head(console: Console, run: StoredRun) -> None:
    console.print("  ".join([run.id, *_line(run)]), markup=False, highlight=False, soft_wrap=True)
    if run.error:
        console.print(f"  {run.error[0]}: {run.error[1]}", markup=False, highlight=False, soft_wrap=True)


def _line(run: StoredRun) -> list[str]:
    passed, failed, errored = run.counts.items
    model = [run.model] if run.model and run.model != run.name else []
    return [run.name, *model, run.status, f"{passed} passed, {failed} failed, {errored} errored"]


def _compare(first: StoredRun, second: StoredRun, told: RunComparison, by: By, as_json: bool) -> None:
    if as_json:
        emit({"first": _about(first), "second": _about(second), "by": by, **asdict(told)})
        return
    console = words()
    for letter, run in (("A", first), ("B", second)):
        part = "" if run.status == "completed" else f"  ({run.status}: not all rows are there)"
        console.print(f"{letter}: {run.name}  {run.id}{part}", markup=False, highlight=False, soft_wrap=True)
    passing = told.passing
    table = Table("", "A", "B", "B - A", "interval", "rows", box=None)
    rows = [("passing", passing.teacher_accuracy, passing.student_accuracy, passing)]
    rows += [(f"score of {_plain(name)}", one.first, one.second, one) for name, one in told.scores.items()]
    for name, before, after, one in rows:
        low, high = one.interval
        interval = f"{low:+.3f} to {high:+.3f}"
        table.add_row(name, f"{before:.3f}", f"{after:.3f}", f"{one.difference:+.3f}", interval, str(one.rows))
    console.print(table)
    console.print(_verdict(passing.interval), highlight=False)
    for name, numbers in (("only B passes", told.gained), ("only A passes", told.lost)):
        more = f" and {len(numbers) - FEW} more" if len(numbers) > FEW else ""
        shown = ", ".join(str(number) for number in numbers[:FEW]) or "none"
        console.print(f"  rows that {name}: {shown}{more}", highlight=False)
    if told.left_out:
        console.print(f"  {told.left_out} rows errored in a run or are in one alone, and were left out")


def _verdict(interval: tuple[float, float]) -> str:
    if interval[0] > 0:
        return "B passes more often."
    return "B passes less often." if interval[1] < 0 else "It cannot be told which passes more often."


def _plain(text: str) -> str:
    """A text in a table, where brackets would be markup."""
    return text.replace("[", "\\[")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
