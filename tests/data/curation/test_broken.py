from __future__ import annotations

from dataclasses import fields

import pytest

from stillhouse.data.curation.broken import Broken, broken
from stillhouse.data.items import Facts, Item, Kind, Media
from stillhouse.errors import UsageError


def chat(words: str, answer: str | None = None, finish: str = "", **more: object) -> Item:
    said = {"role": "assistant", "content": answer, **more} if answer is not None else None
    facts = Facts(metadata={"finish_reason": finish} if finish else {})
    return Item(Kind.CHAT, ({"role": "user", "content": words},), said, facts=facts)


PLANTED = {
    "empty": ("nothing was answered", chat("q", " ")),
    "cut_off": ("ended by a limit", chat("q", "an answer that", finish="length")),
    "repetition": ("again and again", chat("q", "so it goes " * 12)),
    "encoding": ("was 'ö'", chat("q", "schÃ¶n")),
    "templates": ("the blank", chat("Dear {{name}}, hello", "a")),
    "json": ("arguments of a tool", chat("q", "", tool_calls=[{"function": {"name": "f", "arguments": "{"}}])),
}


@pytest.mark.parametrize("setting", PLANTED)
def test_each_flaw_is_found_unless_switched_off(setting):
    told, row = PLANTED[setting]
    sound = [chat("What is it?", "It is a river."), chat("q", None)]
    found = broken([*sound, row], Broken())
    assert [told in why for _, why in found.dropped] == [True]
    assert broken([*sound, row], Broken(**{setting: False})).counts["kept"] == 3


def test_every_setting_that_switches_has_a_planted_flaw():
    assert {each.name for each in fields(Broken)} - {"json_share"} == set(PLANTED)


def test_calls_and_pictures_need_no_words():
    call = chat("q", "", tool_calls=[{"function": {"name": "f", "arguments": "{}"}}])
    picture = Item(Kind.IMAGE, media=(Media("d", "image/png", "n", 1),))
    part = Item(Kind.CHAT, ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]},))
    assert broken([call, picture, part], Broken()).counts["kept"] == 3
    assert [why for _, why in broken([chat("")], Broken()).dropped] == ["empty: nothing was asked"]


def test_an_answer_that_is_no_json_where_the_others_are():
    good = [chat("q", '{"team": "billing"}')] * 19
    bad = chat("q", '{"team": "billing"')
    assert [why for _, why in broken([*good, bad], Broken()).dropped] == [
        "invalid-json: other answers to these instructions are JSON"
    ]
    prose = [chat("q", "It is for billing.")] * 5
    assert broken([*good, *prose], Broken()).counts["kept"] == 24, "no rule that so many break"
    assert broken([chat("q", "12"), chat("q", "13"), chat("q", "twelve")], Broken(json_share=0.5)).counts["kept"] == 3


def test_a_share_that_means_nothing_is_refused():
    with pytest.raises(UsageError):
        Broken(json_share=0.2)
