"""`stillhouse train`: a recipe in, a trained student out."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.datasets import note_uses, opened_section
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.recipes.run_training import Finished, RunOptions
    from stillhouse.recipes.training import TrainRecipe

__all__ = ["options", "read_recipe", "run_recipe", "show_finished", "show_plan", "train"]


def train(
    recipe: Annotated[Path | None, typer.Argument(help="A TOML file; `--list` shows what there is to copy.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Overrule a key of the recipe: training.epochs=2; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder to make, instead of the recipe's.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="The folder that holds unfinished and finished stages.")] = None,
    fresh: Annotated[bool, typer.Option(help="Do every stage again, whatever was finished before.")] = False,
    log: Annotated[
        list[str] | None, typer.Option(help="Log to tensorboard, mlflow, wandb or trackio too; may be repeated.")
    ] = None,
    processes: Annotated[int | None, typer.Option(help="Share every step among so many processes.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what was understood and would be done; train nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
    list_recipes: Annotated[bool, typer.Option("--list", help="Print the recipes that come with Stillhouse.")] = False,
    show: Annotated[str | None, typer.Option(help="Print one of them, to be copied: --show response > my.toml")] = None,
) -> None:
    """Train the student of a recipe: teacher, student, data, source and objective in one TOML file.

    The folder that the recipe names holds the student as Transformers loads it (an encoder of sentences as
    Sentence-Transformers does), metrics.jsonl and record.json. Interrupted, the same command goes on where it stopped.
    Started by torchrun, its processes share the work: torchrun --nproc-per-node 2 -m stillhouse train my.toml

    Example: stillhouse train --show response > my.toml, then stillhouse train my.toml
    """
    if list_recipes or show is not None:
        _show_library(show, json)
        return
    if recipe is None:
        raise UsageError("Name a recipe: stillhouse train my.toml. `--list` shows those that come with Stillhouse.")
    changes = [*(changes or []), *([f"training.processes={processes}"] if processes is not None else [])]
    chosen = read_recipe(recipe, changes, settings.home(home), out)
    if dry_run:
        show_plan(chosen, recipe, json)
        return
    finished = run_recipe(chosen, recipe, options(settings.home(home), fresh, log))
    if finished is not None:
        emit(finished.record) if json else show_finished(finished)


def options(home: Path, fresh: bool, log: list[str] | None, evaluate: bool = False) -> RunOptions:
    """How a recipe is run, from a command line."""
    _ready()
    from stillhouse.recipes.run_training import RunOptions

    command = shlex.join(["stillhouse", *sys.argv[1:]])
    return RunOptions(home, evaluate, fresh, tuple(log or ()), command)


def read_recipe(path: Path, changes: list[str], home: Path, out: Path | None = None) -> TrainRecipe:
    """The recipe in a file, with what the command line overrules; unknown keys are refused.

    Versions of datasets that it names are those of the catalogue in the home folder.
    """
    from stillhouse.recipes.training import read_train_recipe

    recipe = read_train_recipe(path, changes, out)
    return replace(recipe, data=opened_section(recipe.data, home))


def run_recipe(recipe: TrainRecipe, path: Path, how: RunOptions) -> Finished | None:
    """Run a recipe under the live view; None in a process that torchrun started beside the one that does."""
    from stillhouse.cli.display import Display
    from stillhouse.recipes.run_training import assist_training, run_training

    if assist_training():
        return None
    with Display(progress()) as display:
        finished = run_training(recipe, f"The recipe {path}", how, display)
    note_uses((recipe.data.train, recipe.data.selection, recipe.data.test), "training", recipe.out, how.home)
    return finished


def show_plan(recipe: TrainRecipe, path: Path, json: bool) -> None:
    """What a run would do."""
    _ready()
    from stillhouse.recipes.run_training import plan_training

    plan = plan_training(recipe, f"The recipe {path}")
    if json:
        emit(plan)
        return
    console = words()
    student = recipe.student.model or recipe.teacher.names[0]
    api = recipe.teacher.api
    rows = ", ".join(f"{part} {count:,}" for part, count in plan["rows"].items())
    objective = " + ".join(f"{term.weight:g} {term.name}" for term in recipe.objective)
    lines = {
        "task": recipe.task.value,
        "teacher": ", ".join([*recipe.teacher.names, *([api.model] if api else [])]) or "none",
        "student": f"{student}, cut or made anew" if recipe.student.cut else student,
        "source": recipe.source.kind.value,
        "objective": objective,
        "rows": f"{rows}; {plan['unanswered']:,} to be answered" if api else rows,
        "steps": f"{plan['steps']:,}",
        "out": plan["out"],
    }
    for name, said in lines.items():
        console.print(f"{name:<10} {said}", markup=False, highlight=False, soft_wrap=True)
    console.print("Nothing was trained: this was a dry run.")


def show_finished(finished: Finished) -> None:
    """The figures of a run in a short table, and where the student lies."""
    from rich.table import Table

    console, record = words(), finished.record
    measured = record.get("evaluation")
    columns: dict[str, dict[str, float]] = {}
    if measured is None:
        before = record["training"]["before"].get("student")
        columns = {"before": before} if before else {}
        columns |= {
            "student": record["training"]["after"]["student"],
            "teacher": record["training"]["after"]["teacher"],
        }
    else:
        columns = {"student": measured["student"], "teacher": measured["teacher"]}
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("on the test rows" if measured else "on the selection rows")
    for name in columns:
        table.add_column(name, justify="right")
    for figure in dict.fromkeys(name for column in columns.values() for name in column):
        table.add_row(figure, *(f"{column[figure]:.4f}" if figure in column else "" for column in columns.values()))
    console.print()
    console.print(table)
    console.print(f"\nStudent: {finished.out}\nRecord:  {finished.out}/record.json", highlight=False, soft_wrap=True)


def _ready() -> None:
    """See to what training needs, before torch is imported."""
    from stillhouse.extras import require

    require("train", "train a student")
    settings.share_cores()


def _show_library(name: str | None, json: bool) -> None:
    from stillhouse.recipes.catalogue import recipe_names, recipe_text, summary_of

    if name is not None:
        text = recipe_text(name)
        emit({"name": name, "text": text}) if json else typer.echo(text, nl=False)
        return
    found: dict[str, Any] = {each: summary_of(each) for each in recipe_names()}
    if json:
        emit(found)
        return
    for each, summary in found.items():
        words().print(f"{each:<12} {summary}", markup=False, highlight=False, soft_wrap=True)
