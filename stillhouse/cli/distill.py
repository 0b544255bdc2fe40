"""`stillhouse distill`: recorded traffic in, a certified student out."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.datasets import note_uses, opened
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.recipes.distill import Outcome
    from stillhouse.recipes.recipe import DistillRecipe

__all__ = ["distill", "run_recipe", "show_outcome"]


def distill(
    context: typer.Context,
    traffic: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Recorded calls: JSONL, gzip too. Fine-tuning rows, stored completions, prompt/completion; or a "
            "version of a dataset, such as support@3."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The folder to make: the bundle.")] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A TOML file that sets these options; the command line overrules it.")
    ] = None,
    margin: Annotated[
        float, typer.Option(help="How much worse than its teacher a student may be and still replace it, as a share.")
    ] = 0.02,
    risk: Annotated[
        float, typer.Option(help="The largest share of disagreement among the answers that a cascade's student keeps.")
    ] = 0.02,
    confidence: Annotated[float, typer.Option(help="How sure each statement of the certificate has to be.")] = 0.95,
    student: Annotated[
        str, typer.Option(help="auto, or a list of words, static, encoder-K (K layers): which candidates to train.")
    ] = "auto",
    encoder: Annotated[
        str, typer.Option(help="minilm, a Transformers folder or hub id, or none; auto is minilm where installed.")
    ] = "auto",
    freeze: Annotated[
        int, typer.Option(help="Leave the encoder's token embeddings and so many of its first layers as they are.")
    ] = 0,
    holdout: Annotated[
        Path | None, typer.Option(help="Answered rows to certify on, instead of a sealed part of the traffic.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="The labels of plain answers, separated by commas; other answers are bad rows.")
    ] = None,
    fields: Annotated[
        str | None, typer.Option(help="The keys of JSON answers to learn, separated by commas; others are dropped.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the student is called when served; else the folder's name.")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="Start nothing dearer after so many minutes, and stop training early.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Two runs with one seed make the same student.")] = 0,
    skip_bad_rows: Annotated[bool, typer.Option(help="Count rows that cannot be used and keep them aside.")] = False,
    price_input: Annotated[float, typer.Option(help="The teacher's price per million input tokens, in USD.")] = 2.5,
    price_output: Annotated[float, typer.Option(help="The teacher's price per million output tokens, in USD.")] = 10.0,
    home: Annotated[Path | None, typer.Option(help="The folder that holds unfinished and finished stages.")] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Say what was understood and what would be done; train nothing.")
    ] = False,
    fresh: Annotated[bool, typer.Option(help="Do every stage again, whatever was finished before.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Turn recorded calls to a large model into a small student, with a certificate and a report.

    The answers must be one of a set of labels, or JSON objects of such fields. Candidates are trained
    from cheapest to dearest; the cheapest that is good enough is certified on rows that nothing has seen,
    and written with its report to --out. Interrupted, the same command goes on where it stopped.

    Example: stillhouse distill calls.jsonl --out student
    """
    options = {
        key: value for key, value in context.params.items() if key not in ("recipe", "home", "dry_run", "fresh", "json")
    }
    if recipe is not None:
        options |= _from_recipe(context, recipe)
    chosen = _with_datasets(_recipe(options), settings.home(home))
    if dry_run:
        _show_plan(chosen, settings.home(home), json)
        return
    outcome = run_recipe(chosen, settings.home(home), fresh=fresh)
    if json:
        emit(outcome.to_json())
    else:
        show_outcome(outcome)


def run_recipe(recipe: DistillRecipe, home: Path, *, fresh: bool = False) -> Outcome:
    """Run a recipe under the live view."""
    settings.share_cores()
    from stillhouse.cli.display import Display
    from stillhouse.recipes.distill import distill as run

    with Display(progress()) as display:
        done = run(recipe, home, display, fresh=fresh, command=shlex.join(["stillhouse", *sys.argv[1:]]))
    note_uses(recipe.data, "bundle", done.bundle, home)
    return done


def show_outcome(outcome: Outcome) -> None:
    """What came out, in a few lines, and what to do next."""
    from rich.table import Table

    from stillhouse.reports.sentences import cascade_promise, verdict_sentence

    record, console = outcome.record, words()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("student", "agreement", "macro-F1", "kept at risk", "size", "p50", "answers/s"):
        table.add_column(heading, justify="left" if heading == "student" else "right")
    for rung in record.rungs:
        mark = "[bold green]" if rung.name == record.chosen else ""
        quality, speed = rung.quality, rung.speed
        table.add_row(
            f"{mark}{rung.name}",
            f"{quality.agreement:.1%}",
            f"{quality.macro_f1:.3f}",
            f"{quality.coverage_at_risk:.0%}",
            f"{rung.bytes / 1e6:.1f} MB",
            f"{speed.latency_ms_p50:.2f} ms",
            f"{speed.throughput_per_s:,.0f}",
        )
    console.print()
    console.print(table)
    console.print()
    console.print(verdict_sentence(record.certificate), style="bold", markup=False, highlight=False)
    console.print(cascade_promise(record.certificate.cascade), markup=False, highlight=False)
    console.print(
        f"\nReport:  {outcome.bundle}/report.html\nServe:   stillhouse serve --model {outcome.bundle}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _from_recipe(context: typer.Context, path: Path) -> dict[str, Any]:
    """The recipe file's options, but for those given on the command line."""
    from stillhouse.recipes.load import read_options

    texts = dict.fromkeys(("out", "student", "encoder", "holdout", "labels", "fields", "name"), str)
    numbers = dict.fromkeys(("margin", "risk", "confidence", "max_minutes", "price_input", "price_output"), float)
    others = {"traffic": list, "freeze": int, "seed": int, "skip_bad_rows": bool}
    found = read_options(path, others | texts | numbers)
    given = {
        key for key in context.params if (source := context.get_parameter_source(key)) and source.name == "COMMANDLINE"
    }
    return {key: value for key, value in found.items() if key not in given}


def _recipe(options: dict[str, Any]) -> DistillRecipe:
    from stillhouse.evaluation.answers import Terms
    from stillhouse.recipes.recipe import DistillRecipe, Prices, Reading

    if options["out"] is None:
        raise UsageError("Say where the bundle should go: --out FOLDER.")
    return DistillRecipe(
        traffic=tuple(Path(path) for path in options["traffic"] or ()),
        out=Path(options["out"]),
        holdout=Path(options["holdout"]) if options["holdout"] else None,
        terms=Terms(options["margin"], options["risk"], options["confidence"]),
        students=_listed(options["student"]),
        encoder=options["encoder"],
        freeze=options["freeze"],
        max_minutes=options["max_minutes"],
        seed=options["seed"],
        reading=Reading(_listed(options["labels"]), _listed(options["fields"]), options["skip_bad_rows"]),
        name=options["name"],
        prices=Prices(options["price_input"], options["price_output"]),
    )


def _with_datasets(recipe: DistillRecipe, home: Path) -> DistillRecipe:
    """The recipe with files in the place of versions of datasets."""
    holdout = opened([recipe.holdout], home, by_label=True)[0] if recipe.holdout else None
    return replace(recipe, traffic=tuple(opened(recipe.traffic, home, by_label=True)), holdout=holdout)


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _show_plan(recipe: DistillRecipe, home: Path, json: bool) -> None:
    from stillhouse.recipes.plan import plan

    found = plan(recipe, home)
    if json:
        emit(found)
        return
    console = words()
    for line in found["understood"] + found["notes"]:
        console.print(f"· {line}", markup=False, highlight=False)
    rows, splits = ([f"{count:,} {name}" for name, count in found[key].items()] for key in ("rows", "splits"))
    told = {"rows": ", ".join(rows), "splits": ", ".join(splits), "students": ", ".join(found["students"])}
    for key in ("rows", "splits", "students", "encoder", "hardware", "bundle"):
        console.print(f"{key:<10}{told.get(key) or found[key]}", markup=False, highlight=False, soft_wrap=True)
    console.print("Nothing was trained: this was a dry run.")
