"""What the verbs of `stillhouse generate` have in common: who is asked, within which limits, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, final

import typer

from stillhouse import settings
from stillhouse.artifacts import hash_folder, hash_json
from stillhouse.cli.console import progress
from stillhouse.data.terms import Use
from stillhouse.errors import TeacherError, UsageError
from stillhouse.generation.book import Book, book_place
from stillhouse.generation.budget import Budget, Count
from stillhouse.generation.desk import Desk, Line
from stillhouse.generation.limits import Limits
from stillhouse.generation.local_line import LocalLine
from stillhouse.generation.questions import Estimate, Tally
from stillhouse.recipes.server import FILE, TeacherSection, read_server_file
from stillhouse.recipes.terms import check_asked
from stillhouse.teachers.address import check_address
from stillhouse.teachers.api import Endpoint
from stillhouse.teachers.asking import Patience
from stillhouse.teachers.prices import AS_OF, Price, known_price, read_price

if TYPE_CHECKING:
    from stillhouse.generation.local_line import Speaker

__all__ = [
    "AtOnceOption",
    "BudgetOption",
    "DryRunOption",
    "KeyOption",
    "MaxTokensOption",
    "ModelOption",
    "PartialOption",
    "PerMinuteOption",
    "PriceInOption",
    "PriceOutOption",
    "TeacherOption",
    "TokenizerOption",
    "TokensPerMinuteOption",
    "Who",
    "Wish",
    "check_whole",
    "find_teacher",
    "limit",
    "open_desk",
    "tell_estimate",
    "tell_tally",
]

LISTED_PRICES = f"Prices are those of a list of {AS_OF}; --price-in and --price-out go before it."
SLOW = 3600.0
"""Seconds that a model on this machine may take for one answer."""

TeacherOption = Annotated[
    str,
    typer.Option(
        "--teacher",
        help="Who is asked: the name of a teacher in stillhouse.toml, the base URL of an API, or the folder of a "
        "language model.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="The model to ask there.", show_default="the only one that the teacher has"),
]
KeyOption = Annotated[
    str | None, typer.Option(help="The environment variable that holds the API key of a teacher given by its URL.")
]
BudgetOption = Annotated[
    float | None, typer.Option(min=0, help="The most that may be spent on this, in the currency of the prices.")
]
PriceInOption = Annotated[
    float | None,
    typer.Option(min=0, help="Price of a million tokens that the teacher reads.", show_default="that of the teacher"),
]
PriceOutOption = Annotated[
    float | None,
    typer.Option(min=0, help="Price of a million tokens that it writes.", show_default="that of the teacher"),
]
AtOnceOption = Annotated[int, typer.Option(min=1, help="Calls under way together.")]
PerMinuteOption = Annotated[float | None, typer.Option(min=0, help="Calls begun within a minute.")]
TokensPerMinuteOption = Annotated[float | None, typer.Option(min=0, help="Tokens of the calls begun within a minute.")]
MaxTokensOption = Annotated[int, typer.Option(min=1, help="The most tokens that one answer may have.")]
TokenizerOption = Annotated[
    Path | None,
    typer.Option(help="The tokenizer.json of the teacher, to count tokens.", show_default="tokens are estimated"),
]
DryRunOption = Annotated[bool, typer.Option(help="Say what would be asked and what it would cost; ask nothing.")]
PartialOption = Annotated[
    bool, typer.Option("--partial", help="Go on with what was answered where the budget ends, or an answer lacks.")
]


@final
@dataclass(frozen=True, kw_only=True)
class Wish:
    """How a teacher is to be asked, as the options say."""

    teacher: str
    model: str | None = None
    key_env: str | None = None
    budget: float | None = None
    price_in: float | None = None
    price_out: float | None = None
    at_once: int = 8
    per_minute: float | None = None
    tokens_per_minute: float | None = None
    tokenizer: Path | None = None


@final
@dataclass(frozen=True, slots=True)
class Who:
    """A teacher that was found."""

    name: str
    """What it is called in stillhouse.toml, else its model or its folder: rows have it, and by it terms are found."""
    model: str
    """The name by which it is asked for there."""
    url: str
    """The base URL, or `local:` and the hash of the model's folder."""
    key_env: str | None = None
    folder: Path | None = None
    price: Price | None = None
    """None: not known."""
    note: str | None = None
    """What is to be known about the price."""
    seconds: float = 300.0
    """For one answer."""


def find_teacher(wish: Wish, home: Path) -> Who:
    """Whom the options mean; raises UsageError where that is not clear. Nothing is opened."""
    if wish.teacher.startswith(("http://", "https://")):
        check_address(wish.teacher, "--teacher")
        if wish.model is None:
            raise UsageError("A teacher given by its URL needs --model, the model to ask there.")
        return _priced(wish, Who(wish.model, wish.model, wish.teacher, wish.key_env))
    teachers = read_server_file(home).teachers
    if wish.teacher in teachers:
        return _named(wish, teachers[wish.teacher])
    folder = Path(wish.teacher)
    if not folder.is_dir():
        known = ", ".join(teachers) or "none yet: stillhouse teacher add"
        raise UsageError(
            f"{wish.teacher!r} is neither a teacher of {home / FILE} (there are: {known}), nor the URL of an API, nor "
            "the folder of a model."
        )
    name = folder.resolve().name
    return Who(name, name, f"local:{hash_folder(folder)}", None, folder, Price(), seconds=SLOW)


def open_desk(wish: Wish, who: Who, home: Path, job: Sequence[object], database: str | None = None) -> Desk:
    """The desk that asks a teacher. `job` is what the budget is for: the verb and all else that makes the same work, as
    JSON; `database`
    is the one that keeps the terms of teachers.

    Raises TermsForbid where the teacher's terms do not let a model learn from its answers.
    """
    for note in check_asked((who.name, who.model), Use.TRAIN, home, database):
        _say()(note)
    if wish.budget is not None and who.price is None:
        raise UsageError(
            f"No price of {who.model!r} is known, so no budget can be kept. Give --price-in and --price-out: what a "
            "million tokens cost that it reads and writes."
        )
    limits = Limits(
        at_once=wish.at_once,
        per_minute=wish.per_minute,
        tokens_per_minute=wish.tokens_per_minute,
        seconds=who.seconds,
    )
    most = None if wish.budget is None else Decimal(repr(wish.budget))
    budget = Budget(most, who.price or Price(), hash_json(job)[:32], str(job[0]))
    book = Book(book_place(home, who.url, who.model))
    return Desk(_line(who, wish), book, limits, budget, _count(wish.tokenizer))


def limit(request: Mapping[str, Any], most: int) -> dict[str, Any]:
    """The key of a request that limits an answer, unless the request of a template has one."""
    return {} if {"max_tokens", "max_completion_tokens"} & request.keys() else {"max_completion_tokens": most}


def tell_estimate(estimate: Estimate, who: Who) -> None:
    """What a dry run has to say to people."""
    say = _say()
    times = "once" if estimate.calls == 1 else f"{estimate.calls:,} times"
    say(f"{who.model} would be asked {times}; {estimate.cached:,} answers are there.")
    if estimate.too_large:
        say(f"{estimate.too_large:,} questions are too large to be sent.")
    say(f"Tokens: about {estimate.prompt_tokens:,} read and {estimate.completion_tokens:,} written.")
    if estimate.cost is None or estimate.most_cost is None:
        say("Cost: nothing." if who.folder is not None else "Cost: not known without prices.")
    else:
        say(f"Cost: about {estimate.cost:.4f}, at most {estimate.most_cost:.4f}, if no answer is asked for again.")
        if estimate.spent:
            say(f"Spent on the same before: {estimate.spent:.4f}.")
    if not estimate.measured:
        say("How long its answers of this kind are is not known yet: each is counted at its longest.")
    if who.note and estimate.cost is not None:
        say(who.note)


def check_whole(tally: Tally, partial: bool) -> None:
    """Raise TeacherError where not all was answered, unless the work may be partial."""
    if tally.stopped and not partial:
        raise TeacherError(
            f"The budget ends before the work: {tally.stopped}. What was answered is kept: the same command with a "
            "larger --budget goes on, and --partial goes on without the rest."
        )
    if tally.unheard and not partial:
        raise TeacherError(
            f"{len(tally.unheard):,} questions got no answer: {next(iter(tally.unheard.values()))} What was answered "
            "is kept: the same command asks only for those again, and --partial goes on without."
        )


def tell_tally(tally: Tally, model: str) -> dict[str, Any]:
    """What asking came to, as plain values; people hear what was done, paid and not done."""
    _say()(
        f"{model} answered {tally.asked:,} calls now; {tally.cached:,} answers were there already. "
        f"Tokens: {tally.prompt_tokens:,} read and {tally.completion_tokens:,} written."
        + (f" Spent on this in all: {tally.spent:.4f}." if tally.spent else "")
    )
    if tally.stopped:
        _say()(f"Stopped: {tally.stopped}. The same command with a larger --budget goes on.")
    if tally.unheard:
        reason = next(iter(tally.unheard.values()))
        _say()(f"{len(tally.unheard):,} questions got no answer ({reason}). The same command asks for those again.")
    return {
        "asked": tally.asked,
        "cached": tally.cached,
        "refused": tally.refused,
        "unheard": len(tally.unheard),
        "stopped": tally.stopped,
        "spent": float(tally.spent),
        "perhaps_spent_besides": float(tally.doubtful),
        "tokens": {"read": tally.prompt_tokens, "written": tally.completion_tokens},
    }


def _say() -> Callable[[str], None]:
    console = progress()
    return lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)


def _named(wish: Wish, section: TeacherSection) -> Who:
    """A teacher of stillhouse.toml."""
    only = next(iter(section.models)) if len(section.models) == 1 else None
    model = wish.model or only
    if model is None:
        there = ", ".join(section.models) or "any model of its API"
        raise UsageError(f"Choose one of the models of {wish.teacher!r} with --model. It has {there}.")
    own = read_price(section.price_in, section.price_out)
    who = Who(wish.teacher, section.models.get(model, model), section.base_url, section.key_env or wish.key_env)
    return _priced(wish, replace(who, price=None if own.is_free else own, seconds=section.timeout))


def _priced(wish: Wish, who: Who) -> Who:
    """With its price: what the options say, else what stillhouse.toml does, else the list."""
    listed = known_price(who.url, who.model)
    known = who.price or listed
    if wish.price_in is None and wish.price_out is None:
        note = None if who.price or not listed else LISTED_PRICES
        return replace(who, price=known, note=note)
    known = known or Price()
    read = known.read if wish.price_in is None else Decimal(repr(wish.price_in))
    written = known.written if wish.price_out is None else Decimal(repr(wish.price_out))
    return replace(who, price=Price(read, written))


def _line(who: Who, wish: Wish) -> Line:
    if who.folder is None:
        key = None if who.key_env is None else settings.secret(who.key_env)
        return Endpoint(who.url, key, Patience(connect=10.0))
    folder, name = who.folder, who.model

    def open_model() -> Speaker:
        from stillhouse.inference.local_chat import LocalChat

        return LocalChat.open(str(folder), name=name)

    return LocalLine(who.url, open_model)


def _count(tokenizer: Path | None) -> Count | None:
    if tokenizer is None:
        return None
    from tokenizers import Tokenizer

    place = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
    try:
        opened: Any = Tokenizer.from_file(str(place))
    except Exception as error:  # the library raises bare Exceptions
        raise UsageError(f"{place} is no tokenizer: {error}") from error
    return lambda text: len(opened.encode(text).ids)
