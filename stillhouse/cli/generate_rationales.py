"""`stillhouse generate rationales`: a teacher is asked for the reasons behind the answers of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from stillhouse import settings
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption
from stillhouse.cli.generate_data import Work, find_source
from stillhouse.cli.generate_desk import (
    AtOnceOption,
    BudgetOption,
    DryRunOption,
    KeyOption,
    MaxTokensOption,
    ModelOption,
    PartialOption,
    PerMinuteOption,
    PriceInOption,
    PriceOutOption,
    TeacherOption,
    TokenizerOption,
    TokensPerMinuteOption,
    Wish,
    find_teacher,
    limit,
    open_desk,
)
from stillhouse.cli.generate_label import DatasetArgument, OutOption, TemplateOption
from stillhouse.data.parquet import read_items
from stillhouse.data.versions import Step

if TYPE_CHECKING:
    from stillhouse.data.versions import Version

__all__ = ["generate_rationales"]


def generate_rationales(
    dataset: DatasetArgument,
    teacher: TeacherOption,
    model: ModelOption = None,
    template: TemplateOption = None,
    samples: Annotated[int, typer.Option(min=1, help="How often each item is thought about.")] = 1,
    hint: Annotated[
        bool, typer.Option("--hint/--no-hint", help="Tell the answer where no chain of thought leads to it.")
    ] = True,
    fewest: Annotated[int, typer.Option(min=0, help="Words of the shortest reasons that are kept.")] = 5,
    most: Annotated[int, typer.Option(min=1, help="Words of the longest.")] = 300,
    silent: Annotated[
        bool, typer.Option("--silent", help="Leave out reasons that name the answer where the question does not.")
    ] = False,
    rows: Annotated[
        Path | None, typer.Option(help="Write rows for a recipe with the task `rationale` into this file as well.")
    ] = None,
    max_tokens: MaxTokensOption = 1024,
    budget: BudgetOption = None,
    price_in: PriceInOption = None,
    price_out: PriceOutOption = None,
    at_once: AtOnceOption = 8,
    per_minute: PerMinuteOption = None,
    tokens_per_minute: TokensPerMinuteOption = None,
    tokenizer: TokenizerOption = None,
    key_env: KeyOption = None,
    partial: PartialOption = False,
    dry_run: DryRunOption = False,
    out: OutOption = None,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Ask a teacher to think about each item of a dataset, and keep the reasons that lead to its known answer.

    For example: stillhouse generate rationales sums@1 --teacher openai --model gpt-4o-mini --samples 4
    --budget 5.00 --rows sums.jsonl

    The answer that is known (the truth, else the label, else the answer) is not told. A chain of thought is kept if it
    ends in that answer, is neither too short nor too long, no copy of the question, and does not say that it was told.
    Items without such a chain lie beside the version with the reason. `stillhouse train` learns answers and reasons
    from the file of --rows: see the recipe `rationale`.
    """
    from stillhouse.generation.rationales import THINK, RationaleSettings, Reasoner
    from stillhouse.generation.templates import read_template

    folder, place = settings.home(home), (project, home, database)
    wish = Wish(
        teacher=teacher,
        model=model,
        key_env=key_env,
        budget=budget,
        price_in=price_in,
        price_out=price_out,
        at_once=at_once,
        per_minute=per_minute,
        tokens_per_minute=tokens_per_minute,
        tokenizer=tokenizer,
    )
    asked = THINK if template is None else read_template(template)
    chosen = RationaleSettings(
        samples=samples, hint=hint, fewest=fewest, most=most, silent=silent, request=limit(asked.request, max_tokens)
    )
    who = find_teacher(wish, folder)
    source = find_source(place, dataset)
    reasoner = Reasoner(who.model, asked, chosen, source.read_media, who.name)
    told = {"teacher": who.name, "url": who.url, "model": who.model, "template": asked.to_json(), **reasoner.to_json()}
    desk = open_desk(wish, who, folder, ["rationales", source.version.hash, who.url, told], database)
    work = Work(desk, who, source, reasoner.begin, Step("rationales", (source.version.reference,), told))
    if dry_run:
        work.show_estimate(json)
        return
    version = work.do(place, out or source.version.name, json, partial)
    if rows is not None:
        _write_rows(version, rows)


def _write_rows(version: Version, place: Path) -> None:
    """The items of a version as rows of the two-task objective, whole or not at all."""
    from stillhouse.generation.rationales import explained_row

    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f"{place.name}.new")
    try:
        with draft.open("wb") as file:
            for item in read_items(version.path):
                file.write(orjson.dumps(explained_row(item)) + b"\n")
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
