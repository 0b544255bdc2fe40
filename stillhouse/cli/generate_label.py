"""`stillhouse generate label`: a teacher is asked what the items of a dataset are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
from stillhouse.data.versions import Step

__all__ = ["DatasetArgument", "OutOption", "TemplateOption", "generate_label"]

DatasetArgument = Annotated[str, typer.Argument(help="name@number, or name for its newest version.")]
TemplateOption = Annotated[
    Path | None,
    typer.Option(help="What is asked: a TOML file with blanks such as {text}, or a plain text."),
]
OutOption = Annotated[str | None, typer.Option("--out", help="The dataset to make.", show_default="the same name")]


def generate_label(
    dataset: DatasetArgument,
    teacher: TeacherOption,
    model: ModelOption = None,
    template: TemplateOption = None,
    labels: Annotated[str | None, typer.Option(help="What there is to choose among, with commas between.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="How often each item is asked about.")] = 1,
    together: Annotated[
        bool, typer.Option("--together", help="Take the samples of one call (`n`), where the API knows that.")
    ] = False,
    agree: Annotated[
        float, typer.Option(min=0, max=1, help="Give no label that a smaller share of the samples says.")
    ] = 0.0,
    sure: Annotated[
        float, typer.Option(min=0, max=1, help="Give no label that is less probable; this needs --logprobs.")
    ] = 0.0,
    unsure: Annotated[
        str | None, typer.Option(help="The word by which the teacher says that it cannot tell, if asked so.")
    ] = None,
    logprobs: Annotated[
        bool, typer.Option("--logprobs", help="Ask for log-probabilities, which become soft labels.")
    ] = False,
    retries: Annotated[int, typer.Option(min=0, help="How often an answer that does not fit is asked for again.")] = 2,
    max_tokens: MaxTokensOption = 256,
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
    """Ask a teacher what each item of a dataset is: a new version with its labels.

    For example: stillhouse generate label support@2 --teacher openai --model gpt-4o-mini --labels billing,shipping
    --samples 3 --agree 0.6 --budget 5.00 --dry-run

    Every call is kept as it comes, in the home folder, and the same call is not made again: killed, the same command
    goes on. Items about which the teacher is not sure keep no label and get the tag `unsure`; those that nothing usable
    was said of lie beside the version with the reason (stillhouse data show NAME --dropped).
    """
    from stillhouse.generation.label import PLAIN, Labeller, LabelSettings
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
    asked = PLAIN if template is None else read_template(template)
    chosen = LabelSettings(
        labels=tuple(label.strip() for label in labels.split(",")) if labels else (),
        samples=samples,
        together=together,
        retries=retries,
        agree=agree,
        sure=sure,
        unsure=unsure,
        logprobs=logprobs or sure > 0,
        request=limit(asked.request, max_tokens),
    )
    who = find_teacher(wish, folder)
    source = find_source(place, dataset)
    labeller = Labeller(who.model, asked, chosen, source.read_media, who.name)
    told = {"teacher": who.name, "url": who.url, "model": who.model, "template": asked.to_json(), **labeller.to_json()}
    desk = open_desk(wish, who, folder, ["label", source.version.hash, who.url, told], database)
    work = Work(desk, who, source, labeller.begin, Step("label", (source.version.reference,), told))
    if dry_run:
        work.show_estimate(json)
    else:
        work.do(place, out or source.version.name, json, partial)
