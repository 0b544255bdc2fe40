"""Calls: what a server has kept, as items of a dataset, a thousand at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import final

import orjson

from stillhouse.data.importers.calls import call_items
from stillhouse.data.importers.records import Unusable
from stillhouse.data.items import Facts, Item, Method, Source
from stillhouse.data.subjects import SUBJECT
from stillhouse.storage.records import StoredCompletion, Wanted
from stillhouse.storage.store import Store

__all__ = ["Calls", "items_of_call"]

TOGETHER = 1_000
CONVERSATIONS = ("conversation_id", "session_id", "thread_id")
"""Metadata that name a conversation."""


@final
@dataclass(slots=True)
class Calls:
    """The calls of a project that are wanted: their ids are known already, their words come while they are read."""

    store: Store
    project: str
    ids: list[str]
    loop: asyncio.AbstractEventLoop
    counts: Counter[str] = field(default_factory=Counter[str])
    """What became of them: items by `kept`, and calls without an item by the reason."""

    @classmethod
    async def wanted(cls, store: Store, project: str, wanted: Wanted, since: int | None, until: int | None) -> Calls:
        """Those that are wanted, oldest first."""
        ids = await store.completions.ids(project, wanted, since, until)
        return cls(store, project, ids, asyncio.get_running_loop())

    def items(self) -> Iterator[Item]:
        """Their items; to be read in another thread than the loop's, which brings them."""
        for start in range(0, len(self.ids), TOGETHER):
            some = self.store.completions.several(self.project, self.ids[start : start + TOGETHER])
            for call in asyncio.run_coroutine_threadsafe(some, self.loop).result():
                yield from self._items(call)

    def _items(self, call: StoredCompletion) -> Iterator[Item]:
        if call.is_erased:
            self.counts["erased"] += 1
            return
        try:
            found = list(items_of_call(call))
        except Unusable as error:
            self.counts[str(error)] += 1
            return
        self.counts["kept"] += len(found)
        yield from found


def items_of_call(call: StoredCompletion) -> Iterator[Item]:
    """An item for each answer of a call, in their order; raises Unusable."""
    metadata = dict(call.metadata)
    facts = Facts(
        model=call.model,
        created=call.created,
        conversation=next((metadata[key] for key in CONVERSATIONS if metadata.get(key)), None),
        subject=call.subject or metadata.get(SUBJECT),
        metadata={key: value for key, value in metadata.items() if key != SUBJECT},
    )
    source = Source(Method.CAPTURED, call.id, teacher=call.model)
    for place, item in enumerate(call_items(orjson.loads(call.messages), orjson.loads(call.answer), facts, source)):
        yield replace(item, source=replace(source, row=place))
