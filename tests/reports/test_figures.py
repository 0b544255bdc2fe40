"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from stillhouse.reports import figures


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.9731, "97.3 %"), (1, "100 %"), (0, "0 %"), (0.99996, "99.9 %"), (0.00001, "0.1 %"), (math.nan, "unknown")],
)
def test_shares_never_round_to_certainty(share: float, words: str):
    assert figures.percent(share) == words


@pytest.mark.parametrize(
    ("show", "value", "words"),
    [
        (figures.whole_percent, 0.02, "2 %"),
        (figures.whole_percent, 0.025, "2.5 %"),
        (figures.size, 640, "640 bytes"),
        (figures.size, 4_200_000, "4.2 MB"),
        (figures.size, 91_000_000_000, "91.0 GB"),
        (figures.millions, 10_800_000, "10.8 M"),
        (figures.millions, 12, "12"),
        (figures.millis, 0.0613, "0.061 ms"),
        (figures.millis, 12.34, "12.3 ms"),
        (figures.millis, 0, "0 ms"),
        (figures.duration, 372, "6 min 12 s"),
        (figures.duration, 4000, "1 h 6 min"),
        (figures.duration, 3.14, "3.1 s"),
        (figures.money, 1234.5, "$1,234.50"),
        (figures.money, 0.1716, "$0.17"),
        (figures.money, 0.00002182, "under $0.001"),
        (figures.money, 0.0123, "$0.012"),
        (figures.watt_hours, 300, "300 Wh"),
        (figures.count, 12345, "12,345"),
    ],
)
def test_quantities_carry_their_unit(show: object, value: float, words: str):
    assert callable(show)
    assert show(value) == words


@pytest.mark.parametrize("name", ["count", "duration", "millions", "millis", "money", "size", "watt_hours"])
def test_what_is_not_a_number_is_unknown(name: str):
    assert getattr(figures, name)(math.nan) == "unknown"


def test_foreign_texts_cannot_turn_or_hide_what_follows():
    assert figures.printable("a\x00b\r\nc\u202ed\ud83d") == "a\ufffdb\ncd\ufffd"
    assert figures.shorten("one\ntwo", 20) == "one ⏎ two"
    assert figures.shorten("", 20) == "(empty)"
    assert figures.shorten("x" * 30, 10) == "x" * 9 + "…"
