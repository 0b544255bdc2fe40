"""`stillhouse worker`: does what was ordered of a server: fine-tuning jobs and eval runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, words

__all__ = ["worker"]


def worker(
    home: Annotated[Path | None, typer.Option(help="The folder that holds everything.", show_default=False)] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="The database of the servers it works for: sqlite:///FILE or postgresql://user:password@host/name.",
            show_default="stillhouse.db in the home folder",
        ),
    ] = None,
    gateway: Annotated[
        str | None, typer.Option(help="Base URL of the server whose models evals ask, such as http://host:8000/v1.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object once it works.")] = False,
) -> None:
    """Do what was ordered of a server: fine-tuning jobs and eval runs.

    `stillhouse serve` starts one itself. More of them share the work, on other machines too where the
    database is PostgreSQL and the home folder is shared. Ctrl-C or SIGTERM ends it, and what it was at is gone
    on with by the next one, as after a crash.
    """
    from stillhouse.jobs.worker import Setting, serve

    def announce(worker_id: str) -> None:
        if json:
            emit({"worker": worker_id})
        else:
            words().print(f"[bold]Working[/] as {worker_id} (Ctrl-C stops it)")
        sys.stdout.flush()

    serve(Setting(settings.home(home), settings.database(database), gateway), started=announce)
