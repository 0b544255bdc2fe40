"""The `stillhouse` command: finds the verb, imports only what it needs, and turns every failure into one message."""

from __future__ import annotations

import errno
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any, cast, final

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

import stillhouse
from stillhouse import settings
from stillhouse.errors import StillhouseError

__all__ = ["VERBS", "application", "load", "main", "run", "told_by_system"]

VERBS = {
    "quickstart": "Distil the bundled traffic of a support desk, serve the student and call it once.",
    "distill": "Turn recorded traffic into a small student with a certificate and a report.",
    "train": "Train the student of a recipe, or list the recipes that there are.",
    "run": "Run a recipe from start to end: label, shrink, train, evaluate.",
    "data": "Keep datasets in versions: import, filter, split, compare, export, and where each row came from.",
    "compress": "Make a model smaller until it reaches a goal of size, speed or quality.",
    "generate": "Make training material with a teacher: labels, reasons, answers and new items.",
    "label": "Keep what a recipe's teacher says of its data, for offline training.",
    "feedback": "What people say of answers: list it, look at doubtful items, and learn from both.",
    "inspect": "Show what a bundle promises: its manifest and its certificate.",
    "certify": "Repeat a bundle's certificate on new traffic.",
    "serve": "Answer calls with students, teachers and local models, by the API your programs speak.",
    "teacher": "Name the teachers behind APIs that a server passes calls on to.",
    "eval": "List eval runs, show one, or compare two pair by pair.",
    "worker": "Do what was ordered of a server: fine-tuning jobs and eval runs.",
    "keys": "Make, list and revoke the API keys of a server.",
    "erase": "Erase a person from all that is kept, with a signed receipt.",
    "terms": "Write down what may be done with a teacher's answers; forbidden runs are refused.",
    "vault": "Encrypt what is kept of calls, and change the keys.",
    "retention": "Say for how long stored calls are kept, by project, model and metadata.",
    "hold": "Protect what must not be deleted: a project, a subject's calls, or one call.",
    "audit": "Show what was done by whom, and find out whether anybody tampered with that log.",
    "backup": "Keep a copy of everything that a server keeps, in one file.",
    "restore": "Check a backup, or put it into an empty home folder.",
    "export": "Write a student for another runtime, or what a server keeps into files of JSON lines.",
    "import": "Take over stored calls and evals from the hosted suite or promptfoo.",
    "doctor": "Check this machine and say what is missing.",
}
"""Every verb and its one line. Verb `v` is the function `v` of `stillhouse/cli/v.py`, imported when it is called, or a
`typer.Typer` of that name with verbs of its own.

One that is a word of Python's has a `_` behind its name there.
"""

INTERRUPTED = 130


@final
class Verbs(TyperGroup):
    """Shows the verbs without importing them; the one that is called replaces its placeholder."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The verb's name, its real command, and the arguments that remain for it."""
        name, placeholder, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in VERBS else placeholder, rest


def load(verb: str) -> Any:
    """The command of one verb, its module imported now."""
    name = f"{verb}_" if iskeyword(verb) else verb
    found = getattr(import_module(f"stillhouse.cli.{name}"), name)
    if isinstance(found, typer.Typer):
        return get_group(found)
    app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    app.command(verb)(found)
    return get_command(app)


def show_version(asked: bool) -> None:
    """Print the version and leave, when asked."""
    if asked:
        typer.echo(f"stillhouse {stillhouse.__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Turn the traffic sent to a large model into a small model you own."""


def application() -> TyperGroup:
    """The whole command line, with a placeholder for every verb."""
    app = typer.Typer(cls=Verbs, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    app.callback()(options)
    for verb, summary in VERBS.items():
        app.command(verb, help=summary)(lambda: None)
    return get_group(app)


@dataclass(frozen=True)
class Failure:
    """How a run ended when it did not end well."""

    exit_code: int
    kind: str
    message: str


def told_by_system(error: Exception) -> str | None:
    """What the operating system said, in whatever error a library tells it; None where it said nothing."""
    told = str(error)
    files: Any = error.args[0] if isinstance(error, shutil.Error) else None
    if isinstance(files, list):  # (from, to, what was said) of each: the first will do
        told = str(cast("Any", files)[0][-1])
    elif isinstance(error, OSError) and error.errno is None and " requested and " in told:  # by NumPy
        told = f"A file could not be written whole ({told})."
    elif not (isinstance(error, OSError) or "(os error " in told):  # the latter by libraries in Rust
        return None
    full = f"[Errno {errno.ENOSPC}]" in told or f"(os error {errno.ENOSPC})" in told or told.startswith("A file could")
    return f"{told}\nIs the disk full? Free some room and give the same command again." if full else told


def failure_of(error: Exception, verb: str | None) -> Failure:
    """What to tell people and programs about an error."""
    kind = type(error).__name__
    if isinstance(error, StillhouseError):
        return Failure(error.exit_code, kind, str(error))
    if isinstance(error, typer.TyperException):
        command = f"stillhouse {verb}" if verb else "stillhouse"
        return Failure(2, "UsageError", f"{error.format_message() or 'It needs a verb.'}\nSee: {command} --help")
    if isinstance(error, typer.Abort):
        return Failure(INTERRUPTED, "Interrupted", "interrupted")
    told = told_by_system(error)
    if told is not None:
        return Failure(1, kind, told)
    return Failure(
        1,
        kind,
        f"{kind}: {error}\nThis is a fault in Stillhouse, not in your command. "
        "STILLHOUSE_DEBUG=1 shows where; please report it with that.",
    )


def report(failure: Failure, as_json: bool) -> int:
    """Show a failure on standard error, and as the one JSON object where JSON was asked for; returns the exit code."""
    from stillhouse.cli.console import emit, report_failure

    if as_json:
        emit({"error": {"type": failure.kind, "message": failure.message}})
    report_failure(failure.message)
    return failure.exit_code


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    given = list(arguments)
    as_json = "--json" in given
    verb = next((word for word in given if word in VERBS), None)
    try:
        result = application().main(args=given or ["--help"], prog_name="stillhouse", standalone_mode=False)
    except KeyboardInterrupt:
        result = INTERRUPTED
    except Exception as error:
        if settings.debug():
            raise
        return report(failure_of(error, verb), as_json)
    if result == INTERRUPTED:
        return report(Failure(INTERRUPTED, "Interrupted", "interrupted"), as_json)
    return result if isinstance(result, int) else 0


def main() -> None:
    """The entry point of the `stillhouse` script."""
    sys.exit(run(sys.argv[1:]))
