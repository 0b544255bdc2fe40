"""`stillhouse generate evolve`: prompts made harder, broader or reworded by a teacher, round upon round."""

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
from stillhouse.cli.generate_rounds import SeedOption, Task, TemperatureOption, askable, described, request_of
from stillhouse.errors import UsageError
from stillhouse.generation.evolve import WAYS, Course, Way

__all__ = ["generate_evolve"]


def generate_evolve(
    dataset: DatasetArgument,
    teacher: TeacherOption,
    model: ModelOption = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often; each round goes on from what the last one made.")] = 1,
    ways: Annotated[
        str,
        typer.Option(
            help="The ways that are drawn from: constrain, deepen, concrete and reason make a prompt harder, broaden "
            "makes another of its kind, reword says it anew; or harder for the first four."
        ),
    ] = "harder,broaden",
    seed: SeedOption = 0,
    template: TemplateOption = None,
    temperature: TemperatureOption = 1.0,
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
    """Have a teacher make the prompts of a dataset harder, broader or different: a new version with the evolved ones.

    For example: stillhouse generate evolve seeds@1 --teacher openai --model gpt-4o-mini --rounds 3 --out evolved

    A prompt that did not evolve (it says what its parent says, or repeats the instruction) lies beside the version with
    the reason, and its parent tries another way in the next round. Answer them with: stillhouse generate answers
    """
    from stillhouse.generation.evolve import evolve, nothing_to_evolve, opening
    from stillhouse.generation.forms import inquiry

    place = (project, home, database)
    source = find_source(place, dataset)
    found = askable(source, nothing_to_evolve)
    items = found.kept
    course = Course(rounds, _ways(ways), seed)
    settings: dict[str, Any] = {
        "template": described("evolve", template),
        "rounds": rounds,
        "ways": list(course.ways),
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
    parents = (source.version.reference,)
    task = Task(place, "evolve", parents, settings, [source.version.hash], wish, None, partial, found.dropped)
    asking = inquiry(task.who.model, "evolve", settings["request"], template, task.called, source.read_media)
    if dry_run:
        rest = "1 more round" if rounds == 2 else f"{rounds - 1} more rounds, each"
        more = f"{rest} about as dear as this one" if rounds > 1 else None
        task.estimate(opening(asking, items, course), more, json)
        return
    task.do(lambda ask, _: evolve(asking, items, course, ask), out or source.version.name, json)


def _ways(given: str) -> tuple[Way, ...]:
    """The ways that were named, each once."""
    names = ",".join("constrain,deepen,concrete,reason" if name == "harder" else name for name in _split(given))
    for name in _split(names):
        if name not in list(Way):
            raise UsageError(f"--ways {name!r} is none of harder, {', '.join(WAYS)}.")
    return tuple(dict.fromkeys(map(Way, _split(names))))


def _split(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]
