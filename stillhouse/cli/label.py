"""`stillhouse label`: what a recipe's teacher says of its data, kept on the disk."""

from __future__ import annotations

from json import dumps as to_json
from pathlib import Path
from typing import Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.train import read_recipe, show_plan

__all__ = ["label"]


def label(
    recipe: Annotated[Path, typer.Argument(help="A TOML file with the teacher, the data and how they are read.")],
    signals: Annotated[
        list[str] | None,
        typer.Option(
            help="What is kept: topk:50 (the likeliest) or samples:50 (draws); beside them hidden:0,5 (states of "
            "blocks) and embedding; may be repeated."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Overrule a key of the recipe: data.tokens=256; may be repeated.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="The folder that holds signals and stages.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what was understood; ask the teacher nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Ask the teacher of a recipe about every row once, and keep its signals for offline training.

    They lie where the recipe's teacher.signals says, else in the home folder. A teacher behind an API (teacher.api)
    answers the rows that have no answer; what was paid for once is not asked again. Killed, the same command goes on
    after what is on the disk; done before, it does nothing.

    Example: stillhouse label my.toml --signals topk:50
    """
    kept = [f"teacher.keep={to_json(signals)}"] if signals else []
    chosen = read_recipe(recipe, [*(changes or []), *kept], settings.home(home))
    if dry_run:
        show_plan(chosen, recipe, json)
        return
    from stillhouse.extras import require

    require("train", "ask a teacher")
    settings.share_cores()
    from stillhouse.cli.display import Display
    from stillhouse.recipes.label import label as label_recipe

    with Display(progress()) as display:
        labelled = label_recipe(chosen, settings.home(home), display)
    if json:
        emit(labelled.to_json())
        return
    words().print(f"{labelled.kind.capitalize()}: {labelled.folder}", markup=False, highlight=False, soft_wrap=True)
