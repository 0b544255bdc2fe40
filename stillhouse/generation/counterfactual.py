"""Counterfactuals: the smallest edits of a text after which it has another label, checked by labelling it again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from rapidfuzz.distance import Levenshtein

from stillhouse.data.items import Item, Method, Source
from stillhouse.errors import UsageError
from stillhouse.generation.inquiry import Ask, Inquiry, Unusable, asking_instead, credit, json_of, object_schema
from stillhouse.generation.pictures import question_about
from stillhouse.generation.questions import Question, Reply
from stillhouse.generation.select import Sifted

__all__ = ["Flip", "changed", "counterfactuals", "flips", "opening"]

EDITED = object_schema("edited", {"text": {"type": "string"}})
WORD = re.compile(r"\w+|[^\w\s]")
MOST_CHANGED = 0.5


@final
@dataclass(frozen=True)
class Flip:
    """One text that is to get another label."""

    item: Item
    target: str

    @property
    def key(self) -> str:
        return f"flip/{self.item.id}/{self.target}"


def flips(items: Sequence[Item], labels: Sequence[str], each: int = 1, seed: int = 0) -> list[Flip]:
    """For every item that has a label `each` other labels, drawn; the same for the same seed."""
    if len(set(labels)) < 2:
        raise UsageError("A label can only be flipped where there are two of them.")
    found: list[Flip] = []
    for item in items:
        others = [label for label in labels if label != item.label]
        if item.label is None or not item.text.strip():
            continue
        draw = np.random.default_rng([seed, *bytes.fromhex(item.id)[:8]])
        order: list[int] = draw.permutation(len(others))[:each].tolist()
        found += [Flip(item, others[at]) for at in order]
    return found


def changed(text: str, other: str) -> float:
    """The share of words and marks that an edit changed, 0..1: Levenshtein distance over the longer text's length."""
    return float(Levenshtein.normalized_distance(WORD.findall(text.casefold()), WORD.findall(other.casefold())))


def counterfactuals(
    editing: Inquiry,
    labelling: Inquiry,
    wanted: Sequence[Flip],
    labels: Sequence[str],
    ask: Ask,
    look: Ask,
    most: float = MOST_CHANGED,
) -> Sifted:
    """Edited texts that a second look finds to have the label that they were edited for.

    What was not changed, or in more than the share `most` of its words, is left out before it is labelled again:
    minimal pairs teach which words decide (Kaushik et al., "Learning the difference that makes a difference with
    counterfactually-augmented data", 2020, arxiv.org/abs/1909.12434). `labelling` asks with the blanks `text` and
    `labels`, by `look`: best somebody else than who edits.
    """
    replies = ask(opening(editing, wanted))
    edited: list[tuple[Flip, Item]] = []
    dropped: list[tuple[Item, str]] = []
    for flip in wanted:
        item, reason = _read(editing.teacher, flip, replies.get(flip.key), most)
        if reason is None:
            edited.append((flip, item))
        else:
            dropped.append((item, reason))
    schema = object_schema("labelled", {"label": {"type": "string", "enum": list(labels)}})
    named = "\n".join(labels)
    looks = look(
        [
            question_about(labelling, f"{flip.key}/look", item, {"text": item.text, "labels": named}, schema)
            for flip, item in edited
        ]
    )
    kept: list[Item] = []
    for flip, item in edited:
        reason = _looked(flip, looks.get(f"{flip.key}/look"))
        if reason is None:
            kept.append(item)
        else:
            dropped.append((item, reason))
    return Sifted(tuple(kept), tuple(dropped))


def opening(editing: Inquiry, wanted: Sequence[Flip]) -> list[Question]:
    """The questions that ask for the edits; each that succeeds is followed by one that looks at it."""
    return [
        question_about(
            editing,
            flip.key,
            flip.item,
            {"text": flip.item.text, "label": flip.item.label or "", "target": flip.target},
            EDITED,
        )
        for flip in wanted
    ]


def _read(teacher: str, flip: Flip, reply: Reply | None, most: float) -> tuple[Item, str | None]:
    """The edited text as an item with its new label, and why it is left out, if it is."""
    parent = flip.item
    metadata: Mapping[str, str] = {**parent.facts.metadata, "flipped_from": parent.label or ""}
    item = replace(
        parent, label=flip.target, truth=None, rationale=None, soft={}, answer=None, rejected=None,
        facts=replace(parent.facts, metadata=metadata, grade=None, model=None, created=None),
        source=Source(Method.SYNTHETIC, flip.key, 0, credit(parent, teacher), (parent.id,)),
    )  # fmt: skip
    try:
        text = str(json_of(reply).get("text", "")).strip()
    except Unusable as error:
        return item, str(error)
    item = replace(item, messages=asking_instead(parent, text))
    share = changed(parent.text, text)
    if not text or share == 0.0:
        return item, "not edited: it says the same as before"
    return item, f"edited too much: {share:.2f} of its words" if share > most else None


def _looked(flip: Flip, reply: Reply | None) -> str | None:
    try:
        said = str(json_of(reply).get("label", "")).strip()
    except Unusable as error:
        return f"not looked at: {error}"
    return None if said.casefold() == flip.target.casefold() else f"not flipped: it is still found {said!r}"
