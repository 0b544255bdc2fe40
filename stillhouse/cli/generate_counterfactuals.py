"""`stillhouse generate counterfactuals`: texts edited so that they get another label, checked by labelling again."""

from __future__ import annotations

from pathlib import Path
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
from stillhouse.cli.generate_rounds import (
    JudgeModelOption,
    JudgeOption,
    SeedOption,
    Task,
    TemperatureOption,
    askable,
    described,
    judge_wish,
    request_of,
)

__all__ = ["generate_counterfactuals"]


def generate_counterfactuals(
    dataset: DatasetArgument,
    teacher: TeacherOption,
    model: ModelOption = None,
    labels: Annotated[
        str | None, typer.Option(help="The labels that there are.", show_default="those of the dataset")
    ] = None,
    each: Annotated[int, typer.Option(min=1, help="To how many other labels each text is taken.")] = 1,
    most_changed: Annotated[
        float, typer.Option(min=0.01, max=1, help="A text of which a larger share of the words changed is left out.")
    ] = 0.5,
    judge: JudgeOption = None,
    judge_model: JudgeModelOption = None,
    judge_template: Annotated[
        Path | None, typer.Option(help="What is asked to label an edited text again: {text} and {labels}.")
    ] = None,
    seed: SeedOption = 0,
    template: TemplateOption = None,
    temperature: TemperatureOption = None,
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
    """Have a teacher change as few words of each labelled text as it takes to give it another label.

    For example: stillhouse generate counterfactuals support@2 --teacher openai --model gpt-4o-mini --judge local

    The new version holds the edited texts that, labelled again by the judge, have the label that they were edited for.
    Those that were not changed, changed too much or did not flip lie beside it with the reason.
    """
    from stillhouse.generation.counterfactual import counterfactuals, flips, opening
    from stillhouse.generation.forms import inquiry

    place = (project, home, database)
    source = find_source(place, dataset)
    found = askable(source)
    items = found.kept
    named = [label.strip() for label in labels.split(",")] if labels else []
    known = named or sorted({item.label for item in items if item.label is not None})
    wanted = flips(items, known, each, seed)
    settings: dict[str, Any] = {
        "template": described("counterfactual", template),
        "look": described("look", judge_template),
        "labels": known,
        "each": each,
        "most_changed": most_changed,
        "seed": seed,
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
    judging = judge_wish(wish, judge, judge_model)
    parents = (source.version.reference,)
    task = Task(
        place, "counterfactuals", parents, settings, [source.version.hash], wish, judging, partial, found.dropped
    )
    editing = inquiry(task.who.model, "counterfactual", settings["request"], template, task.called, source.read_media)
    looking = inquiry(task.judging.model, "look", request_of(max_tokens, None), judge_template, None, source.read_media)
    if dry_run:
        task.estimate(opening(editing, wanted), "a look at each text that was edited well", json)
        return
    task.do(
        lambda ask, look: counterfactuals(editing, looking, wanted, known, ask, look, most_changed),
        out or source.version.name,
        json,
    )
