"""What the verbs of `stillhouse generate` that ask in rounds have in common: teachers, an estimate, a new version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, final

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, progress
from stillhouse.cli.data_home import Place, tell_version
from stillhouse.cli.display import Display
from stillhouse.cli.generate_data import add_version
from stillhouse.cli.generate_desk import Who, Wish, find_teacher, open_desk, tell_estimate, tell_tally
from stillhouse.data.versions import Step
from stillhouse.generation.rounds import Rounds
from stillhouse.training.events import Progress, StageStarted

if TYPE_CHECKING:
    from stillhouse.cli.generate_data import Source
    from stillhouse.data.items import Item
    from stillhouse.generation.desk import Desk
    from stillhouse.generation.inquiry import Ask
    from stillhouse.generation.questions import Question
    from stillhouse.generation.select import Check, Sifted

__all__ = [
    "JudgeModelOption",
    "JudgeOption",
    "SeedOption",
    "Task",
    "TemperatureOption",
    "askable",
    "described",
    "judge_wish",
    "judging_request",
    "keep_sifted",
    "request_of",
    "summary",
    "wordless",
]

TemperatureOption = Annotated[
    float | None, typer.Option(min=0, help="How freely is written.", show_default="what the teacher does by itself")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Another seed, other draws.")]
JUDGED = 512
"""Tokens that a judge may write at least: a reason of up to 400 letters in any language, and its verdict."""

JudgeOption = Annotated[
    str | None, typer.Option("--judge", help="Who judges, named as a teacher is.", show_default="the teacher itself")
]
JudgeModelOption = Annotated[str | None, typer.Option("--judge-model", help="The model that judges there.")]


@final
@dataclass(frozen=True)
class Task:
    """One piece of work: where it is kept, what it is, and who is asked for it."""

    place: Place
    verb: str
    parents: tuple[str, ...]
    settings: Mapping[str, Any]
    """How it is done, but for who is asked."""
    job: Sequence[str]
    """What the budget is for, beside the settings: hashes of what it is made from."""
    wish: Wish
    judge: Wish | None = None
    partial: bool = False
    left: tuple[tuple[Item, str], ...] = ()
    """What nobody is asked about, with the reasons."""

    @cached_property
    def who(self) -> Who:
        """The teacher, found once: to know the folder of a model all of it is read."""
        return find_teacher(self.wish, settings.home(self.place[1]))

    @property
    def called(self) -> str | None:
        """The teacher's name by which terms are found; None for one given by its address: they go by its model."""
        name = self.who.name
        return None if "://" in name else name

    @cached_property
    def judging(self) -> Who:
        """Who judges: the teacher itself where nobody else is named."""
        return self.who if self.judge is None else find_teacher(self.judge, settings.home(self.place[1]))

    def told(self) -> dict[str, Any]:
        """How it is done, for the lineage."""
        who, judge = self.who, self.judging
        found: dict[str, Any] = {"teacher": who.name, "url": who.url, "model": who.model}
        if self.judge is not None:
            found |= {"judge": judge.name, "judge_model": judge.model}
        return {**found, **self.settings}

    def estimate(self, questions: Sequence[Question], more: str | None, json: bool) -> None:
        """What asking some questions would come to; `more` says what it does not count."""
        who = self.who
        found = self._desk(self.wish, who).estimate(questions)
        if json:
            told = {
                "teacher": who.name,
                "url": who.url,
                "model": who.model,
                **found.to_json(),
                "not_counted": more,
                "dry_run": True,
            }
            emit(told)
            return
        tell_estimate(found, who)
        if more:
            progress().print(f"Not counted: {more}", markup=False, highlight=False, soft_wrap=True)

    def do(self, make: Callable[[Ask, Ask], Sifted], out: str, json: bool) -> None:
        """Make it, with the ways to ask the teacher and the judge; keep it as a version, and tell of it."""
        who = self.who
        with Display(progress()) as display:
            teacher = Rounds(self._desk(self.wish, who), _shown(display, who.model), self.partial)
            judge = teacher
            if self.judge is not None:
                other = self.judging
                judge = Rounds(self._desk(self.judge, other), _shown(display, other.model), self.partial)
            made = make(teacher, judge)
            found = type(made)(made.kept, (*self.left, *made.dropped))
        asked = {"asking": tell_tally(teacher.tally, who.model)}
        if judge is not teacher:
            asked["judging"] = tell_tally(judge.tally, self.judging.model)
        step = Step(self.verb, self.parents, self.told(), found.counts)
        keep_sifted(self.place, out, found, step, asked, json)

    def _desk(self, wish: Wish, who: Who) -> Desk:
        job = [self.verb, *self.job, who.url, dict(self.settings)]
        return open_desk(wish, who, settings.home(self.place[1]), job, self.place[2])


def askable(source: Source, *checks: Check) -> Sifted:
    """The items of a version but for those that a teacher cannot be shown, and those that some checks leave out."""
    from stillhouse.generation.pictures import unseen
    from stillhouse.generation.select import sift

    return sift(source.items(), [lambda item: unseen(item, source.read_media), *checks])


def wordless(item: Item) -> str | None:
    """A check that leaves out what asks nothing: a picture by itself."""
    return None if item.messages else "nothing asked: it has no words"


def keep_sifted(place: Place, out: str, found: Sifted, step: Step, asked: Mapping[str, Any], json: bool) -> None:
    """A new version of what was made, with what was left out beside it; tell of both and of the grades."""
    version = add_version(place, out, found.kept, step, found.dropped)
    graded = summary(found.kept)
    if json:
        emit({**version.to_json(), **graded, **asked})
        return
    tell_version(version)
    for reason, count in sorted(found.counts.items()):
        progress().print(f"  {count:,} {reason}", markup=False, highlight=False)
    if graded["graded"]:
        words = f"  {graded['graded']:,} graded, {graded['mean_grade']:.2f} on average"
        progress().print(words, markup=False, highlight=False)


def summary(items: Sequence[Item]) -> dict[str, Any]:
    """The grades of what came out."""
    grades = [item.facts.grade for item in items if item.facts.grade is not None]
    return {"graded": len(grades), "mean_grade": sum(grades) / len(grades) if grades else None}


def judge_wish(wish: Wish, judge: str | None, model: str | None) -> Wish | None:
    """How a judge is asked: as the teacher is, with the same limits and a budget of the same size for itself.

    None where the teacher judges itself.
    """
    if judge is None and model is None:
        return None
    same = judge is None or judge == wish.teacher
    return replace(wish, teacher=judge or wish.teacher, model=model, tokenizer=wish.tokenizer if same else None)


def request_of(most_tokens: int, temperature: float | None) -> dict[str, Any]:
    """What the options say of every request."""
    return {"max_completion_tokens": most_tokens, **({} if temperature is None else {"temperature": temperature})}


def judging_request(most_tokens: int) -> dict[str, Any]:
    """The same of a judge, who has room for its reason however short the answers are that it judges."""
    return request_of(max(most_tokens, JUDGED), None)


def described(name: str, file: Path | None) -> dict[str, Any]:
    """A prompt for the lineage: its words."""
    from stillhouse.generation.forms import form

    return form(name, file).to_json()


def _shown(display: Display, model: str) -> Callable[[int, int], None]:
    """Tells a display of rounds, each a stage of its own."""

    def heard(done: int, total: int) -> None:
        if done == 1:
            display(StageStarted("ask", f"{model} answers"))
        display(Progress("ask", done, total))

    return heard
