"""What is shown to a teacher is a picture; what is none is said."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from stillhouse.data.items import Item, Kind, Media
from stillhouse.generation.inquiry import Inquiry, Unusable
from stillhouse.generation.pictures import picture_type, pictures, question_about, shown, unseen, with_pictures
from tests.generation.rules import Words

HEADS = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF0000WEBP",
}
ASKED = [{"role": "system", "content": "s"}, {"role": "user", "content": "What is it?"}]


def media(type: str = "image/png", size: int = 9) -> Media:
    return Media("d", type, "a.png", size)


@pytest.mark.parametrize("kind", HEADS)
def test_pictures_are_known_by_their_first_bytes(kind):
    content = HEADS[kind] + b"rest of it"
    assert picture_type(content) == kind
    messages = with_pictures(ASKED, shown([media()], lambda each: content))
    first, words = messages[-1]["content"]
    head, _, data = first["image_url"]["url"].partition(",")
    assert (head, b64decode(data)) == (f"data:{kind};base64", content)
    assert words == {"type": "text", "text": "What is it?"}
    assert messages[0] == ASKED[0]
    assert ASKED[-1]["content"] == "What is it?"


@pytest.mark.parametrize("content", [b"", b"<html>", b"%PDF-1.7", b"RIFF0000WAVE", b"BM123"])
def test_what_no_api_takes_is_none(content):
    assert picture_type(content) is None
    with pytest.raises(Unusable, match=r"no picture: a\.png is none"):
        with_pictures(ASKED, shown([media()], lambda each: content))


def test_sounds_and_what_is_too_large_or_not_there_are_told():
    with pytest.raises(Unusable, match=r"a\.png is audio/wav"):
        shown([media("audio/wav")], lambda each: b"")
    with pytest.raises(Unusable, match="has 50 MB, and at most 20 are shown"):
        shown([media(size=50 * 2**20)], lambda each: b"")
    with pytest.raises(Unusable, match="its files are not there"):
        shown([media()], None)
    assert with_pictures(ASKED, shown([], None)) == ASKED


CAT, INLINE = HEADS["image/png"] + b"cat", {"type": "image_url", "image_url": {"url": "https://x.example/dog.png"}}


def test_pictures_in_messages_are_shown_as_those_in_files_are():
    said = ({"type": "text", "text": "Which is larger?"}, INLINE)
    item = Item(Kind.PAIRED, ({"role": "user", "content": [*said]},), media=(media(),))
    inquiry = Inquiry("m", Words("Of this: {text}"), read_media=lambda each: CAT)
    content = json.loads(question_about(inquiry, "k", item, {"text": item.text}).body)["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "text"]
    assert (content[0], content[2]["text"]) == (INLINE, "Of this: Which is larger?")
    assert pictures(item, lambda each: CAT) == content[:2]


def test_a_picture_without_words_is_a_message_and_parts_stay_parts():
    parts = shown([media()], lambda each: CAT)
    assert with_pictures([], parts) == [{"role": "user", "content": parts}]
    assert with_pictures(ASKED[:1], parts)[1:] == [{"role": "user", "content": parts}]
    asked = with_pictures([{"role": "user", "content": [INLINE]}, {"role": "assistant", "content": "A dog."}], parts)
    assert (asked[0]["content"], asked[1]["content"]) == ([*parts, INLINE], "A dog.")


def test_what_a_question_without_pictures_says_is_as_ever():
    inquiry, item = Inquiry("m", Words("Of {text}")), Item(Kind.TEXT, ({"role": "user", "content": "x"},))
    assert question_about(inquiry, "k", item, {"text": "x"}) == inquiry.question("k", {"text": "x"})


def test_it_is_said_beforehand_what_cannot_be_shown():
    item = Item(Kind.IMAGE, media=(media(), media("audio/wav")))
    assert unseen(item, lambda each: CAT) == "no picture: a.png is audio/wav"
    assert unseen(item, None) == "no picture: its files are not there"
    assert unseen(Item(Kind.IMAGE, media=(media(),)), lambda each: CAT) is None
    assert unseen(Item(Kind.TEXT), None) is None
