"""Counts of runs add up, whatever they have counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stillhouse.storage.eval_records import RunCounts

few = st.integers(0, 9)
outcomes = st.tuples(few, few, few)
counts = st.builds(
    RunCounts,
    outcomes,
    st.dictionaries(st.sampled_from("abc"), outcomes),
    st.dictionaries(st.sampled_from("mn"), st.tuples(few, few, few, few)),
)


@given(counts, counts, counts)
def test_the_order_of_adding_is_no_matter(one, two, three):
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + RunCounts() == one
