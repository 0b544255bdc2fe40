"""Parting: every item of a dataset into train, test and so on, by its content, with what says the same on one side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.curate import duplicate_groups
from stillhouse.data.items import Item
from stillhouse.data.split import positions
from stillhouse.errors import UsageError

__all__ = ["SHARES", "Parting", "parse_shares", "part"]

SHARES: Mapping[str, float] = {"train": 0.8, "selection": 0.1, "test": 0.1}


@final
@dataclass(frozen=True, slots=True)
class Parting:
    """Items with the part that each belongs to, and what was done."""

    items: Sequence[Item]
    rows: Mapping[str, int]
    """Items of each part."""
    groups: int
    """Different contents."""
    together: int
    """Items that have a duplicate, a near duplicate or a turn of the same conversation, on one side with it."""


def part(items: Sequence[Item], shares: Mapping[str, float] = SHARES, seed: int = 0) -> Parting:
    """Give each item its part in `facts.split`.

    Items that say the same, nearly the same, or belong to one conversation are one group, and a group has one part:
    by a hash of the seed and of its content, so that neither the order nor other items matter, and what is added later
    moves nothing that is there, unless it brings a near duplicate. Shares are met on average over groups.
    """
    texts = [_said(item) for item in items]
    groups = duplicate_groups(texts, [item.facts.conversation for item in items]) if items else np.zeros(0, np.int64)
    names, bounds = list(shares), np.cumsum(list(shares.values()))[:-1]
    places = positions(texts, groups, np.ones(len(items), np.bool_), seed)
    part_of = {group: names[int(np.searchsorted(bounds, place, "right"))] for group, place in places.items()}
    parted = [
        replace(item, facts=replace(item.facts, split=part_of[group]))
        for item, group in zip(items, groups.tolist(), strict=True)
    ]
    sizes = _sizes(groups)
    rows = {name: sum(item.facts.split == name for item in parted) for name in names}
    return Parting(parted, rows, len(part_of), int(sizes[sizes > 1].sum()))


def parse_shares(words: str) -> dict[str, float]:
    """The shares in `train=0.8,test=0.2`; raises UsageError unless they add up to 1."""
    shares: dict[str, float] = {}
    for word in words.split(","):
        name, _, share = word.strip().partition("=")
        try:
            shares[name] = float(share)
        except ValueError:
            raise UsageError(
                f"--shares {words!r}: write name=share, such as train=0.8,selection=0.1,test=0.1."
            ) from None
    if not all(name and share > 0 for name, share in shares.items()) or abs(sum(shares.values()) - 1) > 1e-9:
        raise UsageError(f"--shares {words!r}: each is above 0, and together they are 1, not {sum(shares.values()):g}.")
    return shares


def _said(item: Item) -> str:
    """What an item is told from others by: its text, else its files, else all that it says."""
    return item.text or " ".join(each.digest for each in item.media) or item.content_hash


def _sizes(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(groups) if len(groups) else np.zeros(0, np.int64)
