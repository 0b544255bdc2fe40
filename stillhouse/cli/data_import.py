"""`stillhouse data import`: files of other tools, or the calls that a server has kept, as a version of a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, final

import typer

from stillhouse.cli.console import actor, emit, progress, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, tell_version, with_catalogue
from stillhouse.cli.transfer import Transfer
from stillhouse.data.versions import BAD_ROWS
from stillhouse.errors import TrafficError, UsageError

if TYPE_CHECKING:
    from stillhouse.data.bad_rows import BadRows
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.importers.catalog import Importer
    from stillhouse.data.importers.options import Options
    from stillhouse.data.items import Item
    from stillhouse.data.versions import Step, Version
    from stillhouse.storage.records import Wanted
    from stillhouse.storage.store import Store

__all__ = ["data_import"]

TOLD = 1_000
"""Items after which the terminal is told."""

Times = tuple[int | None, int | None]


@final
@dataclass(slots=True)
class Job:
    """What is to be imported into which dataset."""

    name: str
    files: list[Path]
    format: str | None
    columns: dict[str, str]
    skip: bool
    add: bool
    """To the items of the newest version."""
    counts: Counter[str] = field(default_factory=Counter[str])


def data_import(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders of other tools; JSON lines also gzipped.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="The dataset whose new version they become.")] = None,
    format: Annotated[
        str | None, typer.Option(help="What they are; `help` lists what is known.", show_default="found out")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="meaning=name for columns of other names: text=Body, label=Team.")
    ] = None,
    from_server: Annotated[bool, typer.Option("--from-server", help="Import the calls that a server kept.")] = False,
    model: Annotated[str | None, typer.Option(help="Of those the ones that this model was asked or answered.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Those with key=value among their metadata.")] = None,
    since: Annotated[str | None, typer.Option(help="Those from this time on: 2026-03-31, with T12:00.")] = None,
    until: Annotated[str | None, typer.Option(help="Those before this time.")] = None,
    add: Annotated[bool, typer.Option("--add", help="Put them behind the items of the newest version.")] = False,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave out rows that cannot be used; they are kept beside.")
    ] = False,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Import files, or the calls of a server, as a new version of a dataset.

    The same files give the same version with the same hash, on every machine. What there is already is found again.

    For example: stillhouse data import calls.jsonl --name support
    Or: stillhouse data import --from-server --model gpt-4o --where team=billing --name billing
    """
    from stillhouse.data.filters import parse_time

    if format == "help":
        _tell_formats(json)
        return
    job = _job(files or [], name, (format, _columns(column or [])), skip_bad_rows, add)
    _check(job.files, from_server, bool(model or where or since or until), format)
    times = (
        None if since is None else parse_time("--since", since),
        None if until is None else parse_time("--until", until) - 1,
    )

    async def work(catalogue: Catalogue, store: Store) -> Version:
        with Transfer(progress(), unit="items") as told:
            if from_server:
                return await _from_server(catalogue, store, job, _wanted(model, where or []), times)
            return await _from_files(catalogue, store, job, told)

    version = with_catalogue((project, home, database), work)
    if json:
        emit(version.to_json())
        return
    tell_version(version)
    for reason, count in version.step.counts.items():
        words().print(f"  {count}  {reason}", markup=False, highlight=False, soft_wrap=True)
    aside = version.path.with_name(BAD_ROWS)
    if aside.is_file():
        words().print(f"Rows that cannot be used: {aside}", markup=False, highlight=False, soft_wrap=True)


async def _from_files(catalogue: Catalogue, store: Store, job: Job, told: Transfer) -> Version:
    from stillhouse.data.bad_rows import BadRows
    from stillhouse.data.importers.options import Options
    from stillhouse.data.shelf import Shelf

    importers = [(path, _importer(path, job.format)) for path in job.files]
    shelf = Shelf(store.files.blobs)
    options = Options(columns=job.columns, shelf=shelf)
    before, parents = await _before(catalogue, job)
    settings: dict[str, Any] = {
        "files": [{"name": path.name, "format": importer.name, **_weighed(path)} for path, importer in importers],
        **({"columns": job.columns} if job.columns else {}),
    }
    step = _step((*parents, *(path.name for path in job.files)), settings, job)
    with catalogue.room(job.name) as room:
        bad = BadRows(skip=job.skip, aside=room / BAD_ROWS)
        items = _read(importers, options, bad, job, told)
        try:
            return await catalogue.add(job.name, chain(before, items), step, beside=[room / BAD_ROWS])
        finally:
            await store.files.release(sorted(shelf.digests))  # but those that items have by now


def _read(
    importers: Sequence[tuple[Path, Importer]], options: Options, bad: BadRows, job: Job, told: Transfer
) -> Iterator[Item]:
    """The items of all files; raises what is wrong with rows at the end of a file, so that all is told at once."""
    for path, importer in importers:
        for number, item in enumerate(importer.read(path, options, bad), 1):
            job.counts["kept"] += 1
            if number % TOLD == 0:
                told("Importing", TOLD)
            yield item
    bad.refuse()
    if not job.counts["kept"]:
        raise TrafficError(_nothing(bad))
    for reasons in (bad.reasons, bad.passed):
        job.counts.update(reasons)


def _nothing(bad: BadRows) -> str:
    """That no row became an item, and why."""
    seen = [f"\n  {count:,}  {reason}" for each in (bad.reasons, bad.passed) for reason, count in each.items()]
    return "Nothing is imported: of no row an item can be made." + "".join(seen)


async def _from_server(catalogue: Catalogue, store: Store, job: Job, wanted: Wanted, times: Times) -> Version:
    from stillhouse.data.calls import Calls
    from stillhouse.storage.audit_records import Event

    before, parents = await _before(catalogue, job)
    calls = await Calls.wanted(store, catalogue.project, wanted, *times)
    if not calls.ids:
        raise UsageError("The server has kept no such calls: nothing is imported.")
    settings = {
        "source": "calls of the server",
        "calls": len(calls.ids),
        "first": calls.ids[0],
        "last": calls.ids[-1],
        "model": wanted.model,
        "metadata": dict(wanted.metadata or {}),
        "since": times[0],
        "until": None if times[1] is None else times[1] + 1,
    }
    given = {name: value for name, value in settings.items() if value not in (None, {})}
    job.counts = calls.counts
    version = await catalogue.add(job.name, chain(before, calls.items()), _step(parents, given, job))
    details = {"number": len(calls.ids)}
    await store.audit.tell(Event("completions.read", actor(), catalogue.project, version.reference, details=details))
    return version


async def _before(catalogue: Catalogue, job: Job) -> tuple[Iterable[Item], tuple[str, ...]]:
    """The items that the new ones are put behind, and the version that has them."""
    if not job.add:
        return (), ()
    version = await catalogue.find(job.name)
    return catalogue.read(version), (version.reference,)


def _step(parents: tuple[str, ...], settings: dict[str, Any], job: Job) -> Step:
    from stillhouse.data.versions import Step

    return Step("import", parents, settings, job.counts)


def _weighed(path: Path) -> dict[str, Any]:
    from stillhouse.artifacts import hash_file, hash_folder

    if path.is_dir():
        return {"sha256": hash_folder(path)}
    return {"sha256": hash_file(path), "bytes": path.stat().st_size}


def _importer(path: Path, name: str | None) -> Importer:
    """How a file is read: by the format that was named, or what it looks like."""
    from difflib import get_close_matches

    from stillhouse.data.importers.catalog import IMPORTERS, sniff

    if name is None:
        return sniff(path)
    if name not in IMPORTERS:
        near = get_close_matches(name, IMPORTERS, 1)
        raise UsageError(
            f"--format {name!r} is none of {', '.join(IMPORTERS)}." + (f" Did you mean {near[0]}?" if near else "")
        )
    return IMPORTERS[name]


def _job(files: list[Path], name: str | None, how: tuple[str | None, dict[str, str]], skip: bool, add: bool) -> Job:
    from stillhouse.data.versions import check_name

    if name is None:
        raise UsageError("Say what the dataset is called: --name support.")
    return Job(check_name(name), files, how[0], how[1], skip, add)


def _check(files: list[Path], from_server: bool, chosen: bool, format: str | None) -> None:
    if from_server == bool(files):
        raise UsageError("Name the files to import, or say --from-server for the calls that a server kept.")
    if chosen and not from_server:
        raise UsageError(
            "--model, --where, --since and --until choose among the calls of a server: say --from-server, or import "
            "the files whole and choose with `stillhouse data filter`."
        )
    if from_server and format:
        raise UsageError("--format is for files; the calls of a server need none.")
    for path in files:
        if not path.exists():
            raise UsageError(f"There is no file {path}.")


def _columns(given: list[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for word in given:
        meaning, sign, name = word.partition("=")
        if not meaning or not sign or not name:
            raise UsageError(f"--column {word!r}: write meaning=name, such as --column text=Body.")
        columns[meaning] = name
    return columns


def _wanted(model: str | None, where: list[str]) -> Wanted:
    from stillhouse.data.filters import parse_pairs
    from stillhouse.storage.records import Wanted

    return Wanted(model, parse_pairs(where) or None)


def _tell_formats(json: bool) -> None:
    from stillhouse.data.importers.catalog import IMPORTERS

    known = {name: importer.says for name, importer in IMPORTERS.items()}
    if json:
        emit({"formats": known})
        return
    for name, says in known.items():
        words().print(f"{name:12} {says}", markup=False, highlight=False, soft_wrap=True)
