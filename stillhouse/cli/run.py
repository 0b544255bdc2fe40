"""`stillhouse run`: a recipe from its teacher's answers to its student's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import emit
from stillhouse.cli.train import options, read_recipe, run_recipe, show_finished, show_plan

__all__ = ["run"]


def run(
    recipe: Annotated[Path, typer.Argument(help="A TOML file; `stillhouse train --list` shows what there is to copy.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Overrule a key of the recipe: training.epochs=2; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder to make, instead of the recipe's.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="The folder that holds unfinished and finished stages.")] = None,
    fresh: Annotated[bool, typer.Option(help="Do every stage again but labelling, whatever was finished.")] = False,
    log: Annotated[
        list[str] | None, typer.Option(help="Log to tensorboard, mlflow, wandb or trackio too; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what was understood and would be done; train nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Run a recipe from start to end: label, shrink, train, evaluate.

    An offline source gets its teacher's signals first. Afterwards student and teacher are measured on the test rows.
    Stages that an earlier run has finished, and on which nothing has changed, are not done again.

    Example: stillhouse run my.toml --json
    """
    chosen = read_recipe(recipe, changes or [], settings.home(home), out)
    if dry_run:
        show_plan(chosen, recipe, json)
        return
    finished = run_recipe(chosen, recipe, options(settings.home(home), fresh, log, evaluate=True))
    if finished is not None:
        emit(finished.record) if json else show_finished(finished)
