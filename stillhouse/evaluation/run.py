"""An eval's run, row by row: sample, grade, count as it goes; without database and server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, final

from stillhouse.chat import Chat
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.graders.grader import Asked, Grade, Grader
from stillhouse.evaluation.templates import fill_messages, refer_to_messages
from stillhouse.wire.data_sources import Asking, Row
from stillhouse.wire.evals import Counts, Criterion, Progress, Result, RunStatus
from stillhouse.wire.graders import LabelModel, Ran, ScoreModel, write_grader
from stillhouse.wire.samples import Sample, Sampling, Tokens, read_answer, write_call, write_sample

__all__ = ["Graded", "Tally", "grade_row", "grade_rows", "ran", "results", "sample_shown", "with_defaults"]

DEFAULT_TEMPERATURE, DEFAULT_TOP_P, DEFAULT_SEED = 1.0, 1.0, 42

Status = Literal["pass", "fail", "error"]


@dataclass(frozen=True, slots=True)
class Graded:
    """A row that is done: what was asked and answered, and each criterion's grade by its id."""

    row: Row
    grades: Mapping[str, Grade]
    messages: Sequence[Mapping[str, Any]] = ()
    sampling: Sampling = field(default_factory=Sampling)
    sampled: bool = False
    """Whether the sample was made in this run."""
    error: str | None = None
    """Why there is no sample, where one was asked for."""

    @property
    def status(self) -> Status:
        """`error` where no sample came or a grader could not tell; else `pass` when every criterion passed."""
        if self.error is not None or any(grade.errored for grade in self.grades.values()):
            return "error"
        return "pass" if all(grade.passed for grade in self.grades.values()) else "fail"


def with_defaults(sampling: Sampling) -> Sampling:
    """How runs sample unless told otherwise: temperature 1, top_p 1, seed 42."""
    return replace(
        sampling,
        temperature=DEFAULT_TEMPERATURE if sampling.temperature is None else sampling.temperature,
        top_p=DEFAULT_TOP_P if sampling.top_p is None else sampling.top_p,
        seed=DEFAULT_SEED if sampling.seed is None else sampling.seed,
    )


async def grade_row(row: Row, asking: Asking | None, graders: Mapping[str, Grader], chat: Chat) -> Graded:
    """Sample a row if the run asks a model, then ask every grader, by criterion id, at the same time.

    What goes wrong with a row is told in it, and never raised.
    """
    graded = Graded(row, {})
    if asking is not None:
        graded = await _sample(row, asking, chat)
        if graded.error is not None:
            return graded
    sample = graded.row.sample
    known = None if sample is None else sample.variables
    grades = await asyncio.gather(*[grader(row.item, known) for grader in graders.values()])
    return replace(graded, grades=dict(zip(graders, grades, strict=True)))


async def grade_rows(
    rows: AsyncIterator[tuple[int, Row]], asking: Asking | None, graders: Mapping[str, Grader], chat: Chat, at_once: int
) -> AsyncGenerator[tuple[int, Graded]]:
    """Numbered rows, at most `at_once` of them in work, each as soon as it is done; rows are read as they are needed.

    Closing the generator gives up the rows in work.
    """
    working: dict[asyncio.Task[Graded], int] = {}
    try:
        while True:
            while len(working) < at_once and (taken := await anext(rows, None)):
                number, row = taken
                working[asyncio.create_task(grade_row(row, asking, graders, chat))] = number
            if not working:
                return
            finished, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                yield working.pop(task), task.result()
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


def results(graded: Graded, criteria: Sequence[Criterion]) -> tuple[Result, ...]:
    """What each criterion said, as output items show it; nothing where there was no sample to grade."""
    return tuple([_result(one, graded.grades[one.id]) for one in criteria if one.id in graded.grades])


def sample_shown(graded: Graded) -> dict[str, Any]:
    """A row's sample as output items show it, with the error of the row."""
    error = ("sampling_error", graded.error) if graded.error is not None else None
    faults = [grade.reason or "" for grade in graded.grades.values() if grade.errored]
    if error is None and faults:
        error = ("grader_error", "; ".join(faults))
    return write_sample(graded.row.sample, graded.messages, graded.sampling, error)


def ran(grade: Grade, seconds: float) -> Ran:
    """What the graders API tells of one grade: a reward of 0 where there is none, and the faults beside it."""
    tokens: dict[str, Tokens] = {}
    for asked in grade.asked:
        _, spent = _tokens_of(asked)
        tokens[asked.model] = tokens.get(asked.model, Tokens()) + spent
    scores = {key: part.score for key, part in grade.parts.items() if part.score is not None}
    faults = {fault.kind: fault.message for fault in reversed(grade.faults)}
    return Ran(grade.score or 0.0, scores, tokens, faults, seconds)


@final
@dataclass(slots=True)
class Tally:
    """Counts that grow with every row that is done; a row that is added again, after a restart, counts once.

    To go on after a restart make it of what was kept: its fields are all there is.
    """

    counts: Counts = field(default_factory=Counts)
    criteria: dict[str, Counts] = field(default_factory=dict[str, Counts])
    usage: dict[str, tuple[int, Tokens]] = field(default_factory=dict[str, tuple[int, Tokens]])
    done: set[int] = field(default_factory=set[int])
    """The numbers of the rows that are counted."""

    def add(self, row: int, graded: Graded) -> bool:
        """Count a row by its number; whether it was new."""
        if row in self.done:
            return False
        self.done.add(row)
        self.counts = _count(self.counts, graded.status)
        for criterion, grade in graded.grades.items():
            status: Status = "error" if grade.errored else "pass" if grade.passed else "fail"
            self.criteria[criterion] = _count(self.criteria.get(criterion, Counts()), status)
            for asked in grade.asked:
                if asked.answer is not None:
                    self._spend(*_tokens_of(asked))
        if graded.sampled and graded.row.sample is not None:
            self._spend(graded.row.sample.model or "", graded.row.sample.tokens)
        return True

    def progress(self, status: RunStatus, error: tuple[str, str] | None = None) -> Progress:
        """The counts as they stand, for the JSON of a run."""
        return Progress(status, self.counts, dict(self.criteria), dict(self.usage), error)

    def _spend(self, model: str, tokens: Tokens) -> None:
        calls, spent = self.usage.get(model, (0, Tokens()))
        self.usage[model] = calls + 1, spent + tokens


async def _sample(row: Row, asking: Asking, chat: Chat) -> Graded:
    """A row with the model's answer, or with why there is none."""
    sampling = with_defaults(asking.sampling)
    messages: Sequence[Mapping[str, Any]] = ()
    try:
        if isinstance(asking.prompt, str):
            messages = refer_to_messages(asking.prompt, {"item": row.item})
        else:
            messages = fill_messages(asking.prompt, {"item": row.item})
        sample = read_answer(await chat(write_call(asking.model, messages, sampling)))
    except StillhouseError as error:
        return Graded(replace(row, sample=None), {}, messages, sampling, True, str(error))
    return Graded(replace(row, sample=_named(sample, asking.model)), {}, messages, sampling, True)


def _named(sample: Sample, model: str) -> Sample:
    return sample if sample.model else replace(sample, model=model)


def _result(criterion: Criterion, grade: Grade) -> Result:
    kind = write_grader(criterion.grader)["type"]
    error = (grade.faults[0].kind, grade.faults[0].message) if grade.faults else None
    shown = _judge_shown(criterion, grade.asked[0]) if grade.asked else None
    return Result(criterion.id, kind, grade.score, bool(grade.passed), shown, error)


def _judge_shown(criterion: Criterion, asked: Asked) -> dict[str, Any]:
    grader = criterion.grader
    sampling = grader.sampling if isinstance(grader, ScoreModel) else Sampling()
    if not isinstance(grader, ScoreModel | LabelModel):
        raise TypeError("Only model graders ask a judge.")
    return write_sample(asked.answer, asked.messages, sampling, None)


def _tokens_of(asked: Asked) -> tuple[str, Tokens]:
    """The model that judged, by the name it gave itself, and what that took."""
    if asked.answer is None:
        return asked.model, Tokens()
    return asked.answer.model or asked.model, asked.answer.tokens


def _count(counts: Counts, status: Status) -> Counts:
    match status:
        case "pass":
            return replace(counts, passed=counts.passed + 1)
        case "fail":
            return replace(counts, failed=counts.failed + 1)
        case "error":
            return replace(counts, errored=counts.errored + 1)
