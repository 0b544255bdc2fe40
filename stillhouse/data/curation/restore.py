"""Restore: dropped rows brought back among those that were kept, in the order that both once had."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from stillhouse.data.curation.curated import reason_word
from stillhouse.data.items import Item

__all__ = ["chosen", "restored"]

Dropped = tuple[Item, str]


def chosen(
    dropped: Iterable[Dropped], reasons: Sequence[str], ids: Sequence[str]
) -> tuple[list[Dropped], list[Dropped]]:
    """The dropped rows that are to come back, by the words of their reasons or the beginnings of their ids, and the
    others."""
    back: list[Dropped] = []
    left: list[Dropped] = []
    for item, reason in dropped:
        named = any(item.id.startswith(each) for each in ids) if ids else False
        (back if named or reason_word(reason) in reasons else left).append((item, reason))
    return back, left


def restored(kept: Iterable[Item], back: Iterable[Item], order: Iterable[str] | None) -> Iterator[Item]:
    """Kept and returning rows in the order of `order`, the ids of the rows that they all come from; where that is not
    known any more, the returning rows come last."""
    if order is None:
        yield from kept
        yield from back
        return
    places: dict[str, int] = {}
    for place, name in enumerate(order):
        places.setdefault(name, place)
    last = len(places)

    def placed(rows: Iterable[Item]) -> Iterator[tuple[int, Item]]:
        return ((places.get(item.id, last), item) for item in rows)

    returning = sorted(placed(back), key=lambda pair: pair[0])
    for _, item in heapq.merge(placed(kept), returning, key=lambda pair: pair[0]):
        yield item
