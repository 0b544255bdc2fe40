"""What the verbs of `stillhouse data` have in common: where datasets are, and how one is told of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from stillhouse import settings
from stillhouse.cli.console import words

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.versions import Version
    from stillhouse.storage.store import Store

__all__ = ["AsJson", "DatabaseOption", "HomeOption", "Place", "ProjectOption", "day", "tell_version", "with_catalogue"]

ProjectOption = Annotated[str, typer.Option("--project", help="Whose datasets.")]
HomeOption = Annotated[
    Path | None, typer.Option("--home", help="The folder that holds everything.", show_default=False)
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="The database that the server keeps calls in.",
        show_default="STILLHOUSE_DATABASE, else stillhouse.db in the home folder",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

Place = tuple[str, Path | None, str | None]
"""Project, home folder and database as the command line gave them."""

Result = TypeVar("Result")


def with_catalogue(place: Place, work: Callable[[Catalogue, Store], Awaitable[Result]]) -> Result:
    """What `work` returns of the catalogue of a project; the database is open meanwhile."""
    project, home, database = place

    async def run() -> Result:
        from stillhouse.data.catalogue import Catalogue
        from stillhouse.storage.store import Store

        folder = settings.home(home)
        store = await Store.open(settings.database(database), folder)
        try:
            return await work(Catalogue(store, folder, project), store)
        finally:
            await store.close()

    return asyncio.run(run())


def tell_version(version: Version) -> None:
    """One line or two about a version, for people."""
    say = words()
    left = f", {version.dropped} left out" if version.dropped else ""
    told = f"{version.reference}  {version.items} items{left}  {version.step.verb}  {day(version.created)}"
    say.print(told, markup=False, highlight=False, soft_wrap=True)


def day(seconds: int) -> str:
    """A time as people read it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
