"""Items of every kind, for tests of exporters."""

from __future__ import annotations

from stillhouse.data.items import Facts, Item, Kind, Media, Source
from stillhouse.data.shelf import Shelf
from tests.data.importers.reading import ANSWER, CALL, USER, picture

SYSTEM = {"role": "system", "content": "Sort."}
WORSE = {"role": "assistant", "content": 'no, "never"\n'}
TOOLS = '[{"type":"function","function":{"name":"look","parameters":{"type":"object"}}}]'
ASKING = {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": "call_2"}]}
TOLD = {"role": "tool", "content": "lost", "tool_call_id": "call_2"}

CHAT = Item(
    Kind.CHAT,
    (SYSTEM, USER),
    ANSWER,
    label="order",
    truth="parcel",
    rationale="so",
    facts=Facts(
        model="large-1",
        created=1_750_000_000,
        language="de",
        conversation="s1",
        subject="ada",
        grade=0.5,
        split="train",
        tags=("a", "b"),
        metadata={"team": "desk, ü"},
    ),
    source=Source(origin="calls.jsonl", row=3, teacher="large-1"),
)
TURNS = Item(Kind.CHAT, (SYSTEM, USER, ANSWER, USER), ANSWER)
TOOL = Item(Kind.CHAT, (USER, ASKING, TOLD), ANSWER, facts=Facts(metadata={"tools": TOOLS}))
PAIR = Item(Kind.PREFERENCE, (USER,), ANSWER, WORSE)
TEXT = Item(Kind.TEXT, (USER,), label="order")
ALONE = Item(Kind.TEXT, (USER,))
EVERY = (CHAT, TURNS, TOOL, PAIR, TEXT, ALONE)


def image(shelf: Shelf, label: str = "red", split: str | None = None, name: str = "a.png") -> Item:
    media: Media = shelf.put(picture(label if label in ("red", "blue") else "green"), name, "image/png")
    return Item(Kind.IMAGE, label=label, media=(media,), facts=Facts(split=split))
