"""`stillhouse data filter`: the items of a dataset that meet conditions: counted, shown, or kept as a new version."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, tell_version, with_catalogue
from stillhouse.cli.data_show import shown, tell_item
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.filters import Filter
    from stillhouse.data.search import Found
    from stillhouse.data.versions import Version
    from stillhouse.storage.store import Store

__all__ = ["data_filter"]

MANY = 50_000
"""Items of which it takes a while to look at every word."""


def data_filter(
    dataset: Annotated[str, typer.Argument(help="name@number, or name for its newest version.")],
    to: Annotated[
        str | None, typer.Option(help="Keep what is found as a new version of this dataset.", show_default=False)
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="The model that answered; several: any of them.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="The label; '' stands for none.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="The language, by ISO 639-1; '' for not known.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="The part: train, selection, test, ...")] = None,
    subject: Annotated[list[str] | None, typer.Option(help="The person that it is about.")] = None,
    conversation: Annotated[list[str] | None, typer.Option(help="The conversation that it belongs to.")] = None,
    teacher: Annotated[list[str] | None, typer.Option(help="Who gave the answer.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="captured, imported, labelled, synthetic or corrected.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="text, chat, image, paired or preference.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="key=value of its metadata; several: all of them.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag that it carries; several: all of them.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on: 2026-03-31, with T12:00, or seconds.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    longer: Annotated[int | None, typer.Option(min=0, help="Its text has at least so many letters.")] = None,
    shorter: Annotated[int | None, typer.Option(min=0, help="Its text has at most so many letters.")] = None,
    grade: Annotated[str | None, typer.Option(help="Its grade, 0 to 1: 0.5..1, 0.8.. or ..0.3.")] = None,
    match: Annotated[list[str] | None, typer.Option(help="Its text contains this, whatever the case.")] = None,
    answer: Annotated[list[str] | None, typer.Option(help="Its answer contains this, whatever the case.")] = None,
    like: Annotated[str | None, typer.Option(help="Its text is like this example.")] = None,
    near: Annotated[float | None, typer.Option(help="How like, 0 to 1.", show_default="0.5")] = None,
    saved: Annotated[str | None, typer.Option(help="Begin with the filter that is kept by this name.")] = None,
    save: Annotated[str | None, typer.Option(help="Keep this filter by a name.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="How many of the items to show.")] = 5,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Find the items of a dataset that meet every condition.

    Of several models, labels and the like any will do; of several --where, --tag, --match and --answer all must hold.

    Nothing is changed: with --to, what was found becomes a version of its own. What words and metadata are found by
    is made at the first such question about a version, and kept beside it.

    For example: stillhouse data filter support --model gpt-4o --match refund --since 2026-03-01 --to refunds
    """
    from stillhouse.data.filters import Filter, parse_pairs, parse_range, parse_time

    columns = {
        "model": model,
        "label": label,
        "language": language,
        "split": split,
        "subject": subject,
        "conversation": conversation,
        "teacher": teacher,
        "method": method,
        "kind": kind,
    }
    given = Filter(
        equal={name: tuple(values) for name, values in columns.items() if values},
        where=parse_pairs(where or []),
        tags=tuple(tag or ()),
        since=None if since is None else parse_time("--since", since),
        until=None if until is None else parse_time("--until", until),
        longer=longer,
        shorter=shorter,
        grade=(None, None) if grade is None else parse_range("--grade", grade),
        match=tuple(match or ()),
        answer=tuple(answer or ()),
        like=like,
    )
    if near is not None:
        given = replace(given, near=near)

    async def work(catalogue: Catalogue, store: Store) -> dict[str, Any]:
        version = await catalogue.find(dataset)
        wanted = await _with_saved(store, project, saved, given)
        if save:
            await store.datasets.save_filter(project, save, orjson.dumps(wanted.to_json()))
        return await _found(catalogue, version, wanted, to, rows)

    result = with_catalogue((project, home, database), work)
    made = result.pop("version")
    if json:
        emit({**result, "version": made and made.to_json()})
        return
    told = f"{result['found']} of {result['items']} items of {result['dataset']}, in {result['milliseconds']} ms"
    words().print(told, markup=False, highlight=False, soft_wrap=True)
    for item in result["shown"]:
        tell_item(item)
    if made:
        tell_version(made)
        if left := result["items"] - result["found"]:
            back = f"stillhouse data restore {made.reference} --reason all"
            told = f"{left} stay in {result['dataset']} alone. Bring them back: {back}"
            words().print(told, markup=False, highlight=False, soft_wrap=True)


async def _with_saved(store: Store, project: str, saved: str | None, given: Filter) -> Filter:
    """The filter that is kept by a name, and beyond it what the command line says."""
    from stillhouse.data.filters import Filter

    if saved is None:
        return given
    kept = await store.datasets.filters(project)
    if saved not in kept:
        raise UsageError(f"No filter is kept as {saved!r}. There are: {', '.join(kept) or 'none'}.")
    return Filter.from_json(orjson.loads(kept[saved])).joined(given)


async def _found(catalogue: Catalogue, version: Version, wanted: Filter, to: str | None, rows: int) -> dict[str, Any]:
    from stillhouse.data.search import Search

    with Search(version.path) as search:
        if search.lacks(wanted) and version.items >= MANY:
            progress().print(
                f"What {version.reference} is searched by is made once: about a minute for a million rows."
            )
        search.prepare(wanted)
        started = time.perf_counter()
        found = search.find(wanted)
        took = time.perf_counter() - started
    return {
        "dataset": version.reference,
        "filter": wanted.to_json(),
        "items": version.items,
        "found": len(found.rows),
        "milliseconds": round(1000 * took),
        "shown": _first(version.path, found, rows),
        "version": await _keep(catalogue, version, wanted, found, to) if to else None,
    }


def _first(path: Path, found: Found, most: int) -> list[dict[str, Any]]:
    """The first items, or those that are likest to an example, each with how like."""
    import numpy as np

    from stillhouse.data.parquet import read_items

    best = found.best(most)
    rows = np.array(sorted(best), np.int64)
    items = dict(zip(rows.tolist(), read_items(path, rows), strict=True)) if best else {}
    if found.likeness is None:
        return [shown(items[row]) for row in best]
    likeness = dict(zip(found.rows.tolist(), found.likeness.tolist(), strict=True))
    return [{**shown(items[row]), "likeness": round(likeness[row], 4)} for row in best]


async def _keep(catalogue: Catalogue, version: Version, wanted: Filter, found: Found, to: str) -> Version:
    from stillhouse.data.catalogue import NOT_WANTED, Step
    from stillhouse.data.parquet import read_items

    if not len(found.rows):
        raise UsageError(f"Nothing of {version.reference} meets this filter: there is nothing to keep.")
    counts = {"kept": len(found.rows), NOT_WANTED: version.items - len(found.rows)}
    step = Step("filter", (version.reference,), {"filter": wanted.to_json()}, counts)
    return await catalogue.add(to, read_items(version.path, found.rows), step)
