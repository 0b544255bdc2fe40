from __future__ import annotations

import time

import pytest

from stillhouse.data.personal.addresses import addresses
from stillhouse.data.pii import Type, find


@pytest.mark.parametrize(
    "address",
    [
        "221B Baker Street, London NW1 6XE",
        "1600 Pennsylvania Avenue NW, Washington, DC 20500",
        "Hauptstraße 12, 10115",
        "12 rue de la Paix, 75002",
        "Calle Mayor 5, 28013",
        "Rua do Arenque 1634",
        "ul. Słowicza 10 Apt. 360",
        "PO Box 123",
        "12 Elm St\n Apt. 5\n Springfield, IL 62704",
        "Unit 4719 Box 7394\nDPO AP 70942",
        "450 Præstevænget 15 Suite 12",
    ],
)
def test_an_address_goes_to_its_code(address):
    text = f"Send it to {address}"
    [span] = find(text, {Type.ADDRESS})
    assert (text[span.start : span.end], span.end) == (address, len(text))


def test_a_code_beside_its_word():
    text = "my zip code is 94107, thanks"
    assert [text[each.start : each.end] for each in find(text, {Type.ADDRESS})] == ["94107"]


@pytest.mark.parametrize(
    "text",
    [
        "During 1971 we grew",
        "Monitoring 2024 results",
        "She has 5 apples and 3 oranges",
        "Chapter 12 The Way Home",
        "at 10 o'clock",
        "Section 5 Methods",
        "I ran 3 miles on Monday",
        "version 3 of the Road map",
        "Gate 5",
        "10 St",
    ],
)
def test_look_alikes(text):
    assert find(text, {Type.ADDRESS}) == []


@pytest.mark.parametrize(
    "text",
    [
        "1 Aa " * 20_000,
        "12 rue de " * 10_000,
        "5 Main Main Main " * 6_000,
        "strasse 1 " * 10_000,
        "Box 1 " * 20_000,
        "Unit" * 25_000,
        "12 Main Street" + " a" * 50_000,
        ("12 Main Street" + "   a" * 45 + "\n") * 500,
        ("12 Main Street" + ", a" * 45 + "\n") * 500,
        ("PO Box 1 Apt 1" + " A1" * 60 + "\n") * 500,
    ],
)
def test_a_long_text_takes_no_long_time(text):
    started = time.process_time()
    list(addresses(text, text.lower()))
    assert time.process_time() - started < 10


def test_an_address_ends_with_its_code_and_not_in_the_next_one():
    text = "Send it to 12 Elm Street, Springfield, IL 62704 and tell me what came of order 44556, thanks"
    [span] = find(text, {Type.ADDRESS})
    assert text[span.start : span.end] == "12 Elm Street, Springfield, IL 62704"
