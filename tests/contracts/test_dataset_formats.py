"""Every exporter's files are read by the importer of the same format, and say what was written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.data.exporters.catalog import EXPORTERS
from stillhouse.data.importers.catalog import IMPORTERS, sniff
from stillhouse.data.importers.options import Options
from stillhouse.data.items import Source
from tests.data.exporters.made_items import CHAT, EVERY, PAIR, TEXT, TOOL, TURNS, image
from tests.data.importers.reading import read, shelf_in

READERS = {"parquet": "huggingface"}
"""Exporters whose files an importer of another name reads."""
ALL = tuple(EVERY)
LOSSLESS = {"parquet": ALL, "jsonl": ALL}
CONTENT = {
    "openai": (CHAT, TURNS, TOOL, PAIR),
    "sharegpt": (CHAT, TURNS, TOOL, PAIR),
    "alpaca": (CHAT, TURNS, PAIR),
    "dpo": (PAIR,),
    "csv": (CHAT, TURNS, TOOL, PAIR, TEXT),
}
"""What a format says of items: their messages and answers."""


def again(name, items, tmp_path, shelf):
    out = tmp_path / f"out{EXPORTERS[name].suffix}"
    done = EXPORTERS[name].write(items, out, shelf)
    assert (done.written, dict(done.left_out)) == (len(items), {})
    assert sniff(out).name == READERS.get(name, name)
    found, bad = read(IMPORTERS[READERS.get(name, name)].read, out, shelf=shelf)
    assert not bad.count, bad.listed()
    return found


def test_every_format_is_held_by_one_of_these_tests():
    assert {*LOSSLESS, *CONTENT, "images"} == set(EXPORTERS)


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_give_the_same_items(name, tmp_path):
    shelf = shelf_in(tmp_path)
    items = [*LOSSLESS[name], image(shelf, split="test")]
    assert again(name, items, tmp_path, shelf) == items


@pytest.mark.parametrize("name", CONTENT)
def test_formats_of_words_keep_every_message_and_answer(name, tmp_path):
    found = again(name, CONTENT[name], tmp_path, shelf_in(tmp_path))
    for item, given in zip(found, CONTENT[name], strict=True):
        assert plain(item.messages) == plain(given.messages)
        assert (item.answer, item.rejected, item.kind) == (given.answer, given.rejected, given.kind)
        assert item.facts.metadata.get("tools") == given.facts.metadata.get("tools") or name == "csv"


def plain(messages):
    """Messages without the ids by which calls of tools and their replies find each other, which some formats lack."""
    made = []
    for message in messages:
        calls = [{**call, "id": ""} for call in message.get("tool_calls", ())]
        made.append({**message, "tool_call_id": "", "tool_calls": [shape(call) for call in calls]})
    return made


def shape(call):
    return {**call, "function": {**call["function"], "arguments": call["function"]["arguments"].replace(" ", "")}}


def test_tables_keep_what_is_known_of_an_item(tmp_path):
    [item] = again("csv", [CHAT], tmp_path, shelf_in(tmp_path))
    known = replace(item.facts, metadata={"team": item.facts.metadata["team"]})
    assert (known, item.label, item.truth, item.rationale) == (CHAT.facts, "order", "parcel", "so")


def test_folders_of_pictures_keep_class_split_and_every_byte(tmp_path):
    shelf = shelf_in(tmp_path)
    items = [image(shelf, "blue", "train"), image(shelf, "red", "train")]
    found = again("images", items, tmp_path, shelf)
    assert [replace(item, source=Source()) for item in found] == items


def test_an_importer_raises_for_bad_rows_unless_they_are_skipped(tmp_path):
    from stillhouse.data.bad_rows import BadRows
    from stillhouse.errors import TrafficError

    for name in ("openai", "langfuse", "litellm", "helicone", "otlp", "sharegpt", "alpaca", "dpo", "jsonl"):
        path = tmp_path / name
        path.write_text('{"x": 1}\n{\n')
        with pytest.raises(TrafficError, match=r"2 rows cannot be used"):
            list(IMPORTERS[name].read(path, Options(), BadRows()))
