"""Items: one shape for every row of every dataset, told apart by what they say and where they come from."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from stillhouse.data.items import Facts, Item, Kind, Media, Method, Source, hash_items, item_from_json, text_of
from stillhouse.errors import DataError

ASKED = ({"role": "system", "content": "Sort."}, {"role": "user", "content": "Where is my card?"})
ITEM = Item(
    Kind.CHAT,
    ASKED,
    {"role": "assistant", "content": "card_arrival"},
    label="card_arrival",
    soft={"card_arrival": 0.9, "card_lost": 0.1},
    media=(Media("ab" * 32, "image/png", "a.png", 12),),
    facts=Facts(model="large", created=1_700_000_000, grade=0.0, tags=("a",), metadata={"team": "cards"}),
    source=Source(Method.CAPTURED, "chatcmpl-1", teacher="large", parents=("f" * 32,)),
)


def test_an_item_survives_json():
    told = orjson.loads(orjson.dumps(ITEM.to_json()))
    assert item_from_json(told) == ITEM
    assert told["facts"]["grade"] == 0.0
    assert "rejected" not in told


def test_the_text_is_the_users_last_and_the_words_are_the_answers():
    assert ITEM.text == "Where is my card?"
    assert ITEM.words == "card_arrival"
    assert Item(Kind.IMAGE).text == Item(Kind.IMAGE).words == ""


def test_text_parts_are_joined_and_pictures_passed_over():
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "b"},
    ]
    assert text_of({"role": "user", "content": parts}) == "ab"
    assert text_of({"role": "assistant", "content": None, "tool_calls": []}) == ""


def test_what_is_known_of_an_item_changes_neither_its_id_nor_its_content():
    graded = replace(ITEM, facts=replace(ITEM.facts, grade=1.0))
    assert (graded.id, graded.content_hash) == (ITEM.id, ITEM.content_hash)
    assert hash_items([graded]) != hash_items([ITEM])


def test_equal_words_of_two_calls_are_two_items_of_one_content():
    other = replace(ITEM, source=replace(ITEM.source, origin="chatcmpl-2"))
    assert other.content_hash == ITEM.content_hash
    assert other.id != ITEM.id


def test_the_hash_of_items_is_that_of_their_order_and_of_every_machine():
    other = replace(ITEM, label="card_lost")
    assert hash_items([ITEM, other]) != hash_items([other, ITEM])
    plain = Item(Kind.TEXT, ({"role": "user", "content": "Grüße"},), label="a")
    assert hash_items([plain]) == HASH


def test_keys_that_nobody_knows_are_refused():
    with pytest.raises(DataError, match="no item of a dataset"):
        item_from_json({"kind": "text", "lable": "a"})
    with pytest.raises(DataError, match="films"):
        item_from_json({"kind": "films"})


HASH = "99163115b67b48fc1a6d3d67c547e807683a91ad917a8b227adb76bc381f02d6"
