"""Rounds of questions to a real server."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stillhouse.errors import TeacherError
from stillhouse.generation.budget import Budget
from stillhouse.generation.desk import Desk
from stillhouse.generation.inquiry import Inquiry
from stillhouse.generation.rounds import Rounds
from stillhouse.teachers.prices import Price
from tests.generation.rules import Words, asking

INQUIRY = Inquiry("large", Words("{text}"), {"max_completion_tokens": 5})


def ask(*texts):
    return [INQUIRY.question(text, {"text": text}) for text in texts]


def test_rounds_add_up(tmp_path):
    with asking(lambda words, _: words.upper(), tmp_path) as (rules, rounds):
        first, second = rounds(ask("a", "b")), rounds(ask("b", "c"))
    assert first["a"].choices[0]["message"]["content"] == "A"
    assert set(second) == {"b", "c"}
    assert len(rules.asked) == 3
    assert (rounds.tally.asked, rounds.tally.cached, rounds.tally.prompt_tokens) == (3, 1, 30)


def test_nothing_is_asked_for_nothing(tmp_path):
    with asking(lambda *_: "", tmp_path) as (rules, rounds):
        assert rounds([]) == {}
    assert rules.asked == []


def test_a_budget_that_stops_is_an_error_and_what_was_paid_is_kept(tmp_path):
    small = Budget(Decimal("0.2"), Price(Decimal(1000), Decimal(1000)), "job")
    with asking(lambda words, _: words, tmp_path, budget=small) as (rules, rounds):
        with pytest.raises(TeacherError, match=r"questions have no answer: the next call may cost"):
            rounds(ask(*"abcdefghij"))
        paid = len(rules.asked)
        assert 0 < paid < 10
        assert len(Rounds(rounds.desk, partial=True)(ask(*"abcdefghij"))) == paid
        larger = Desk(
            rounds.desk.line, rounds.desk.book, budget=Budget(Decimal(9), Price(Decimal(1), Decimal(1)), "job")
        )
        assert len(Rounds(larger)(ask(*"abcdefghij"))) == 10
        assert len(rules.asked) == 10


def test_those_who_wait_are_told(tmp_path):
    heard = []
    with asking(lambda words, _: words, tmp_path) as (_, rounds):
        Rounds(rounds.desk, lambda done, total: heard.append((done, total)))(ask("a", "b"))
    assert heard == [(1, 2), (2, 2)]
