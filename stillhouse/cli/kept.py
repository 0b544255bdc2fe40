"""What verbs about keeping have in common: the store of a home folder, opened for one piece of work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from stillhouse import settings
from stillhouse.cli.console import words

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["MasterFile", "Where", "group", "tell", "when", "with_store"]

MasterFile = Annotated[
    Path | None,
    typer.Option(
        "--master-key-file",
        help="The file that holds the master key.",
        show_default="STILLHOUSE_MASTER_KEY_FILE, else master.key in the home folder",
    ),
]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Where:
    """Home folder, database and file of the master key as the command line gave them."""

    home: Path | None = None
    database: str | None = None
    master_file: Path | None = None


def with_store(where: Where, work: Callable[[Store], Awaitable[Result]]) -> Result:
    """What `work` returns of the store; it is open meanwhile."""

    async def run() -> Result:
        from stillhouse.storage.store import Store

        folder = settings.home(where.home)
        store = await Store.open(settings.database(where.database), folder, master_file=where.master_file)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def group(name: str, summary: str) -> typer.Typer:
    """A verb that has verbs of its own."""
    return typer.Typer(
        name=name,
        help=summary,
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def tell(text: str) -> None:
    """One line for people, as it is."""
    words().print(text, markup=False, highlight=False, soft_wrap=True)


def when(seconds: float) -> str:
    """A time as people read it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
