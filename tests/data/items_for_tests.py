"""Items that tests of datasets share, and a catalogue to keep them in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stillhouse.data.catalogue import Catalogue
from stillhouse.data.items import Facts, Item, Kind, Media, Method, Source
from stillhouse.data.parquet import ParquetWriter, connect
from stillhouse.storage.store import Store

WHOLE = Item(
    Kind.CHAT,
    messages=(
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "hé 🙂 \0 x"}, {"type": "image_url", "image_url": {}}]},
    ),
    answer={"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]},
    rejected={"role": "assistant", "content": "no"},
    label="a",
    truth="b",
    rationale="because",
    soft={"a": 0.75, "b": 0.25},
    media=(Media("d" * 64, "image/png", "x.png", 3),),
    facts=Facts("m", 5, "fr", "c", "s", 0.5, "train", ("x", "", "y z"), {"b": "1\n2", "a": "ü"}),
    source=Source(Method.LABELLED, "calls.jsonl", 7, "teacher", ("p1", "p2")),
)
"""One with everything that an item can hold."""


def text(words: str, row: int = 0, facts: Facts | None = None) -> Item:
    """A text from row `row` of a file."""
    source = Source(origin="a.jsonl", row=row)
    return Item(Kind.TEXT, ({"role": "user", "content": words},), facts=facts or Facts(), source=source)


def written(folder: Path, items: list[Item]) -> Path:
    """Items in a Parquet file of their own."""
    folder.mkdir(exist_ok=True)
    with connect() as connection:
        writer = ParquetWriter(connection)
        for item in items:
            writer.add(item)
        writer.finish(folder / "items.parquet")
    return folder / "items.parquet"


@asynccontextmanager
async def catalogue(home: Path, project: str = "default") -> AsyncIterator[Catalogue]:
    """The catalogue of a home folder."""
    store = await Store.open(None, home)
    try:
        yield Catalogue(store, home, project)
    finally:
        await store.close()
