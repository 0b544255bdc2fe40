from __future__ import annotations

from itertools import pairwise

from stillhouse.data.personal.span import Span, Type, apart


def test_of_two_that_overlap_the_surer_stays_then_the_longer():
    sure, long = Span(5, 10, Type.CARD, 0.9), Span(0, 30, Type.PHONE, 0.6)
    assert apart([long, sure]) == [sure]
    short = Span(0, 4, Type.PHONE, 0.6)
    assert apart([short, long, Span(30, 31, Type.IP, 0.5)]) == [long, Span(30, 31, Type.IP, 0.5)]


def test_many_take_no_time_and_come_in_order():
    many = [Span(place, place + 15, Type.PHONE, 0.5 + place % 7 / 20) for place in range(0, 20_000, 10)]
    kept = apart(reversed(many))
    assert [each.start for each in kept] == sorted(each.start for each in kept)
    assert all(one.end <= other.start for one, other in pairwise(kept))
