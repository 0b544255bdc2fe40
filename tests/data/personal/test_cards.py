from __future__ import annotations

import pytest

from stillhouse.data.personal.cards import card
from stillhouse.data.pii import Type, find


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5555555555554444",
        "2221000000000009",
        "378282246310005",
        "3782 822463 10005",
        "6011111111111117",
        "30569309025904",
        "3530111333300000",
        "4222222222222",
    ],
)
def test_a_card_is_found_however_it_is_written(number):
    text = f"I paid with {number} yesterday"
    [span] = find(text)
    assert (span.type, text[span.start : span.end]) == (Type.CARD, number)


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111112",
        "4111 11111111 1111",
        "9999991234567890",
        "0000000000000000",
        "411111111111111",
        "41111111111111111",
        "4111.1111.1111.1111",
        "X4111111111111111",
        "4111111111111111_7",
    ],
)
def test_what_is_no_card(number):
    assert find(f"number {number} of today", {Type.CARD}) == []


def test_a_wide_range_is_believed_beside_a_word_only():
    assert card("630427373398", "12", "") == 0
    assert card("630427373398", "12", "my card number ") > 0.5
    assert card("4111111111111111", "16", "card ") > card("4111111111111111", "16", "")


def test_a_date_of_expiry_and_a_code_behind_it_are_left():
    text = "card 4111 1111 1111 1111 12/27 123"
    assert [text[each.start : each.end] for each in find(text)] == ["4111 1111 1111 1111"]
