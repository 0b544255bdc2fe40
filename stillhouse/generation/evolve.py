"""Evolution: prompts made harder, broader or reworded by a teacher, round upon round, and which of them did evolve."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import final

import numpy as np

from stillhouse.data.items import Item, Method, Source
from stillhouse.errors import UsageError
from stillhouse.generation.inquiry import Ask, Inquiry, Unusable, asking_instead, credit, json_of, object_schema
from stillhouse.generation.novelty import ByWords
from stillhouse.generation.pictures import question_about
from stillhouse.generation.questions import Question, Reply
from stillhouse.generation.select import Sifted

__all__ = ["WAYS", "Course", "Way", "evolve", "nothing_to_evolve", "opening", "stunted"]

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

    def way(self, item: Item, round_: int, tried: AbstractSet[Way] = frozenset()) -> Way | None:
        """The way an item goes in a round: drawn among those not tried yet, and the same each time; None after all."""
        left = [way for way in self.ways if way not in tried]
        draw = np.random.default_rng([self.seed, round_, *bytes.fromhex(item.id)[:8]])
        return left[int(draw.integers(len(left)))] if left else None


def evolve(inquiry: Inquiry, items: Sequence[Item], course: Course, ask: Ask) -> Sifted:
    """The prompts that evolved, of every round; each item of a round comes from one of the round before.

    One that was left out does not end its line: its parent evolves again in the next round, another way, until it has
    tried them all; the same way again would be the same question, whose answer is in the book. Source: Evol-Instruct,
    C. Xu et al., "WizardLM" (2023, arxiv.org/abs/2304.12244), sections 3.1 and 3.2; its elimination by a model that
    finds no gain is ROUGE-L to the parent here.
    """
    line = list(items)
    tried: list[set[Way]] = [set() for _ in line]
    kept: list[Item] = []
    dropped: list[tuple[Item, str]] = []
    for round_ in range(course.rounds):
        drawn = ((at, course.way(item, round_, tried[at])) for at, item in enumerate(line))
        ways = {at: way for at, way in drawn if way is not None}
        keys = {at: f"evolve/{line[at].id}/{round_}/{way}" for at, way in ways.items()}
        replies = ask([_question(inquiry, keys[at], line[at], way) for at, way in ways.items()])
        for at, way in ways.items():
            found, reason = _read(inquiry.teacher, keys[at], line[at], way, replies.get(keys[at]))
            if reason is None:
                kept.append(found)
                line[at], tried[at] = found, set()
            else:
                dropped.append((found, reason))
                tried[at].add(way)
        if not replies:
            break
    return Sifted(tuple(kept), tuple(dropped))


def opening(inquiry: Inquiry, items: Sequence[Item], course: Course) -> list[Question]:
    """The questions of the first round."""
    return [_question(inquiry, "", item, way) for item in items if (way := course.way(item, 0)) is not None]


def nothing_to_evolve(item: Item) -> str | None:
    """A check that leaves out items without words: a picture by itself is no prompt."""
    return None if item.text.strip() else "nothing to evolve: it has no words"


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
    return question_about(inquiry, key, item, {"prompt": item.text, "change": WAYS[way]}, EVOLVED)


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
    child = replace(child, messages=asking_instead(parent, text))
    return child, stunted(parent.text, text, way)
