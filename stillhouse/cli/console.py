"""What the terminal shows: words for people, and the one JSON object for programs."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping

from rich.console import Console

__all__ = ["actor", "emit", "progress", "report_failure", "words"]


def actor() -> str:
    """Who gives this command, as the audit log names them."""
    try:
        return f"terminal:{getpass.getuser()}"
    except (OSError, KeyError):  # who has no name on this machine
        return "terminal"


def words() -> Console:
    """Standard output, for what a verb has to say when no JSON is asked for."""
    return Console()


def progress() -> Console:
    """Standard error, for all that happens on the way."""
    return Console(stderr=True)


def emit(result: Mapping[str, object]) -> None:
    """Write the one JSON object of a verb called with `--json` on standard output.

    Everything is escaped to ASCII, so that no terminal and no broken surrogate can spoil it.
    """
    sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")
    sys.stdout.flush()


def report_failure(message: str) -> None:
    """One clear message on standard error; brackets in it are words, not markup."""
    console = progress()
    console.print("[bold red]error:[/]", end=" ")
    console.print(message, markup=False, highlight=False, soft_wrap=True)
