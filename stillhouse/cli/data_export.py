"""`stillhouse data export`: a version of a dataset as a file or folder that other tools read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, with_catalogue
from stillhouse.cli.transfer import Transfer
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.exporters.catalog import Exporter
    from stillhouse.data.exporters.out import Exported
    from stillhouse.data.items import Item
    from stillhouse.data.versions import Version
    from stillhouse.reports.record import TeacherTerms
    from stillhouse.storage.store import Store

__all__ = ["data_export"]

TOLD = 1_000
"""Items after which the terminal is told."""


def data_export(
    dataset: Annotated[
        str, typer.Argument(help="The version: name@number, or name for the newest; `help` lists formats.")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write; for images the folder.")] = None,
    format: Annotated[str, typer.Option("--format", "-f", help="What to write it as.")] = "openai",
    replace: Annotated[bool, typer.Option("--replace", help="Write in the place of a file that is there.")] = False,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Write a version for other tools; what a format cannot tell is left out, counted, and said.

    The terms of the teachers that answered are told along: they go with the rows.

    For example: stillhouse data export support@3 --format sharegpt --out support.jsonl
    Or: stillhouse data export help
    """
    if dataset == "help" and out is None:
        _tell_formats(json)
        return
    exporter = _exporter(format)
    place = out or Path(dataset.replace("@", "-") + exporter.suffix)
    if place.is_file() and not replace:
        raise UsageError(f"{place} is there already: say --replace, or another --out.")

    async def work(catalogue: Catalogue, store: Store) -> tuple[Version, Exported, Sequence[TeacherTerms]]:
        import asyncio

        from stillhouse.data.shelf import Shelf
        from stillhouse.recipes.terms import terms_of, terms_told

        version = await catalogue.find(dataset)
        folder = settings.home(home)
        terms = terms_told([version.path], folder, book=await terms_of(store, folder))
        with Transfer(progress(), unit="items") as told:
            items = _told(catalogue.read(version), told)
            return version, await asyncio.to_thread(exporter.write, items, place, Shelf(store.files.blobs)), terms

    version, done, terms = with_catalogue((project, home, database), work)
    if json:
        told: dict[str, Any] = {"version": version.reference, "format": exporter.name, "out": str(place)}
        told |= {"written": done.written, "left_out": dict(done.left_out), "terms": [asdict(each) for each in terms]}
        emit(told)
        return
    say = words()
    say.print(f"{place}: {done.written} items of {version.reference}.", markup=False, highlight=False, soft_wrap=True)
    for reason, count in done.left_out.items():
        say.print(f"  {count} left out: {reason}", markup=False, highlight=False, soft_wrap=True)
    for each in terms:
        say.print(f"  {_line(each)}", markup=False, highlight=False, soft_wrap=True)


def _line(terms: TeacherTerms) -> str:
    """On whose terms some items are."""
    if terms.allowed is None:
        return f"{terms.rows:,} answered by {terms.name}, whose terms are not known here"
    parts = [f"allow {', '.join(terms.allowed) or 'nothing'}"]
    parts += [f"until {terms.expires}"] if terms.expires else []
    parts += [f"want the attribution {terms.attribution!r}"] if terms.attribution else []
    where = f" ({terms.source})" if terms.source else ""
    return f"{terms.rows:,} answered by {terms.name}, whose terms {', '.join(parts)}{where}"


def _told(items: Iterator[Item], told: Transfer) -> Iterator[Item]:
    for number, item in enumerate(items, 1):
        if number % TOLD == 0:
            told("Exporting", TOLD)
        yield item


def _exporter(name: str) -> Exporter:
    from difflib import get_close_matches

    from stillhouse.data.exporters.catalog import EXPORTERS

    if name not in EXPORTERS:
        near = get_close_matches(name, EXPORTERS, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"--format {name!r} is none of {', '.join(EXPORTERS)}.{hint}")
    return EXPORTERS[name]


def _tell_formats(json: bool) -> None:
    from stillhouse.data.exporters.catalog import EXPORTERS

    known = {name: exporter.says for name, exporter in EXPORTERS.items()}
    if json:
        emit({"formats": known})
        return
    for name, says in known.items():
        words().print(f"{name:12} {says}", markup=False, highlight=False, soft_wrap=True)
