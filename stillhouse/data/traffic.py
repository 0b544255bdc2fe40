"""What a run reads: recorded calls as texts and labels, in two passes over the files and little memory."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.bundle.answer import AnswerForm, read_object
from stillhouse.bundle.prompt import PromptForm
from stillhouse.chat import Message
from stillhouse.data.bad_rows import BadRows
from stillhouse.data.formats import Row, parse_row, read_lines
from stillhouse.data.soft import soft_labels
from stillhouse.data.understand import learn_answer_form, learn_prompt_form
from stillhouse.errors import BadRow, TrafficError, UsageError

__all__ = ["Traffic", "TrafficCounts", "load_traffic"]

Forms = tuple[PromptForm, AnswerForm]

SAMPLED_PROMPTS = 20_000
REMEMBERED = 50_000
"""Different answers, and different leading messages, kept so that equal ones are read and stored once."""
UNKNOWN_TEACHER = "recorded teacher"
NO_ANSWER, OTHER_ANSWER = -1, -2


@dataclass(frozen=True)
class TrafficCounts:
    """How many rows there were, and what became of them."""

    read: int
    used: int
    """Rows in the Traffic, answered or not."""
    unanswered: int
    """Used rows without an answer."""
    unreadable: int
    """Bad rows: broken, or of another shape than traffic."""
    prompt_misfits: int
    """Bad rows: the prompt lacks what the others share."""
    answer_misfits: int
    """Bad rows: the answer is none the student could give."""
    with_truth: int
    with_soft_labels: int
    seen_once: tuple[int, ...]
    """Labels of each field that occur on one row only."""
    kept_misfits: int = 0
    """Used rows whose answer is none the student could give: it is bound to disagree with them."""

    @property
    def bad(self) -> int:
        return self.unreadable + self.prompt_misfits + self.answer_misfits


@dataclass(frozen=True)
class Traffic:
    """Recorded calls, ready to learn from; row i of every list and array is one call."""

    prompt: PromptForm
    answer: AnswerForm
    texts: list[str]
    labels: NDArray[np.int32]
    """[rows, fields]; -1 where the call has no answer, -2 where it was kept though its answer does not fit."""
    truths: NDArray[np.int32]
    """[rows, fields]; -1 where the right answer is not known, or is none the student could give and the teacher gave
    another; -2 where the teacher gave it."""
    conversations: list[str | None]
    soft: dict[int, list[NDArray[np.float32]]]
    """Row → the teacher's distribution over the labels of each field, where it was recorded."""
    teacher: str
    """The commonest model name."""
    counts: TrafficCounts
    source_hash: str
    """SHA-256 of the lines of all files in order."""

    @property
    def answered(self) -> NDArray[np.bool_]:
        """[rows] Whether the teacher answered the call."""
        return (self.labels != NO_ANSWER).all(axis=1)


def load_traffic(
    paths: Sequence[Path],
    *,
    skip_bad_rows: bool = False,
    keep_aside: Path | None = None,
    keep_misfits: bool = False,
    forms: Forms | None = None,
    labels: Sequence[str] = (),
    fields: Sequence[str] = (),
) -> Traffic:
    """Read files of recorded calls; the forms of prompts and answers are learnt from them unless given.

    Give `forms` for a holdout or new traffic that is to be read as a bundle reads it, and `keep_misfits`
    where a student is to be judged by it: an answer that it cannot give counts against it, and is no bad
    row. `labels` and `fields` overrule what is found in the answers, as in `learn_answer_form`. Bad rows
    raise one TrafficError that names the first ten; with `skip_bad_rows` they are counted and their lines,
    and those of kept misfits, written to `keep_aside`, one JSON object {"file", "line", "reason", "row"} each.
    Raises NotATask when the answers are neither labels nor enumerated fields.
    """
    if not paths:
        raise UsageError("Name at least one file of traffic.")
    if forms is None:
        forms = _learn_forms(paths, BadRows(skip_bad_rows), labels, fields)
    collected = _Collected(*forms, keep_misfits)
    bad = BadRows(skip_bad_rows, keep_aside if skip_bad_rows else None)
    source_hash = _collect(paths, collected, bad)
    return collected.finish(source_hash, bad.count)


def _learn_forms(paths: Sequence[Path], bad: BadRows, labels: Sequence[str], fields: Sequence[str]) -> Forms:
    """Pass one: answers are counted and a sample of the prompts is kept while rows stream by."""
    sample = _PromptSample()

    def answers() -> Iterator[tuple[str, str]]:
        answered = 0
        for path, number, line in _lines(paths):
            row = parse_row(line, str(path), number)
            if isinstance(row, BadRow):
                bad.add(row, line)
                continue
            sample.add(row.messages)
            if row.answer is not None:
                answered += 1
                yield row.answer, f"{row.file}, line {row.line}"
        if not answered:
            raise _nothing_left(bad)
        if bad.count >= answered:  # with fewer, answers that are no labels are the greater trouble
            bad.refuse()

    answer = learn_answer_form(answers(), labels=labels, fields=fields)
    bad.refuse()
    return learn_prompt_form(sample.prompts()), answer


def _collect(paths: Sequence[Path], collected: _Collected, bad: BadRows) -> str:
    """Pass two: only texts and labels stay; returns the hash of what was read."""
    digest = hashlib.sha256()
    for path, number, line in _lines(paths):
        digest.update(line.rstrip(b"\r\n") + b"\n")
        row = parse_row(line, str(path), number)
        misfit = _Misfit(row.reason) if isinstance(row, BadRow) else collected.add(row)
        if misfit is not None:
            bad.add(BadRow(str(path), number, misfit.reason), line, counts=not misfit.kept)
    bad.refuse()
    if not collected.answered:
        raise _nothing_left(bad)
    collected.refuse_if_none_fits()
    return digest.hexdigest()


def _lines(paths: Sequence[Path]) -> Iterator[tuple[Path, int, bytes]]:
    for path in paths:
        for number, line in read_lines(path):
            yield path, number, line


@final
class _PromptSample:
    """Up to 20,000 different prompts, the same whatever the order of the rows: those of smallest hash."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Message, ...]] = {}
        self._limit = 2**64
        self._stored: dict[Message, Message] = {}

    def add(self, messages: tuple[Message, ...]) -> None:
        last = messages[-1].content
        size = sum(len(message.content) for message in messages)
        hashed = hashlib.blake2b(f"{size}\n{last}".encode("utf-8", "surrogatepass"), digest_size=8)
        key = int.from_bytes(hashed.digest(), "big")
        if key >= self._limit or key in self._kept:
            return
        self._kept[key] = (*map(self._once, messages[:-1]), messages[-1])
        if len(self._kept) >= 2 * SAMPLED_PROMPTS:
            self._shrink()

    def prompts(self) -> list[tuple[Message, ...]]:
        self._shrink()
        return list(self._kept.values())

    def _shrink(self) -> None:
        smallest = sorted(self._kept)[: SAMPLED_PROMPTS + 1]
        if len(smallest) > SAMPLED_PROMPTS:
            self._limit = smallest.pop()
        self._kept = {key: self._kept[key] for key in smallest}

    def _once(self, message: Message) -> Message:
        """The same message, stored once however many rows carry it."""
        if len(self._stored) < REMEMBERED:
            return self._stored.setdefault(message, message)
        return self._stored.get(message, message)


@dataclass(frozen=True, slots=True)
class _Misfit:
    """Why a row does not fit, and whether it was kept all the same."""

    reason: str
    kept: bool = False


def _nothing_left(bad: BadRows) -> TrafficError:
    """The error to raise when no row with an answer is left."""
    nothing = "No row with an answer is left; Stillhouse learns from calls the teacher has answered."
    return TrafficError(f"{nothing} {bad.listed()}" if bad.count else nothing)


@final
class _Collected:
    """The rows that fit, as they come in."""

    def __init__(self, prompt: PromptForm, answer: AnswerForm, keep_misfits: bool) -> None:
        self._prompt, self._answer, self._keep_misfits = prompt, answer, keep_misfits
        self._first_misfit = ""
        self._none, self._other = ((mark,) * len(answer.fields) for mark in (NO_ANSWER, OTHER_ANSWER))
        self.answered = 0
        self._texts: list[str] = []
        self._labels, self._truths = array("i"), array("i")
        self._conversations: list[str | None] = []
        self._names: dict[str, str] = {}
        self._soft: dict[int, list[NDArray[np.float32]]] = {}
        self._teachers: Counter[str] = Counter()
        self._misfits = {"prompt": 0, "answer": 0}
        self._read_answer = _remember(answer.read)

    def add(self, row: Row) -> _Misfit | None:
        """Take a row in; the reason when it does not fit."""
        text = self._prompt.read(row.messages)
        if text is None:
            self._misfits["prompt"] += 1
            return _Misfit(self._prompt.misfit(row.messages) or "its prompt does not fit")
        labels = self._none if row.answer is None else self._read_answer(row.answer)
        misfit = None
        if labels is None:
            misfit = _Misfit(self._answer.explain(row.answer or ""), self._keep_misfits)
            self._misfits["answer"] += 1
            if not misfit.kept:
                return misfit
            self._first_misfit = self._first_misfit or f"{row.file}, line {row.line}: {misfit.reason}"
        elif row.answer is not None and row.soft:
            soft = soft_labels(self._answer, row.answer, row.soft)
            if soft is not None:
                self._soft[len(self._texts)] = soft
        self._texts.append(text)
        self._labels.extend(labels or self._other)
        self._truths.extend(self._read_truth(row, known=labels is not None))
        name = row.conversation
        self._conversations.append(None if name is None else self._names.setdefault(name, name))
        if row.answer is not None:
            self.answered += 1
            self._teachers.update([row.teacher] if row.teacher else [])
        return misfit

    def _read_truth(self, row: Row, known: bool) -> tuple[int, ...]:
        """The right answer. One that is no label is passed over, unless the teacher gave it: then it alone is right."""
        truth = None if row.truth is None else self._read_answer(row.truth)
        if truth is None and not known and row.truth is not None and _same(row.truth, row.answer or ""):
            return self._other
        return truth or self._none

    def refuse_if_none_fits(self) -> None:
        """Raise when rows were kept although their answers do not fit, and no other is there."""
        misfits = self._misfits["answer"]
        if self._keep_misfits and 0 < misfits == self.answered:
            raise TrafficError(
                f"None of the {misfits:,} answers is one the student could give; are they this teacher's?"
                f"\n  {self._first_misfit}"
            )

    def finish(self, source_hash: str, bad: int) -> Traffic:
        """The Traffic of the rows taken in."""
        shape = (len(self._texts), len(self._answer.fields))
        labels = np.array(self._labels, np.int32).reshape(shape)
        truths = np.array(self._truths, np.int32).reshape(shape)
        kept = self._misfits["answer"] if self._keep_misfits else 0
        misfits = sum(self._misfits.values()) - kept
        counts = TrafficCounts(
            read=len(labels) + bad,
            used=len(labels),
            unanswered=len(labels) - self.answered,
            unreadable=bad - misfits,
            prompt_misfits=self._misfits["prompt"],
            answer_misfits=self._misfits["answer"] - kept,
            with_truth=int((truths[:, 0] != NO_ANSWER).sum()),
            with_soft_labels=len(self._soft),
            seen_once=tuple(int((np.bincount(column[column >= 0]) == 1).sum()) for column in labels.T),
            kept_misfits=kept,
        )
        teacher = min(self._teachers, key=lambda name: (-self._teachers[name], name), default=UNKNOWN_TEACHER)
        return Traffic(
            self._prompt,
            self._answer,
            self._texts,
            labels,
            truths,
            self._conversations,
            self._soft,
            teacher,
            counts,
            source_hash,
        )


def _same(one: str, other: str) -> bool:
    """Whether two answers say the same: the same text, or JSON objects of one value."""
    read = read_object(one)
    return one.strip() == other.strip() or (read is not None and read == read_object(other))


def _remember(read: Callable[[str], tuple[int, ...] | None]) -> Callable[[str], tuple[int, ...] | None]:
    """The same function, reading equal answers once."""
    known: dict[str, tuple[int, ...] | None] = {}

    def remembered(text: str) -> tuple[int, ...] | None:
        if text in known:
            return known[text]
        labels = read(text)
        if len(known) < REMEMBERED:
            known[text] = labels
        return labels

    return remembered
