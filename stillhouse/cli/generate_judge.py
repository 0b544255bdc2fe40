"""`stillhouse generate judge`: a judge grades the answers of a dataset, or confirms its preferences."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption
from stillhouse.cli.generate_data import find_source
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
)
from stillhouse.cli.generate_label import DatasetArgument, OutOption, TemplateOption
from stillhouse.cli.generate_rounds import Task, TemperatureOption, askable, described, request_of

__all__ = ["generate_judge"]


def generate_judge(
    dataset: DatasetArgument,
    teacher: TeacherOption,
    model: ModelOption = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare the two answers of each preference in both orders instead.")
    ] = False,
    template: TemplateOption = None,
    temperature: TemperatureOption = None,
    max_tokens: MaxTokensOption = 512,
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
    """Have a judge grade every answer of a dataset, 0 to 1: a new version with the grades.

    For example: stillhouse generate judge answers@1 --teacher openai --model gpt-4o, then
    stillhouse generate select answers --least 0.7

    With --compare it is shown both answers of each preference, each first once: pairs stay where it agrees, are turned
    round where it finds the other one better, and lie beside the version where it finds them equal or cannot tell.
    """
    from stillhouse.generation.forms import inquiry
    from stillhouse.generation.grading import compare_items, comparing_questions, grade_items, grading_questions

    place = (project, home, database)
    source = find_source(place, dataset)
    found = askable(source)
    items = found.kept
    name = "judge_pair" if compare else "judge_score"
    settings: dict[str, Any] = {
        "template": described(name, template),
        "compare": compare,
        "request": request_of(max_tokens, temperature),
    }
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
    parents = (source.version.reference,)
    task = Task(place, "judge", parents, settings, [source.version.hash], wish, None, partial, found.dropped)
    asking = inquiry(task.who.model, name, settings["request"], template, task.called, source.read_media)
    if dry_run:
        questions = comparing_questions if compare else grading_questions
        task.estimate(questions(asking, items), None, json)
        return
    make = compare_items if compare else grade_items
    task.do(lambda ask, _: make(asking, items, ask), out or source.version.name, json)
