"""`stillhouse generate context`: a teacher answers with a handbook, passages or examples at hand that students lack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.artifacts import hash_json
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, Place, ProjectOption
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
from stillhouse.cli.generate_rounds import Task, TemperatureOption, askable, described, request_of, wordless
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.data.items import Item
    from stillhouse.generation.passages import Passages

__all__ = ["generate_context"]


def generate_context(
    dataset: DatasetArgument,
    teacher: TeacherOption,
    model: ModelOption = None,
    handbook: Annotated[Path | None, typer.Option(help="A text that stands before every prompt.")] = None,
    passages: Annotated[
        list[Path] | None,
        typer.Option(help="A text that is cut into passages, of which those that fit a prompt are shown; may repeat."),
    ] = None,
    words: Annotated[int, typer.Option(min=10, help="The most words of a passage.")] = 200,
    per_prompt: Annotated[int, typer.Option(min=1, help="Passages shown with a prompt.")] = 3,
    examples: Annotated[
        str | None, typer.Option(help="A dataset of prompts with answers or labels, shown as examples: name@number.")
    ] = None,
    shots: Annotated[int, typer.Option(min=1, help="Examples shown with a prompt, those nearest to it.")] = 4,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Find what is near by sentence vectors instead of words (BM25).")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep what was shown in the items, so that a student learns to use it.")
    ] = False,
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
    """Have a teacher answer with more before it than the student will see: a new version of short prompts, its answers.

    For example: stillhouse generate context questions@1 --teacher openai --model gpt-4o --passages handbook.md
    --out taught, then train a student on taught: it answers without the handbook.

    Passages are found by BM25 (the extra `data`), or with --vectors by the built-in sentence encoder (`minilm`).
    """
    from stillhouse.generation.context import Context, distil, opening
    from stillhouse.generation.forms import inquiry

    place = (project, home, database)
    source = find_source(place, dataset)
    found = askable(source, wordless)
    items = found.kept
    shown, reference = _examples(place, examples)
    texts = [passage for each in passages or () for passage in _cut(each, words)]
    context = Context(
        handbook=_text(handbook) if handbook else "",
        passages=_index(texts, vectors) if texts else None,
        per_prompt=per_prompt,
        examples=tuple(shown),
        nearest=_index([item.text for item in shown], vectors) if shown else None,
        shots=shots,
    )
    settings: dict[str, Any] = {
        "template": described("context", template),
        "handbook": hash_json(context.handbook)[:16] if handbook else None,
        "passages": len(texts),
        "passages_hash": hash_json(texts)[:16] if texts else None,
        "per_prompt": per_prompt,
        "shots": shots if shown else 0,
        "vectors": vectors,
        "keep": keep,
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
    parents = (source.version.reference, *([reference] if reference else []))
    task = Task(place, "context", parents, settings, [source.version.hash], wish, None, partial, found.dropped)
    asking = inquiry(task.who.model, "context", settings["request"], template, task.called, source.read_media)
    if dry_run:
        task.estimate(opening(asking, context, items), None, json)
        return
    task.do(lambda ask, _: distil(asking, context, items, ask, keep), out or source.version.name, json)


def _examples(place: Place, dataset: str | None) -> tuple[list[Item], str | None]:
    """The items of a dataset that can be shown as examples, and which version it was."""
    if dataset is None:
        return [], None
    source = find_source(place, dataset)
    found = [item for item in source.items() if item.text and (item.words or item.label or item.truth)]
    if not found:
        raise UsageError(f"No item of {source.version.reference} has an answer or a label to be shown as an example.")
    return found, source.version.reference


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as text in UTF-8: {error}.") from error


def _cut(file: Path, words: int) -> list[str]:
    from stillhouse.generation.passages import cut

    return cut(_text(file), words)


def _index(texts: list[str], vectors: bool) -> Passages:
    """Texts that can be searched."""
    from stillhouse.generation.passages import PassagesByVectors, PassagesByWords

    if not vectors:
        return PassagesByWords(texts)
    import numpy as np

    from stillhouse.extras import require
    from stillhouse.inference.sentence_vectors import SentenceVectors

    require("minilm", "find passages by vectors")
    encoder = SentenceVectors.open()
    assert encoder is not None
    return PassagesByVectors(lambda some: np.stack([encoder.vector(text) for text in some]).astype(np.float64), texts)
