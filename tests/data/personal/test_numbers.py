from __future__ import annotations

import time

import pytest

from stillhouse.data.personal.numbers import numbers
from stillhouse.data.pii import Type, find


@pytest.mark.parametrize(
    ("text", "address"), [("from 203.0.113.7 at noon", "203.0.113.7"), ("http://10.20.30.40:8080/x", "10.20.30.40")]
)
def test_an_address_of_a_machine(text, address):
    [span] = find(text)
    assert (span.type, text[span.start : span.end]) == (Type.IP, address)


@pytest.mark.parametrize(
    "text", ["version 1.2.3.4", "127.0.0.1", "0.0.0.0", "256.1.2.3", "1.2.3", "1.02.3.4", "1.2.3.4.5"]
)
def test_versions_and_this_machine_are_none(text):
    assert find(text, {Type.IP}) == []


def test_a_date_is_one_of_birth_where_it_says_so():
    assert [each.type for each in find("She was born on 2/8/1935 in May.")] == [Type.BIRTH_DATE]
    assert find("She was here on 2/8/1935 in May.") == []
    assert find("DOB 45/45/1935") == []


def test_several_in_a_row_are_told_apart():
    text = "4111 1111 1111 1111, 853-37-1694 and +1 555 234 5678"
    assert [each.type for each in find(text)] == [Type.CARD, Type.NATIONAL_ID, Type.PHONE]


@pytest.mark.parametrize(
    "text", ["1 " * 50_000, "12-" * 9_000, "+(" * 30_000, "9" * 100_000, "1.1" * 9_000, "A1" * 40_000]
)
def test_a_long_run_of_digits_takes_no_long_time(text):
    started = time.process_time()
    list(numbers(text, text.lower()))
    assert time.process_time() - started < 5
