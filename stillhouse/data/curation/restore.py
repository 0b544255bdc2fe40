"""Restore: dropped rows brought back among those that were kept, in the order that both once had."""

from __future__ import annotations

import heapq
from collections import deque
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
    known any more, the returning rows come last.

    A row that a step changed has another id now: it stands where the row was that it was made from.
    """
    if order is None:
        yield from kept
        yield from back
        return
    places: dict[str, int] = {}
    again: dict[str, deque[int]] = {}
    """The places of rows that are there several times, of a file that was imported twice."""
    end = 0
    for place, name in enumerate(order):
        end = place + 1
        first = places.setdefault(name, place)
        if first != place:
            again.setdefault(name, deque([first])).append(place)

    def placed(item: Item, last: bool) -> tuple[int, Item]:
        """Of rows that are the same, those that stayed stand before those that return."""
        name = next((each for each in (item.id, *item.source.parents) if each in places), None)
        if name is None:
            return end, item
        free = again.get(name)
        if free is None:
            return places[name], item
        return (free.pop() if last else free.popleft()) if free else end, item

    returning = [placed(item, last=True) for item in reversed(list(back))][::-1]
    returning.sort(key=lambda pair: pair[0])
    staying = (placed(item, last=False) for item in kept)
    for _, item in heapq.merge(staying, returning, key=lambda pair: pair[0]):
        yield item
