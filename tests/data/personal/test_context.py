from __future__ import annotations

import time

import pytest

from stillhouse.data.personal.context import by_context
from stillhouse.data.pii import CERTAIN, Type, find


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("passport number X1234567", Type.PASSPORT, "X1234567"),
        ("my passport is C03005988.", Type.PASSPORT, "C03005988"),
        ("driver's license: D123-4567-8901", Type.DRIVER_LICENSE, "D123-4567-8901"),
        ("my driver's license number is 2270-66-1551", Type.DRIVER_LICENSE, "2270-66-1551"),
        ("license plate ABC-1234 was seen", Type.PLATE, "ABC-1234"),
        ("Kennzeichen B-AB 1234", Type.PLATE, "B-AB 1234"),
        ("born on 3 March 1980 in Ulm", Type.BIRTH_DATE, "3 March 1980"),
        ("Date of birth: March 3rd, 1980", Type.BIRTH_DATE, "March 3rd, 1980"),
        ("geboren am 03.05.1975", Type.BIRTH_DATE, "03.05.1975"),
        ("née le 3 janvier 1975", Type.BIRTH_DATE, "3 janvier 1975"),
    ],
)
def test_what_words_give_away(text, kind, found):
    assert [(each.type, text[each.start : each.end]) for each in find(text, CERTAIN - {Type.PERSON})] == [(kind, found)]


@pytest.mark.parametrize(
    "text", ["my passport expired in May", "a driving licence costs 50 euros", "plates and cups", "born free"]
)
def test_words_alone_give_nothing_away(text):
    assert list(by_context(text, text.lower())) == []


@pytest.mark.parametrize(
    "text", ["license is is is " * 12_000, "license: a " * 20_000, "license plate a1 b2 " * 10_000]
)
def test_a_long_text_takes_no_long_time(text):
    started = time.process_time()
    list(by_context(text, text))
    assert time.process_time() - started < 10
