"""What calls cost, exactly; and whose price is known."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stillhouse.errors import UsageError
from stillhouse.teachers.prices import AS_OF, LISTED, Price, known_price, read_price

OPENAI = "https://api.openai.com/v1"


def test_a_cost_is_exact():
    assert Price(Decimal("0.15"), Decimal("0.60")).cost(1, 1) == Decimal("0.00000075")
    assert sum(read_price(0.1, 0.2).cost(3, 0) for _ in range(10)) == Decimal("0.000003")


def test_a_price_is_that_of_the_model_at_its_own_api():
    small = known_price(OPENAI, "gpt-4o-mini-2024-07-18")
    assert small == known_price(OPENAI, "gpt-4o-mini")
    assert small != known_price(OPENAI, "gpt-4o-2024-08-06")
    assert known_price(OPENAI, "gpt-4o-audio-preview") is None
    assert known_price("http://localhost:8000/v1", "gpt-4o") is None
    assert AS_OF.isdecimal()
    assert all(Decimal(read) < Decimal(written) for each in LISTED.values() for read, written in each.values())


def test_nothing_costs_less_than_nothing():
    assert read_price(0, 0).is_free
    for wrong in ((-1.0, 0.0), (0.0, float("nan"))):
        with pytest.raises(UsageError, match="0 or more"):
            read_price(*wrong)
