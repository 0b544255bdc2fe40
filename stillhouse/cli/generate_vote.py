"""`stillhouse generate vote`: labels of several teachers put together; who of them is reliable, and asked what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, progress
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, Place, ProjectOption
from stillhouse.cli.generate_data import find_source
from stillhouse.cli.generate_desk import (
    BudgetOption,
    DryRunOption,
    KeyOption,
    MaxTokensOption,
    PartialOption,
    PriceInOption,
    PriceOutOption,
    Wish,
    find_teacher,
    open_desk,
    tell_estimate,
    tell_tally,
)
from stillhouse.cli.generate_label import OutOption
from stillhouse.cli.generate_rounds import JudgeModelOption, described, keep_sifted, request_of
from stillhouse.data.versions import Step
from stillhouse.errors import UsageError
from stillhouse.generation.panel import How

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stillhouse.generation.inquiry import ReadMedia
    from stillhouse.generation.panel import Seat, Settled
    from stillhouse.generation.questions import Question

    Way = tuple[dict[str, Any], Path | None, ReadMedia]
    """How the judge is asked: more keys of a request, the prompt in place of ours, and how pictures are read."""

__all__ = ["generate_vote"]


def generate_vote(
    datasets: Annotated[list[str], typer.Argument(help="The labelled versions, one of each annotator: name@number.")],
    how: Annotated[
        How,
        typer.Option(
            help="How votes count: all the same, by what each got right where the truth is known, or by "
            "the reliability that makes all answers most likely (Dawid-Skene; one-coin for many labels and few items)."
        ),
    ] = How.DAWID_SKENE,
    least: Annotated[float, typer.Option(min=0, max=1, help="Give no label whose share of the vote is smaller.")] = 0.0,
    smoothing: Annotated[float, typer.Option(min=0, help="Of Dawid-Skene: answers added to every cell.")] = 1.0,
    kinds: Annotated[
        str | None,
        typer.Option(help="Tell who is best at which kind of item: label, language, split, model or metadata.NAME."),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help="What an answer of an annotator costs: support@2=0.5. Given for all, each kind is routed."),
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="How much less accurate than the best the cheapest may be.")
    ] = 0.02,
    judge: Annotated[
        str | None,
        typer.Option(help="Who breaks ties, named as a teacher is.", show_default="ties are left without a label"),
    ] = None,
    judge_model: JudgeModelOption = None,
    judge_template: Annotated[Path | None, typer.Option(help="What the judge is asked: {text} and {labels}.")] = None,
    max_tokens: MaxTokensOption = 256,
    budget: BudgetOption = None,
    price_in: PriceInOption = None,
    price_out: PriceOutOption = None,
    key_env: KeyOption = None,
    partial: PartialOption = False,
    dry_run: DryRunOption = False,
    out: OutOption = None,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Put the labels of several annotators together: a new version with the voted labels, the votes as soft labels.

    For example: stillhouse generate vote support@2 support@3 support@4 --out voted --kinds language --price
    support@2=0.2 --price support@3=1 --price support@4=5

    Each version is one annotator's: label the same items with several teachers, each into a version of its own. Items
    are the same when they ask the same. Where the votes are equal and no judge breaks the tie an item has no label and
    the tag `tied`.
    """
    from stillhouse.generation.panel import line_up, settle, voted
    from stillhouse.generation.select import Sifted

    place = (project, home, database)
    sources = {each.version.reference: each for each in (find_source(place, name) for name in datasets)}
    seats = line_up({name: source.items() for name, source in sources.items()})
    settled = settle(seats, how, smoothing)
    told = {"reliability": dict(settled.reliability), **_strengths(seats, settled, kinds, _prices(price), margin)}
    told |= {"doubt": settled.doubt} if settled.doubt else {}
    options: dict[str, Any] = {"how": how.value, "least": least, "smoothing": smoothing, **told}
    wish = None
    if judge is not None:
        wish = Wish(teacher=judge, model=judge_model, key_env=key_env, budget=budget, price_in=price_in,
                    price_out=price_out)  # fmt: skip
    job = [source.version.hash for source in sources.values()]
    tied = [at for at in range(len(seats)) if settled.verdicts.tied[at] > 1]
    way: Way = (request_of(max_tokens, None), judge_template, next(iter(sources.values())).read_media)
    if dry_run:
        _tell_plan(seats, settled, told, _asked(wish, seats, settled, way, (place, job)), json)
        return
    asking: dict[str, Any] = {}
    if wish is not None and tied:
        settled, asking = _broken(wish, seats, settled, way, (place, job), partial)
        options |= {
            "judge": wish.teacher,
            "judge_model": wish.model,
            "template": described("judge_label", judge_template),
        }
    items = tuple(voted(seat, settled, at, least) for at, seat in enumerate(seats))
    counts = {"kept": len(items), "without a label": sum(item.label is None for item in items)}
    found = Sifted(items)
    if not json:
        _tell(told)
    keep_sifted(place, out or next(iter(sources.values())).version.name, found,
                Step("vote", tuple(sources), options, counts), {**told, **asking}, json)  # fmt: skip


def _prices(given: list[str] | None) -> dict[str, float]:
    """What annotators cost, by name."""
    found: dict[str, float] = {}
    for each in given or ():
        name, _, amount = each.rpartition("=")
        try:
            found[name] = float(amount)
        except ValueError as error:
            raise UsageError(f"--price {each!r} is no price: write support@2=0.5.") from error
    return found


def _strengths(
    seats: Sequence[Seat], settled: Settled, kinds: str | None, prices: Mapping[str, float], margin: float
) -> dict[str, Any]:
    """Who is best at which kind of item, and who is asked about it."""
    from stillhouse.generation.panel import kind_of
    from stillhouse.generation.strengths import route, strengths

    if kinds is None:
        if prices:
            raise UsageError("Prices route kinds of items: say by what these are told apart, --kinds language.")
        return {}
    verdicts = settled.verdicts
    names = [
        (verdicts.label(at) or "") if kinds == "label" else kind_of(seat.item, kinds) for at, seat in enumerate(seats)
    ]
    measured = strengths(settled.ballots, verdicts.shares, names)
    table = [
        {"kind": one.kind, "annotator": one.teacher, "asked": one.asked, "accuracy": round(one.accuracy, 4)}
        for one in measured
    ]
    if not prices:
        return {"strengths": table}
    routes = route(measured, prices, margin)
    return {"strengths": table, "routes": {**routes.by_kind, "*": routes.otherwise}}


def _questions(model: str, seats: Sequence[Seat], settled: Settled, way: Way) -> dict[int, Question]:
    from stillhouse.generation.forms import inquiry
    from stillhouse.generation.panel import tie_questions

    request, template, read_media = way
    return tie_questions(inquiry(model, "judge_label", request, template, read_media=read_media), seats, settled)


def _asked(
    wish: Wish | None,
    seats: Sequence[Seat],
    settled: Settled,
    way: Way,
    where: tuple[Place, Sequence[str]],
) -> Any:
    """What asking the judge would come to; None without one."""
    if wish is None:
        return None
    folder = settings.home(where[0][1])
    who = find_teacher(wish, folder)
    desk = open_desk(wish, who, folder, ["vote", *where[1], who.url], where[0][2])
    return desk.estimate(_questions(who.model, seats, settled, way).values()), who


def _broken(
    wish: Wish,
    seats: Sequence[Seat],
    settled: Settled,
    way: Way,
    where: tuple[Place, Sequence[str]],
    partial: bool,
) -> tuple[Settled, dict[str, Any]]:
    """The votes after a judge was asked about ties, and what asking came to."""
    from stillhouse.generation.judge import told
    from stillhouse.generation.rounds import Rounds
    from stillhouse.generation.vote import decide

    folder = settings.home(where[0][1])
    who = find_teacher(wish, folder)
    rounds = Rounds(open_desk(wish, who, folder, ["vote", *where[1], who.url], where[0][2]), partial=partial)
    questions = _questions(who.model, seats, settled, way)
    replies = rounds(list(questions.values()))
    verdicts = decide(
        settled.ballots.labels,
        settled.verdicts.shares,
        lambda at, labels: told(labels, replies.get(questions[at].key)) if at in questions else None,
    )
    return replace(settled, verdicts=verdicts), {"judging": tell_tally(rounds.tally, who.model)}


def _tell_plan(seats: Sequence[Seat], settled: Settled, told: Mapping[str, Any], asked: Any, json: bool) -> None:
    tied = int((settled.verdicts.tied > 1).sum())
    if json:
        estimate: dict[str, Any] = {} if asked is None else asked[0].to_json()
        emit({"items": len(seats), "tied": tied, **told, **estimate, "dry_run": True})
        return
    progress().print(f"{len(seats):,} items, {tied:,} of them tied.", markup=False, highlight=False)
    _tell(told)
    if asked is not None:
        tell_estimate(*asked)


def _tell(told: Mapping[str, Any]) -> None:
    """Reliabilities and routes, for people."""
    console = progress()
    if "doubt" in told:
        console.print(f"  Careful: {told['doubt']}", markup=False, highlight=False)
    for name, sure in told["reliability"].items():
        console.print(f"  {name} is right about {100 * sure:.1f} %", markup=False, highlight=False)
    for one in told.get("strengths", ()):
        words = f"  {one['kind'] or '(none)'}: {one['annotator']} {100 * one['accuracy']:.1f} % of {one['asked']:,}"
        console.print(words, markup=False, highlight=False)
    for kind, name in told.get("routes", {}).items():
        console.print(f"  {kind or '(none)'} -> {name}", markup=False, highlight=False)
