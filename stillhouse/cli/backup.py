"""`stillhouse backup`: everything that a server keeps, in one file, while it goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.transfer import Transfer
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.storage.archive import Manifest

__all__ = ["backup"]


def backup(
    file: Annotated[
        Path, typer.Argument(help="The file to write, such as monday.tar; one that ends in .gz is compressed.")
    ],
    home: Annotated[Path | None, typer.Option(help="The folder that holds everything.", show_default=False)] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="The database that the server keeps calls in.", show_default="stillhouse.db in the home folder"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object with the manifest.")] = False,
) -> None:
    """Keep a copy of everything: stored calls, keys, files, evals, jobs, the models they made, and stillhouse.toml.

    It is of one moment. Servers and workers may run meanwhile, and nobody waits. The file says what is in it and
    carries the hash of each part; `stillhouse restore FILE --verify` checks them.
    """
    place, database = settings.home(home), settings.database(database)

    async def work() -> Manifest:
        from stillhouse.storage.backup import backup
        from stillhouse.storage.database import database_url
        from stillhouse.storage.store import Store

        url = database_url(database, place)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise UsageError(
                f"There is nothing to back up: {url.database} is not there. Name the --home of the server."
            )
        store = await Store.open(database, place)
        try:
            with Transfer(progress()) as told:
                return await backup(store, place, file, told)
        finally:
            await store.close()

    manifest = asyncio.run(work())
    size = file.stat().st_size
    files = sum(name.startswith("blobs/") for name in manifest.members)
    if json:
        emit({"file": str(file), "bytes": size, "form": manifest.form, "rows": dict(manifest.tables), "blobs": files})
        return
    rows = sum(manifest.tables.values())
    words().print(f"{file}: {rows} rows and the bytes of {files} files, {size / 2**20:.1f} MiB.", markup=False)
