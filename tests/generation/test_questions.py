"""A call is known by where it goes and what it says."""

from __future__ import annotations

from decimal import Decimal

from stillhouse.generation.questions import Estimate, Question


def test_a_digest_is_of_the_address_the_body_and_the_number():
    one = Question("a", b"{}")
    others = [Question("a", b"{ }").digest("x"), Question("a", b"{}", 1).digest("x"), one.digest("y")]
    assert one.digest("x") == Question("b", b"{}").digest("x")
    assert one.digest("x") not in others
    assert len({*others, one.digest("x")}) == 4
    assert len(one.digest("x")) == 64


def test_an_estimate_is_plain_values():
    estimate = Estimate(3, 2, 1, 0, 10, 20, 40, None, Decimal("0.5"), Decimal(0))
    assert estimate.to_json()["most_cost"] == 0.5
    assert estimate.to_json()["cost"] is None
