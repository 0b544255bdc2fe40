"""Evolution: prompts made harder, broader or reworded by a teacher, round upon round, and which of them did evolve."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import final

import numpy as np

from stillhouse.data.items import Item, Method, Source
from stillhouse.errors import UsageError
from stillhouse.generation.inquiry import Ask, Inquiry, Unusable, credit, json_of, object_schema
from stillhouse.generation.novelty import ByWords
from stillhouse.generation.questions import Question, Reply
from stillhouse.generation.select import Sifted

__all__ = ["WAYS", "Course", "Way", "evolve", "opening", "stunted"]

EVOLVED = object_schema("evolved", {"prompt": {"type": "string"}})
LEAKED = re.compile(r"\b(given|rewritten|evolved|new|created) prompt\b|#.{0,20}prompt#", re.I)
"""Words of the instruction that slipped into what was asked for."""
WORD = re.compile(r"\w+")
COMMON = (
    "a an and are as at be but by do does for from how i in is it its me my of on or so that the their there these "
    "this to was what when where which who why will with you your"
)
SAME = 0.9
"""From this ROUGE-L on a prompt says what its parent says."""
LONGEST = 2_000
"""Characters; evolution adds words each round, and must end somewhere."""


class Way(StrEnum):
    """How a prompt evolves."""

    CONSTRAIN = "constrain"
    DEEPEN = "deepen"
    CONCRETE = "concrete"
    REASON = "reason"
    BROADEN = "broaden"
    REWORD = "reword"


WAYS: Mapping[Way, str] = MappingProxyType(
    {
        Way.CONSTRAIN: "Add one condition or requirement that the answer has to meet.",
        Way.DEEPEN: "Ask further into the same matter: one level of depth more than it has now.",
        Way.CONCRETE: "Replace what is general in it by particulars: names, numbers, a situation.",
        Way.REASON: "Change it so that several steps of reasoning are needed where one would do now.",
        Way.BROADEN: "Write a different, rarer request from the same field, about as long and as hard.",
        Way.REWORD: "Say exactly the same in other words, as another person would put it.",
    }
)
"""What the teacher is told. The first four make a prompt harder (in depth), the fifth is breadth."""
HARDER = (Way.CONSTRAIN, Way.DEEPEN, Way.CONCRETE, Way.REASON)


@final
@dataclass(frozen=True)
class Course:
    """How prompts evolve."""

    rounds: int = 1
    ways: tuple[Way, ...] = (*HARDER, Way.BROADEN)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1 or not self.ways:
            raise UsageError("Evolution needs at least one round and one way.")

    def way(self, item: Item, round_: int) -> Way:
        """The way an item goes in a round: drawn, and the same each time."""
        draw = np.random.default_rng([self.seed, round_, *bytes.fromhex(item.id)[:8]])
        return self.ways[int(draw.integers(len(self.ways)))]


def evolve(inquiry: Inquiry, items: Sequence[Item], course: Course, ask: Ask) -> Sifted:
    """The prompts that evolved, of every round; each item of a round comes from one of the round before.

    One that was left out does not end its line: its parent evolves again in the next round, another way. Source:
    Evol-Instruct, C. Xu et al., "WizardLM" (2023, arxiv.org/abs/2304.12244), sections 3.1 and 3.2; its elimination by
    a model that finds no gain is ROUGE-L to the parent here.
    """
    line = list(items)
    kept: list[Item] = []
    dropped: list[tuple[Item, str]] = []
    for round_ in range(course.rounds):
        ways = [course.way(item, round_) for item in line]
        keys = [f"evolve/{item.id}/{round_}/{way}" for item, way in zip(line, ways, strict=True)]
        replies = ask([_question(inquiry, *each) for each in zip(keys, line, ways, strict=True)])
        for at, (key, way) in enumerate(zip(keys, ways, strict=True)):
            found, reason = _read(inquiry.teacher, key, line[at], way, replies.get(key))
            if reason is None:
                kept.append(found)
                line[at] = found
            else:
                dropped.append((found, reason))
        if not replies:
            break
    return Sifted(tuple(kept), tuple(dropped))


def opening(inquiry: Inquiry, items: Sequence[Item], course: Course) -> list[Question]:
    """The questions of the first round."""
    return [_question(inquiry, "", item, course.way(item, 0)) for item in items]


def stunted(parent: str, child: str, way: Way) -> str | None:
    """Why a prompt did not evolve; None where it did.

    It says the same as its parent (or, reworded, has the very same words), repeats words of the instruction, is nothing
    but marks and common words, or has grown too long.
    """
    if not set(WORD.findall(child.casefold())) - set(COMMON.split()):
        return "says nothing: only marks and common words"
    leaked = LEAKED.search(child)
    if leaked and not LEAKED.search(parent):
        return f"repeats the instruction: {leaked[0]!r}"
    if len(child) > LONGEST:
        return f"too long: {len(child)} characters"
    near = ByWords([parent]).nearest(child)
    most = 1.0 if way is Way.REWORD else SAME
    if near is not None and near.likeness >= most:
        return f"did not evolve: {near.likeness:.2f} like its parent"
    return None


def _question(inquiry: Inquiry, key: str, item: Item, way: Way) -> Question:
    return inquiry.question(key, {"prompt": item.text, "change": WAYS[way]}, EVOLVED)


def _read(teacher: str, key: str, parent: Item, way: Way, reply: Reply | None) -> tuple[Item, str | None]:
    """The prompt of a reply as an item, and why it is left out, if it is."""
    source = Source(Method.SYNTHETIC, key, 0, credit(parent, teacher), (parent.id,))
    metadata = {**parent.facts.metadata, "way": str(way)}
    child = replace(
        parent, answer=None, rejected=None, truth=None, rationale=None, soft={}, source=source,
        facts=replace(parent.facts, metadata=metadata, grade=None, model=None, created=None),
    )  # fmt: skip
    if way is Way.BROADEN:
        child = replace(child, label=None)
    try:
        text = str(json_of(reply).get("prompt", "")).strip()
    except Unusable as error:
        return child, str(error)
    child = replace(child, messages=_said(parent, text))
    return child, stunted(parent.text, text, way)


def _said(parent: Item, text: str) -> tuple[Mapping[str, object], ...]:
    """The messages of the parent with its last question replaced."""
    last = max((at for at, message in enumerate(parent.messages) if message.get("role") == "user"), default=-1)
    asked = {"role": "user", "content": text}
    return (*parent.messages[: max(0, last)], asked) if last >= 0 else (*parent.messages, asked)
