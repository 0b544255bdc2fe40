"""`stillhouse generate prompts`: new prompts from seeds, personas, documents, or the descriptions of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
from stillhouse.cli.generate_label import DatasetArgument, OutOption, TemplateOption
from stillhouse.cli.generate_rounds import SeedOption, Task, TemperatureOption, described, request_of
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.data.items import Item
    from stillhouse.generation.synthesize import Plan, Wanted

__all__ = ["generate_prompts", "read_lines"]


def generate_prompts(
    dataset: DatasetArgument,
    teacher: TeacherOption,
    model: ModelOption = None,
    count: Annotated[int, typer.Option(min=1, help="Prompts to keep; with --labels, at most so many in all.")] = 100,
    personas: Annotated[
        Path | None, typer.Option(help="A file with a person described on each line: they ask in turn.")
    ] = None,
    documents: Annotated[
        list[Path] | None, typer.Option(help="A text that the prompts ask about; may be repeated.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="A TOML file of labels and what they mean: each gets prompts of its own.")
    ] = None,
    target: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --labels: rows that each label shall have.", show_default="as many as the most frequent"
        ),
    ] = None,
    per_question: Annotated[int, typer.Option(min=1, help="Prompts asked for together.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="Asked at most so often until there are enough.")] = 10,
    most_like: Annotated[
        float, typer.Option(min=0.01, max=1, help="From this ROUGE-L on to one that is there a prompt is not new.")
    ] = 0.7,
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
    """Have a teacher make new prompts in the manner of a dataset's: a new version with them.

    For example: stillhouse generate prompts seeds --teacher openai --model gpt-4o-mini --count 500 --out more --dry-run

    Prompts that are too like a seed or one another, too short or too long, or in need of a picture or a file lie beside
    the version with the reason. With --labels they are texts of these labels, most for the rarest of the dataset.
    """
    from stillhouse.generation.forms import inquiry
    from stillhouse.generation.novelty import ByWords
    from stillhouse.generation.select import novel
    from stillhouse.generation.synthesize import opening, sound, synthesize

    place = (project, home, database)
    source = find_source(place, dataset)
    seeds = list(source.items())
    plan, wanted = _plan(seeds, personas, documents, labels, (count, target, per_question, rounds, seed))
    name = _form_of(plan)
    settings: dict[str, Any] = {
        "template": described(name, template), "count": count, "target": target, "per_question": per_question,
        "rounds": rounds, "most_like": most_like, "seed": seed, "request": request_of(max_tokens, temperature),
        "personas": len(plan.personas), "documents": len(plan.documents), "labels": plan.labels,
    }  # fmt: skip
    wish = Wish(
        teacher=teacher, model=model, key_env=key_env, budget=budget, price_in=price_in, price_out=price_out,
        at_once=at_once, per_minute=per_minute, tokens_per_minute=tokens_per_minute, tokenizer=tokenizer,
    )  # fmt: skip
    task = Task(place, "prompts", (source.version.reference,), settings, [source.version.hash], wish, partial=partial)
    asking = inquiry(task.who.model, name, settings["request"], template, task.called)
    if dry_run:
        more = "later rounds, which ask for what the first leaves wanting"
        task.estimate(opening(asking, plan, wanted), more, json)
        return
    checks = [sound(shortest=1 if plan.labels else 3), novel(ByWords(item.text for item in seeds), most_like)]
    task.do(lambda ask, _: synthesize(asking, plan, wanted, ask, checks), out or source.version.name, json)


def read_lines(file: Path) -> list[str]:
    """The lines of a text file that say something; raises UsageError."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as text in UTF-8: {error}.") from error
    return [line.strip() for line in lines if line.strip()]


def _plan(
    seeds: Sequence[Item],
    personas: Path | None,
    documents: list[Path] | None,
    labels: Path | None,
    numbers: tuple[int, int | None, int, int, int],
) -> tuple[Plan, Wanted]:
    """What prompts are made from, and how many."""
    from stillhouse.generation.synthesize import Plan, Wanted, lacking

    count, target, per_question, rounds, seed = numbers
    if sum(given is not None for given in (personas, documents or None, labels)) > 1:
        raise UsageError("Prompts come from personas, from documents or from labels: give one of the three.")
    meanings = None if labels is None else _meanings(labels)
    if target is not None and meanings is None:
        raise UsageError("--target is what each label shall have: it needs --labels.")
    plan = Plan(
        tuple(seeds),
        tuple(read_lines(personas)) if personas else (),
        tuple("\n".join(read_lines(each)) for each in documents or ()),
        meanings,
        per_question,
    )
    if meanings is None:
        return plan, Wanted(count, None, rounds, seed)
    there = Counter(item.label or item.truth for item in seeds)
    wanting = lacking({label: there[label] for label in meanings}, target, count)
    return plan, Wanted(count, wanting, rounds, seed)


def _meanings(file: Path) -> Mapping[str, str]:
    from stillhouse.recipes.toml import read_toml

    table = read_toml(file, "The file of labels")
    odd = [name for name, meaning in table.items() if not isinstance(meaning, str)]
    if odd or not table:
        raise UsageError(
            f'{file} says of each label what it means: {odd[0] if odd else "refund"} = "wants money back".'
        )
    return {name: str(meaning) for name, meaning in table.items()}


def _form_of(plan: Plan) -> str:
    """The prompt that fits."""
    if plan.labels:
        return "prompts_for_labels"
    return (
        "prompts_from_personas"
        if plan.personas
        else "prompts_from_documents"
        if plan.documents
        else ("prompts_from_seeds")
    )
