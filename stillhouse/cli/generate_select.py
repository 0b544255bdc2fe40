"""`stillhouse generate select`: what is kept of what was made: the good, the new, the best of several, or pairs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption
from stillhouse.cli.display import Display
from stillhouse.cli.generate_data import find_source
from stillhouse.cli.generate_desk import DryRunOption
from stillhouse.cli.generate_label import DatasetArgument, OutOption
from stillhouse.cli.generate_rounds import keep_sifted
from stillhouse.data.versions import Step
from stillhouse.errors import UsageError
from stillhouse.training.events import Progress, StageStarted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stillhouse.data.items import Item
    from stillhouse.generation.select import Sifted
    from stillhouse.wire.graders import GraderSpec

__all__ = ["Keep", "generate_select"]


class Keep(StrEnum):
    """What is made of several answers to one prompt."""

    ALL = "all"
    BEST = "best"
    PAIRS = "pairs"


def generate_select(
    dataset: DatasetArgument,
    keep: Annotated[
        Keep,
        typer.Option(
            help="Of several answers to one prompt, by their grades: all, the best, or a pair of best and worst."
        ),
    ] = Keep.ALL,
    grader: Annotated[
        Path | None,
        typer.Option(
            help="Grade every answer first: a JSON file with a grader as evals have it, of the type string_check, "
            "text_similarity, python or multi."
        ),
    ] = None,
    least: Annotated[
        float | None, typer.Option(min=0, max=1, help="Leave out what has a lower grade, or none.")
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="With --keep pairs: leave out pairs whose grades differ by no more.")
    ] = 0.0,
    most_like: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="Leave out what has this ROUGE-L or more to something kept before it."),
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="A dataset whose prompts are not new either: name@number; may be repeated.")
    ] = None,
    dry_run: DryRunOption = False,
    out: OutOption = None,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Keep what is good and new of a dataset: a new version, with all that was left out beside it. Nobody is asked.

    For example: stillhouse generate select answers@2 --keep best --least 0.7 --most-like 0.7 --against seeds@1

    Grades come from --grader, from `stillhouse generate judge`, or from whatever else graded the items.
    """
    from stillhouse.generation.novelty import ByWords
    from stillhouse.generation.select import accepted, novel, sift

    if against and most_like is None:
        raise UsageError("--against is what must not be repeated: it needs --most-like, 0.7 for instance.")
    if margin and keep is not Keep.PAIRS:
        raise UsageError("--margin is how much two answers of a pair differ: it needs --keep pairs.")
    place = (project, home, database)
    source = find_source(place, dataset)
    others = [find_source(place, each) for each in against or ()]
    checks = [] if least is None else [accepted(lambda item: item.facts.grade, least)]
    if most_like is not None:
        pool = ByWords(item.text for other in others for item in other.items())
        checks.append(novel(pool, most_like))
    graded, told = _graded(list(source.items()), grader)
    chosen = _chosen(graded.kept, keep, margin)
    sifted = sift(chosen.kept, checks)
    found = type(sifted)(sifted.kept, (*graded.dropped, *chosen.dropped, *sifted.dropped))
    settings: dict[str, Any] = {"keep": keep.value, "least": least, "margin": margin, "most_like": most_like, **told}
    if dry_run:
        if json:
            emit({"counts": found.counts, "dry_run": True})
        for reason, count in () if json else sorted(found.counts.items()):
            words().print(f"{count:,} {reason}", markup=False, highlight=False)
        return
    parents = (source.version.reference, *(other.version.reference for other in others))
    keep_sifted(place, out or source.version.name, found, Step("select", parents, settings, found.counts), {}, json)


def _graded(items: Sequence[Item], grader: Path | None) -> tuple[Sifted, dict[str, Any]]:
    """The items with the grades of a grader, and how it is told of in the lineage; without one as they are."""
    from stillhouse.generation.select import Sifted
    from stillhouse.recipes.grade import grade_items, read_grader_file
    from stillhouse.wire.graders import write_grader

    if grader is None:
        return Sifted(tuple(items)), {}
    spec: GraderSpec = read_grader_file(grader)
    with Display(progress()) as display:
        display(StageStarted("grade", f"{spec.name} grades"))
        found = grade_items(items, spec, lambda done: display(Progress("grade", done, len(items))))
    return found, {"grader": write_grader(spec)}


def _chosen(items: Sequence[Item], keep: Keep, margin: float) -> Sifted:
    """What is made of answers to the same prompt."""
    from stillhouse.generation.select import Sifted, best_of_each, pairs_of_each

    if keep is Keep.ALL:
        return Sifted(tuple(items))
    return best_of_each(items) if keep is Keep.BEST else pairs_of_each(items, margin)
