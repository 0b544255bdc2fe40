"""What a call may cost at most, and what of it is kept back until it is known."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from stillhouse.errors import DataError, UsageError
from stillhouse.generation.budget import IMAGE_TOKENS, Budget, Ledger, measure

D = Decimal


def request(content, **more) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **more}).encode()


def test_a_prompt_has_no_more_tokens_than_bytes():
    size = measure(request("hello " * 100, max_tokens=50, n=3))
    assert 600 < size.most < 800
    assert 100 < size.likely < 200
    assert size.written == 150
    assert measure(request("x", max_completion_tokens=7)).written == 7
    assert measure(request("x")).written is None


def test_with_a_tokenizer_the_words_are_counted():
    def count(text: str) -> int:
        return len(text.split())

    size = measure(request("one two three", tools=[]), count)
    assert 3 < size.most < 60
    assert size.likely == size.most


def test_a_picture_counts_by_itself_and_not_by_its_bytes():
    parts = [{"type": "text", "text": "what"}, {"type": "image_url", "image_url": {"url": "data:" + "x" * 900_000}}]
    size = measure(request(parts))
    assert IMAGE_TOKENS < size.most < IMAGE_TOKENS + 300
    assert size.likely < 1000
    assert measure(request(parts), len).most < IMAGE_TOKENS + 300


@pytest.mark.parametrize("body", [b"no", b"[]", b'{"messages": 3}', b"{}", b'{"messages": ["x"]}'])
def test_what_is_no_request_is_refused(body):
    with pytest.raises(DataError, match="no chat request"):
        measure(body)


def test_a_reserve_is_part_of_what_is_spent_until_it_is_settled():
    ledger = Ledger()
    ledger.reserve("a", D(3))
    assert (ledger.fits(D(2), D(5)), ledger.fits(D("2.01"), D(5)), ledger.fits(D(99), None)) == (True, False, True)
    ledger.settle("a", D(3), D(1), replayed=False)
    assert (ledger.spent, ledger.reserved) == (1, 0)
    ledger.reserve("b", D(3))
    ledger.release("b", D(3))
    ledger.release("b", D(3))
    assert ledger.reserved == 0


def test_what_may_have_been_paid_stays_reserved_until_the_server_says_that_it_was_not():
    ledger = Ledger()
    for _ in range(3):
        ledger.reserve("a", D(3))
    ledger.settle("a", D(3), D(1), replayed=False)
    assert (ledger.spent, ledger.reserved) == (1, 6)
    ledger.reserve("a", D(3))
    ledger.settle("a", D(3), D(1), replayed=True)
    assert (ledger.spent, ledger.reserved) == (2, 0)


def test_a_budget_is_a_sum():
    for wrong in (D(-1), D("nan"), D("inf")):
        with pytest.raises(UsageError, match="0 or more"):
            Budget(wrong)
