"""What is shown to a teacher is a picture; what is none is said."""

from __future__ import annotations

from base64 import b64decode

import pytest

from stillhouse.data.items import Media
from stillhouse.generation.inquiry import Unusable
from stillhouse.generation.pictures import picture_type, with_pictures

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
    messages = with_pictures(ASKED, [media()], lambda each: content)
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
        with_pictures(ASKED, [media()], lambda each: content)


def test_sounds_and_what_is_too_large_or_not_there_are_told():
    with pytest.raises(Unusable, match=r"a\.png is audio/wav"):
        with_pictures(ASKED, [media("audio/wav")], lambda each: b"")
    with pytest.raises(Unusable, match="has 50 MB, and at most 20 are shown"):
        with_pictures(ASKED, [media(size=50 * 2**20)], lambda each: b"")
    with pytest.raises(Unusable, match="its files are not there"):
        with_pictures(ASKED, [media()], None)
    assert with_pictures(ASKED, [], None) == ASKED
