"""`stillhouse generate answers`: a teacher answers prompts, once or several times; the best, a pair or all are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from stillhouse.cli.generate_label import DatasetArgument, OutOption
from stillhouse.cli.generate_rounds import (
    JudgeModelOption,
    JudgeOption,
    Task,
    TemperatureOption,
    askable,
    described,
    judge_wish,
    judging_request,
    request_of,
    wordless,
)
from stillhouse.errors import UsageError
from stillhouse.generation.answers import Choose

if TYPE_CHECKING:
    from stillhouse.cli.generate_data import Source
    from stillhouse.generation.judge import Judge

__all__ = ["generate_answers"]


def generate_answers(
    dataset: DatasetArgument,
    teacher: TeacherOption,
    model: ModelOption = None,
    samples: Annotated[int, typer.Option(min=1, help="How often each prompt is answered.")] = 1,
    keep: Annotated[
        Choose,
        typer.Option(help="What is made of several answers: the first, the best, a pair of best and worst, or all."),
    ] = Choose.FIRST,
    least: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --keep best: no answer that the judge gives less.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="A message of the system that the teacher sees first.")] = None,
    keep_system: Annotated[
        bool, typer.Option("--keep-system", help="Keep that message in the items, for the student to see too.")
    ] = False,
    judge: JudgeOption = None,
    judge_model: JudgeModelOption = None,
    score_template: Annotated[
        Path | None, typer.Option(help="How the judge is asked for a score: {question} and {answer}.")
    ] = None,
    pair_template: Annotated[
        Path | None, typer.Option(help="How it is asked to compare: {question}, {first} and {second}.")
    ] = None,
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
    """Have a teacher answer the prompts of a dataset: a new version with its answers.

    For example: stillhouse generate answers prompts --teacher openai --model gpt-4o-mini --samples 4 --keep pairs
    --judge openai --judge-model gpt-4o --temperature 1 --out preferences

    Best-of-n and pairs are chosen by a judge's scores; a pair is kept only where the judge, shown both answers in
    either order, agrees. Prompts without an answer (refused, declined, cut off, empty) lie beside the version.
    """
    from stillhouse.generation.answers import Sampling, answer, choose, opening
    from stillhouse.generation.forms import inquiry

    place = (project, home, database)
    source = find_source(place, dataset)
    found = askable(source, *([] if system else [wordless]))
    items = found.kept
    sampling = Sampling(samples, system, keep_system)
    settings: dict[str, Any] = {
        "samples": samples,
        "keep": keep.value,
        "least": least,
        "system": system,
        "keep_system": keep_system,
        "request": request_of(max_tokens, temperature),
    }
    judged = keep in (Choose.BEST, Choose.PAIRS)
    if least is not None and keep is not Choose.BEST:
        raise UsageError("--least is what the best answer is worth at least: it needs --keep best.")
    if judged:
        settings |= {
            "score": described("judge_score", score_template),
            "compare": described("judge_pair", pair_template),
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
    task = Task(place, "answers", parents, settings, [source.version.hash], wish, judging, partial, found.dropped)
    asking = inquiry(task.who.model, "context", settings["request"], called=task.called, read_media=source.read_media)
    by = _judge(task, source, max_tokens, score_template, pair_template)
    if dry_run:
        more = "what the judge is asked about each different answer" if judged else None
        task.estimate(opening(asking, items, sampling), more, json)
        return
    task.do(
        lambda ask, look: choose(answer(asking, items, sampling, ask), keep, by if judged else None, look, least),
        out or source.version.name,
        json,
    )


def _judge(task: Task, source: Source, max_tokens: int, score: Path | None, pair: Path | None) -> Judge:
    """Who judges, and how it is asked."""
    from stillhouse.generation.forms import inquiry
    from stillhouse.generation.judge import Judge

    model, request, read = task.judging.model, judging_request(max_tokens), source.read_media
    return Judge(
        inquiry(model, "judge_score", request, score, read_media=read),
        inquiry(model, "judge_pair", request, pair, read_media=read),
    )
