"""`stillhouse restore`: a backup checked, and put into an empty home folder."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.transfer import Transfer
from stillhouse.errors import UsageError

__all__ = ["restore"]


def restore(
    file: Annotated[Path, typer.Argument(help="The file that `stillhouse backup` wrote.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Only check every hash and count every row; nothing is touched.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace what is in the home folder and the database. Stop the server first."),
    ] = False,
    home: Annotated[Path | None, typer.Option(help="The folder to put everything into.", show_default=False)] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="The database to put rows into, of either kind, whatever kind was backed up.",
            show_default="stillhouse.db in the home folder",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object with what the backup holds.")] = False,
) -> None:
    """Put a backup back, or check it.

    It is checked to its end before anything is touched. The rows are put in all at once or not at all.
    """
    from stillhouse.storage import restore

    if verify and force:
        raise UsageError("--verify touches nothing, so that there is nothing for --force to replace. Leave one out.")
    if not file.is_file():
        raise UsageError(f"There is no file {file}.")
    place, database = settings.home(home), settings.database(database)
    with Transfer(progress(), total=file.stat().st_size) as told:
        if verify:
            manifest = restore.verify(file, told)
        else:
            manifest = asyncio.run(restore.restore(file, place, database, force, told))
    if json:
        emit(
            {
                "file": str(file),
                "verified": True,
                "restored": not verify,
                "created": manifest.created,
                "stillhouse": manifest.stillhouse,
                "kind": manifest.kind,
                "form": manifest.form,
                "rows": dict(manifest.tables),
                "members": len(manifest.members),
            }
        )
        return
    rows = sum(manifest.tables.values())
    said = f"{file} is whole: {rows} rows and {len(manifest.members)} parts, made by Stillhouse {manifest.stillhouse}."
    words().print(said if verify else f"{said}\nIt is restored to {place}.", markup=False, soft_wrap=True)
