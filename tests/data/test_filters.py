"""Filters: read from words and JSON, put together, and refused with the nearest word where they are none."""

from __future__ import annotations

import pytest

from stillhouse.data.filters import Filter, parse_pairs, parse_range, parse_time
from stillhouse.errors import UsageError

WHOLE = Filter(
    equal={"model": ("a", "")},
    where={"team": "billing"},
    tags=("x",),
    since=5,
    until=9,
    longer=1,
    shorter=9,
    grade=(0.5, None),
    match=("refund",),
    answer=("yes",),
    like="an example",
    near=0.3,
)


@pytest.mark.parametrize("wanted", [WHOLE, Filter(), Filter(grade=(None, 0.5)), Filter(like="")])
def test_a_filter_is_read_as_it_was_written(wanted):
    assert Filter.from_json(wanted.to_json()) == wanted


def test_only_what_is_asked_for_is_told():
    assert Filter().to_json() == {}
    assert Filter(longer=0, match=("a",)).to_json() == {"longer": 0, "match": ["a"]}


@pytest.mark.parametrize(
    ("value", "hint"),
    [({"lik": "x"}, "Is it like"), ({"equal": {"modell": ["a"]}}, "Is it model"), ({"near": 2}, "0 to 1")],
)
def test_what_a_filter_does_not_know_is_refused(value, hint):
    with pytest.raises(UsageError, match=hint):
        Filter.from_json(value)


def test_two_filters_become_one():
    joined = WHOLE.joined(Filter(equal={"label": ("b",)}, where={"use": "1"}, match=("card",), since=6))
    assert joined.equal == {"model": ("a", ""), "label": ("b",)}
    assert joined.where == {"team": "billing", "use": "1"}
    assert (joined.match, joined.since, joined.until, joined.near) == (("refund", "card"), 6, 9, 0.3)


def test_values_never_stand_in_the_sql():
    condition, values = Filter(equal={"model": ("x'; DROP", "")}, tags=("t'",), since=1, grade=(0.1, 0.2)).conditions()
    assert "DROP" not in condition
    assert values == ["x'; DROP", 1, 0.1, 0.2, "t'"]
    assert condition.count("?") == len(values)


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        ("2026-03-31", 1_774_915_200),
        ("2026-03-31T12:00", 1_774_958_400),
        ("2026-03-31T12:00+02:00", 1_774_951_200),
        ("1774915200", 1_774_915_200),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(word, seconds):
    assert parse_time("--since", word) == seconds


@pytest.mark.parametrize("word", ["yesterday", "", "2026-13-01", "12"])
def test_what_is_no_time_is_refused(word):
    with pytest.raises(UsageError, match="--since"):
        parse_time("--since", word)


@pytest.mark.parametrize(
    ("word", "bounds"), [("0.5..1", (0.5, 1)), ("0.8..", (0.8, None)), ("..0.3", (None, 0.3)), ("1", (1, 1))]
)
def test_ranges_have_two_ends(word, bounds):
    assert parse_range("--grade", word) == bounds


@pytest.mark.parametrize("word", ["", "..", "a..b", "good"])
def test_what_is_no_range_is_refused(word):
    with pytest.raises(UsageError, match="--grade"):
        parse_range("--grade", word)


def test_pairs_are_cut_at_the_first_sign():
    assert parse_pairs(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    with pytest.raises(UsageError, match="key=value"):
        parse_pairs(["a"])
