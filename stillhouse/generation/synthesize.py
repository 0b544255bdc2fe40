"""Synthesis: new prompts by a teacher, from seeds, personas, documents or the descriptions of labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from stillhouse.data.items import Item, Kind, Method, Source
from stillhouse.errors import UsageError
from stillhouse.generation.inquiry import Ask, Inquiry, Unusable, lines_of, object_schema
from stillhouse.generation.questions import Question, Reply
from stillhouse.generation.select import Check, Sifted, sift

__all__ = ["Draw", "Plan", "Wanted", "lacking", "opening", "read_drawn", "sound", "synthesize"]

PROMPTS = object_schema("prompts", {"prompts": {"type": "array", "items": {"type": "string"}}})
FROM_SEEDS, FROM_MADE = 6, 2
"""Of the eight examples in a prompt of Self-Instruct six were written by people and two by the model."""
SHORTEST, LONGEST = 3, 150
"""Words of a prompt that Self-Instruct keeps."""
UNSEEN = re.compile(
    r"\b(images?|pictures?|photos?|graphs?|charts?|draw|plot|videos?|audio|music|attached|attachment|file|link|url)\b",
    re.I,
)
"""Words of prompts that need what a language model cannot see or make."""
WORD = re.compile(r"\w+")


@final
@dataclass(frozen=True)
class Draw:
    """One question for new prompts: the blanks of its template, and what is known of what comes back."""

    values: Mapping[str, str]
    parents: tuple[str, ...] = ()
    """The ids of the seeds it was made from."""
    label: str | None = None
    tags: Mapping[str, str] | None = None


@final
@dataclass(frozen=True)
class Plan:
    """What new prompts are made from."""

    seeds: tuple[Item, ...]
    personas: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    labels: Mapping[str, str] | None = None
    """What each label means; then every prompt is made for a label."""
    per_question: int = 5
    """So many prompts are asked for together."""
    examples: int = FROM_SEEDS + FROM_MADE

    def __post_init__(self) -> None:
        if self.per_question < 1 or self.examples < 1:
            raise UsageError("A question asks for at least one prompt, and shows at least one example.")
        if not (any(item.text.strip() for item in self.seeds) or self.personas or self.documents or self.labels):
            raise UsageError(
                "There is nothing to make prompts from: give seeds in words, personas, documents or labels."
            )


@final
@dataclass(frozen=True)
class Wanted:
    """How much is made, and how long it is tried."""

    total: int = 100
    """Prompts to keep, where no label has a number of its own."""
    by_label: Mapping[str, int] | None = None
    """Prompts to keep of each label."""
    rounds: int = 10
    """Asked at most so often; what was made in one round is shown as examples in the next."""
    seed: int = 0
    waste: float = 0.3
    """So much of what comes back is expected to be left out, and asked for on top."""

    def left(self, kept: Sequence[Item]) -> dict[str | None, int]:
        """How many are wanting still, by label (None where there are no labels)."""
        if self.by_label is None:
            return {None: max(0, self.total - len(kept))}
        have: dict[str | None, int] = {}
        for item in kept:
            have[item.label] = have.get(item.label, 0) + 1
        return {label: max(0, wanted - have.get(label, 0)) for label, wanted in self.by_label.items()}


def lacking(counts: Mapping[str, int], target: int | None, budget: int | None = None) -> dict[str, int]:
    """How many rows each label lacks of `target` (None: of the most frequent label), within a budget of rows.

    A budget that does not suffice goes to the rarest labels first, so that the smallest counts are as high as it can
    make them.
    """
    goal = max(counts.values(), default=0) if target is None else target
    wanted = {label: max(0, goal - count) for label, count in counts.items()}
    if budget is None or sum(wanted.values()) <= budget:
        return wanted
    given = dict.fromkeys(counts, 0)
    for _ in range(max(0, budget)):
        rarest = min(counts, key=lambda label: (counts[label] + given[label], label))
        given[rarest] += 1
    return given


def sound(longest: int = LONGEST, shortest: int = SHORTEST, unseen: bool = True) -> Check:
    """A check of prompts by Self-Instruct's rules of thumb: neither too short nor too long, beginning with no mark, and
    in need of nothing that is not there (Wang et al. 2022, arxiv.org/abs/2212.10560, section 2.2)."""

    def check(item: Item) -> str | None:
        text = item.text.strip()
        words = len(WORD.findall(text))
        if words < shortest:
            return f"too short: {words} words"
        if words > longest:
            return f"too long: {words} words"
        if not (text[0].isalnum() or text[0] in "\"'¿¡(["):
            return f"begins with a mark: {text[0]!r}"
        found = UNSEEN.search(text) if unseen else None
        return f"needs what is not there: {found[0]!r}" if found else None

    return check


def synthesize(inquiry: Inquiry, plan: Plan, wanted: Wanted, ask: Ask, checks: Sequence[Check]) -> Sifted:
    """New prompts until there are as many as wanted, or the rounds are over; what is left out is kept with its reason.

    Every round draws its examples anew, from the seeds and from what was kept so far, by numbers that only the seed
    decides: the same command asks the same questions, so that one which was killed goes on where it was.
    """
    kept: list[Item] = []
    dropped: list[tuple[Item, str]] = []
    for round_ in range(wanted.rounds):
        left = wanted.left(kept)
        draws = dict(_keyed(plan, wanted, left, kept, round_))
        if not draws:
            break
        replies = ask([_question(inquiry, plan, key, draw) for key, draw in draws.items()])
        for key, draw in draws.items():
            made, unusable = read_drawn(inquiry.teacher, key, draw, replies.get(key))
            room = wanted.left(kept)[draw.label]
            found = sift(made, checks)
            kept += found.kept[:room]
            dropped += [*found.dropped, *unusable, *((item, "more than wanted") for item in found.kept[room:])]
        if not replies:
            break
    return Sifted(tuple(kept), tuple(dropped))


def opening(inquiry: Inquiry, plan: Plan, wanted: Wanted) -> list[Question]:
    """The questions of the first round: enough for all, if no more is left out than expected."""
    draws = _keyed(plan, wanted, wanted.left(()), (), 0)
    return [_question(inquiry, plan, key, draw) for key, draw in draws]


def read_drawn(teacher: str, key: str, draw: Draw, reply: Reply | None) -> tuple[list[Item], list[tuple[Item, str]]]:
    """The prompts in a reply, and an empty item with the reason where it holds none."""
    source = Source(Method.SYNTHETIC, key, 0, teacher, draw.parents)
    kind = Kind.CHAT if draw.label is None else Kind.TEXT
    blank = Item(kind, label=draw.label, source=source)
    blank = replace(blank, facts=replace(blank.facts, metadata=dict(draw.tags or {})))
    try:
        texts = lines_of(reply, "prompts")
    except Unusable as error:
        return [], [(blank, str(error))]
    return [
        replace(blank, messages=({"role": "user", "content": text},), source=replace(source, row=row))
        for row, text in enumerate(texts, 1)
    ], []


def _question(inquiry: Inquiry, plan: Plan, key: str, draw: Draw) -> Question:
    return inquiry.question(key, {**draw.values, "count": str(plan.per_question)}, PROMPTS)


def _keyed(
    plan: Plan, wanted: Wanted, left: Mapping[str | None, int], kept: Sequence[Item], round_: int
) -> Iterator[tuple[str, Draw]]:
    """The questions of a round by key, as many as what is still wanting needs."""
    for label, rows in left.items():
        questions = -(-round(rows / (1.0 - wanted.waste)) // plan.per_question) if rows else 0
        for number in range(questions):
            name = "prompts" if label is None else label
            random = np.random.default_rng([wanted.seed, round_, number, *name.encode()])
            yield f"{name}/{round_}/{number}", _draw(plan, label, kept, random, number + round_ * questions)


def _draw(plan: Plan, label: str | None, kept: Sequence[Item], random: np.random.Generator, turn: int) -> Draw:
    fitting = [item for item in plan.seeds if label is None or item.label == label or item.truth == label]
    made = [item for item in kept if item.label == label]
    shown = _some(fitting, plan.examples - min(FROM_MADE, len(made)), random)
    shown += _some(made, plan.examples - len(shown), random)
    order: list[int] = random.permutation(len(shown)).tolist()
    examples = "\n".join(f"{at}. {shown[index].text}" for at, index in enumerate(order, 1))
    persona = plan.personas[turn % len(plan.personas)] if plan.personas else ""
    document = plan.documents[turn % len(plan.documents)] if plan.documents else ""
    values = {
        "examples": examples,
        "persona": persona,
        "document": document,
        "label": label or "",
        "meaning": (plan.labels or {}).get(label or "", ""),
    }
    tags = {name: value for name, value in (("persona", persona[:200]),) if value}
    return Draw(values, tuple(item.id for item in shown), label, tags)


def _some(items: Sequence[Item], count: int, random: np.random.Generator) -> list[Item]:
    picked: list[int] = random.permutation(len(items))[: max(0, count)].tolist()
    return [items[at] for at in picked]
