from __future__ import annotations

import pytest

from stillhouse.data.personal.phones import phone
from stillhouse.data.pii import Type, find


@pytest.mark.parametrize(
    "number",
    [
        "+44 20 7946 0958",
        "+1 (555) 234-5678",
        "(555) 234-5678",
        "555-234-5678",
        "555.234.5678",
        "1-800-555-0199",
        "+4915112345678",
        "01.42.68.53.00",
        "0490 75 40 81",
        "+41 (0)44 668 18 00",
        "345-899-3560x4587",
        "07700 063 966",
    ],
)
def test_a_number_by_its_form(number):
    text = f"It is {number}."
    [span] = find(text)
    assert (span.type, text[span.start : span.end]) == (Type.PHONE, number)


@pytest.mark.parametrize("text", ["call 60-56-85-91", "my mobile is 699956915", "416 60 039 office", "Tel. 12345678"])
def test_a_number_by_the_words_beside_it(text):
    assert [each.type for each in find(text)] == [Type.PHONE]


@pytest.mark.parametrize(
    "text",
    [
        "60-56-85-91",
        "100 200 300",
        "order 555-234-5678",
        "ISBN 978-3-16-148410-0",
        "2024-01-02 11:22:33",
        "12/31/2020",
        "3.14159265358979",
        "from 2019-2020-2021",
        "1,234,567.89",
        "call 5",
        "155-134-5678",
        "page 123-456",
        "$555-234",
    ],
)
def test_look_alikes(text):
    assert find(text, {Type.PHONE}) == []


def test_a_plus_needs_a_country():
    assert phone("442079460958", "+2 2 4 4", ("", "")) > 0.5
    assert phone("0123456789", "+10", ("", "")) == 0
