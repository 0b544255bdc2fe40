"""Panel: what several labelled versions of the same items say, side by side, and the item that comes of their vote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, final

from stillhouse.data.items import Item, Method, Source
from stillhouse.errors import UsageError
from stillhouse.generation.ballots import Ballots, collect
from stillhouse.generation.dawid_skene import Options, estimate
from stillhouse.generation.inquiry import Inquiry, Unusable, asked_key, object_schema, teachers_of
from stillhouse.generation.judge import asked_text
from stillhouse.generation.pictures import question_about
from stillhouse.generation.questions import Question
from stillhouse.generation.vote import Verdicts, accuracies, decide, majority, weighted

__all__ = ["How", "Seat", "Settled", "kind_of", "line_up", "settle", "tie_questions", "voted"]

FIELDS = ("label", "truth", "language", "model", "split", "subject")
TIED = "tied"
"""The tag of items on which the votes are equal, or too few."""
FEW_A_LABEL, FEW = 10, 30
"""Answers beside others' below which a confusion matrix (for each label), and one reliability, are little but noise."""


class How(StrEnum):
    """How votes are counted."""

    MAJORITY = "majority"
    """Everybody's the same."""
    WEIGHTED = "weighted"
    """By how often each is right where the truth is known."""
    DAWID_SKENE = "dawid-skene"
    """By the confusion matrices that make all answers most likely; no truth is needed."""
    ONE_COIN = "one-coin"
    """The same with one reliability for all labels: for many labels and few items."""


@final
@dataclass(frozen=True)
class Seat:
    """One item, and what each annotator called it."""

    item: Item
    said: Mapping[str, tuple[str, ...]]
    parents: tuple[str, ...]
    teachers: tuple[str, ...]
    """Who labelled it, by the names that terms go by."""


@final
@dataclass(frozen=True)
class Settled:
    """What a way of counting found."""

    ballots: Ballots
    verdicts: Verdicts
    reliability: Mapping[str, float]
    """How often each annotator is right, where that was found out."""
    agreement: Sequence[float]
    """How alike the votes about each item are; NaN where there are fewer than two."""
    doubt: str | None = None
    """Why the reliabilities may be wrong; None where nothing speaks for it."""


def line_up(versions: Mapping[str, Iterable[Item]]) -> list[Seat]:
    """The items of all versions, each once, in the order in which they come; the same when they ask and show the same.

    An item that occurs several times in one version gives that annotator several votes.
    """
    items: dict[str, Item] = {}
    said: dict[str, dict[str, list[str]]] = {}
    parents: dict[str, list[str]] = {}
    teachers: dict[str, set[str]] = {}
    for name, version in versions.items():
        for item in version:
            key = asked_key(item)
            items.setdefault(key, item)
            parents.setdefault(key, []).append(item.id)
            teachers.setdefault(key, set()).update(teachers_of(item))
            votes = said.setdefault(key, {}).setdefault(name, [])
            if item.label is not None:
                votes.append(item.label)
    return [
        Seat(
            item,
            {name: tuple(votes) for name, votes in said[key].items()},
            tuple(parents[key]),
            tuple(sorted(teachers[key])),
        )
        for key, item in items.items()
    ]


def settle(seats: Sequence[Seat], how: How, smoothing: float = 1.0) -> Settled:
    """The votes counted; `smoothing` is of Dawid-Skene. Raises UsageError where a way cannot count these."""
    ballots = collect([seat.said for seat in seats])
    if len(ballots.annotators) < 2 or not len(ballots.item):
        raise UsageError("A vote needs labels of at least two annotators: give versions that were labelled apart.")
    reliability: dict[str, float] = {}
    doubt = None
    if how is How.MAJORITY:
        shares = majority(ballots)
    elif how is How.WEIGHTED:
        truth = [seat.item.truth for seat in seats]
        if not any(truth):
            raise UsageError("No item's truth is known, so nobody can be weighed by it: take dawid-skene.")
        known = accuracies(ballots, truth)
        shares = weighted(ballots, known.tolist())
        reliability = dict(zip(ballots.annotators, known.tolist(), strict=True))
    else:
        found = estimate(ballots, Options(smoothing=smoothing, one_coin=how is How.ONE_COIN))
        shares = found.shares
        reliability = dict(zip(ballots.annotators, found.accuracy().tolist(), strict=True))
        doubt = _doubt(ballots, how)
    return Settled(ballots, decide(ballots.labels, shares), reliability, ballots.agreement().tolist(), doubt)


def _doubt(ballots: Ballots, how: How) -> str | None:
    """What is said where an annotator's reliability is estimated from too little."""
    compared = ballots.compared()
    least = int(compared.argmin())
    one_coin = how is How.ONE_COIN
    wanted = FEW if one_coin else FEW_A_LABEL * len(ballots.labels)
    if compared[least] >= wanted:
        return None
    other = "majority" if one_coin else "one-coin or majority"
    name, labels = ballots.annotators[least], len(ballots.labels)
    return (
        f"{name} gave {compared[least]:,} answers beside others', for {labels:,} labels; its reliability wants "
        f"{wanted:,} or more. Label more items with several teachers, or take --how {other}."
    )


def tie_questions(inquiry: Inquiry, seats: Sequence[Seat], settled: Settled) -> dict[int, Question]:
    """What a judge is asked about the items that are tied, by their position; it sees their pictures."""
    found: dict[int, Question] = {}
    for at, seat in enumerate(seats):
        if settled.verdicts.tied[at] > 1:
            labels = tied_labels(settled, at)
            schema = object_schema("tie", {"label": {"type": "string", "enum": labels}})
            values = {"text": asked_text(seat.item), "labels": "\n".join(labels)}
            with suppress(Unusable):  # a tie that nobody can be shown stays one
                found[at] = question_about(inquiry, f"tie/{seat.item.id}", seat.item, values, schema)
    return found


def tied_labels(settled: Settled, at: int) -> list[str]:
    """The labels that share the first place."""
    shares = settled.verdicts.soft(at)
    return sorted(list(shares)[: int(settled.verdicts.tied[at])])


def voted(seat: Seat, settled: Settled, at: int, least: float = 0.0) -> Item:
    """The item with the label of the vote, and with the votes as soft labels.

    Where it is tied, or the likeliest label has less than the share `least`, it has no label and the tag `tied`.
    """
    verdicts = settled.verdicts
    label, soft = verdicts.label(at), verdicts.soft(at, 1e-4)
    agreement = settled.agreement[at]
    if label is not None and soft.get(label, 0.0) < least and not verdicts.judged[at]:
        label = None
    tags = seat.item.facts.tags if label is not None else tuple({*seat.item.facts.tags, TIED})
    known: dict[str, Any] = {"annotators": str(sum(bool(votes) for votes in seat.said.values()))}
    if agreement == agreement:
        known["agreement"] = f"{agreement:.4f}"
    if verdicts.judged[at]:
        known["judged"] = "yes"
    facts = replace(seat.item.facts, tags=tags, metadata={**seat.item.facts.metadata, **known})
    before = seat.item.source
    source = Source(Method.LABELLED, before.origin, before.row, "+".join(seat.teachers) or None, seat.parents)
    return replace(seat.item, label=label, soft=soft, facts=facts, source=source)


def kind_of(item: Item, name: str) -> str:
    """What kind an item is of, by one of its fields or `metadata.NAME`: what teachers are told apart by."""
    if name.startswith("metadata."):
        return item.facts.metadata.get(name.removeprefix("metadata."), "")
    if name not in FIELDS:
        raise UsageError(f"Items are told apart by {', '.join(FIELDS)} or metadata.NAME, not by {name!r}.")
    found: Any = getattr(item, name) if name in ("label", "truth") else getattr(item.facts, name)
    return "" if found is None else str(found)
