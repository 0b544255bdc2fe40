"""Flows: what is asked about one item, step by step; many at once, and again from the book without asking anybody."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

from stillhouse.data.items import Item
from stillhouse.errors import DataError
from stillhouse.generation.desk import Desk
from stillhouse.generation.inquiry import Unusable
from stillhouse.generation.questions import Estimate, Question, Reply, Tally

__all__ = ["Begin", "Flow", "Made", "ask_all", "estimate"]

Flow = Generator[Sequence[Question], Sequence[Reply], Item]
"""Gives the questions that it has, is sent the replies in their order, and returns an item; raises Unusable."""

Begin = Callable[[Item], Flow]
Items = Callable[[], Iterable[Item]]
"""The same items whenever it is called."""

MISSING = "not answered: the same command asks again"


@final
@dataclass
class _Open:
    """A flow that waits for replies."""

    flow: Flow
    replies: list[Reply | None]
    left: int


def ask_all(desk: Desk, items: Items, begin: Begin, heard: Callable[[int], None] = lambda done: None) -> Tally:
    """Ask everything about every item; `heard` is told how many items are done. What was answered is in the book.

    As many flows are open as questions are under way, so that any number of items may come. Raises what asking raises.
    """
    waiting: dict[int, _Open] = {}
    done = 0

    def ask(at: int, flow: Flow, replies: Sequence[Reply] | None) -> list[Question]:
        nonlocal done
        try:
            batch = flow.send(replies) if replies is not None else next(flow)
        except (StopIteration, Unusable, DataError):
            waiting.pop(at, None)
            done += 1
            heard(done)
            return []
        waiting[at] = _Open(flow, [None] * len(batch), len(batch))
        return [replace(question, key=f"{at} {number}") for number, question in enumerate(batch)]

    def questions() -> Iterator[Question]:
        for at, item in enumerate(items()):
            yield from ask(at, begin(item), None)

    def keep(reply: Reply) -> list[Question]:
        at, number = map(int, reply.key.split())
        found = waiting[at]
        found.replies[number], found.left = reply, found.left - 1
        return [] if found.left else ask(at, found.flow, [each for each in found.replies if each is not None])

    return desk.ask(questions(), keep)


@final
@dataclass
class Made:
    """Items on their way through flows whose questions were asked: read `items` first, then the rest is there."""

    desk: Desk
    source: Items
    begin: Begin

    def __post_init__(self) -> None:
        self.dropped: list[tuple[Item, str]] = []
        """What nothing could be made of, with the reason."""
        self.counts: dict[str, int] = {"kept": 0}
        """How many items were kept, and left out by the beginning of the reason."""

    def items(self) -> Iterator[Item]:
        """What was made of each item, in their order: only from what is in the book."""
        for item in self.source():
            try:
                found = _replayed(self.desk, self.begin(item))
            except (Unusable, DataError) as error:
                self.dropped.append((item, str(error)))
                reason = str(error).partition(":")[0]
                self.counts[reason] = self.counts.get(reason, 0) + 1
            else:
                self.counts["kept"] += 1
                yield found


def estimate(desk: Desk, items: Items, begin: Begin) -> Estimate:
    """What asking would come to: all that is known to be asked, which does not count what replies may bring."""

    def questions() -> Iterator[Question]:
        for item in items():
            flow = begin(item)
            try:
                batch = next(flow)
                while True:
                    yield from batch
                    replies = [desk.find(question) for question in batch]
                    known = [reply for reply in replies if reply is not None]
                    if len(known) < len(batch):
                        break
                    batch = flow.send(known)
            except (StopIteration, Unusable, DataError):
                continue

    return desk.estimate(questions())


def _replayed(desk: Desk, flow: Flow) -> Item:
    """What a flow returns when its replies come from the book; raises Unusable where one is not there."""
    try:
        batch = next(flow)
        while True:
            replies = [desk.find(question) for question in batch]
            known = [reply for reply in replies if reply is not None]
            if len(known) < len(batch):
                raise Unusable(MISSING)
            batch = flow.send(known)
    except StopIteration as end:
        return end.value
