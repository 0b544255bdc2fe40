"""`stillhouse export`: a student for another runtime; or what a server keeps, as plain JSON lines."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.export_kept import What, export_kept
from stillhouse.cli.transfer import Transfer
from stillhouse.errors import UsageError
from stillhouse.extras import require

__all__ = ["export"]


def export(
    out: Annotated[Path, typer.Option(help="The folder to write into: a new one, or an earlier export.")],
    student: Annotated[
        str | None,
        typer.Argument(
            metavar="[BUNDLE]",
            help="The student to export: a bundle, a Transformers or Sentence-Transformers folder, or a hub id. "
            "Without one, what a server keeps is exported.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="The runtime to export the student to: onnx, safetensors, ...", show_default=False),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            help="Rows on which the export must answer as the student: JSONL with a text each or recorded calls; a "
            ".npz file with images.",
            show_default="rows quoted in the bundle, and drawn ones",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Of a student of pictures in C or for executorch-int8: a .npz file with `images`, a few hundred that "
            "it was trained on, by which the ranges of its whole numbers are chosen.",
            show_default=False,
        ),
    ] = None,
    what: Annotated[
        list[What] | None,
        typer.Option(
            help="Of a server: stored calls with their messages, files with their bytes, evals with runs and output "
            "items, or fine-tuning jobs with their events. Give several to have them all.",
            show_default="everything",
        ),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(help="Of a server: whose they are; by default the project `default`'s.", show_default=False),
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(
            help="The folder that holds everything: what a server keeps, and the npm packages of an export to the web.",
            show_default=False,
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="The database that the server keeps calls in.", show_default="stillhouse.db in the home folder"
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: the files, and how alike answers are or their lines.")
    ] = False,
) -> None:
    """Write a student for another runtime, run it there, and keep it when it answers the same.

    Without a student: write what a server keeps into files with one JSON object a line, in the form in which the API
    shows it; files of the same names are replaced. Stored calls have their messages as well, so that `stillhouse
    distill` and `stillhouse import` read them. Keys are not exported. Servers may run meanwhile.
    """
    if student is not None:
        if what or project or database:
            raise UsageError(
                "--what, --project and --database are for what a server keeps; leave them out with a student."
            )
        _student(student, to, out, (verify, pictures, home), json)
        return
    if to or verify or pictures:
        raise UsageError(
            "--to, --verify and --pictures are for a student. Name its bundle: stillhouse export BUNDLE --to onnx ..."
        )
    if out.is_file():
        raise UsageError(f"--out {out} is a file. Name a folder.")
    place, where, owner = settings.home(home), settings.database(database), project or "default"

    async def work() -> dict[str, int]:
        with Transfer(progress(), unit="lines") as told:
            return await export_kept(place, where, owner, what or list(What), out, told)

    counts = asyncio.run(work())
    if json:
        emit({"out": str(out), "project": owner, "lines": counts})
        return
    for name, count in counts.items():
        words().print(f"{out / name}: {count} lines", markup=False, highlight=False, soft_wrap=True)


def _student(student: str, to: str | None, out: Path, paths: tuple[Path | None, ...], json: bool) -> None:
    """Export a student, and say what became of it."""
    require("train", "export a student")
    from stillhouse.recipes.export import TARGETS, export_student

    if to is None:
        raise UsageError(f"Say what to export {student} to: --to with one of {', '.join(TARGETS)}.")
    console, (verify, pictures, home) = progress(), paths

    def tell(line: str) -> None:
        console.print(f"{line} ...", markup=False, highlight=False, style="dim")

    outcome = export_student(student, to, out, verify, tell, pictures, home)
    if json:
        emit({"out": str(out), **outcome.to_json()})
        return
    parity = outcome.parity
    lines = [f"{outcome.out / name}" for name in outcome.files]
    compared = (
        f"On {outcome.samples}: {parity.agreement:.2%} of {parity.rows} answers are the same, and the largest "
        f"difference is {parity.largest_difference:.2g}."
    )
    lines += [compared if parity.rows else "It was not run here, and not compared.", *outcome.notes]
    for line in lines:
        words().print(line, markup=False, highlight=False, soft_wrap=True)
