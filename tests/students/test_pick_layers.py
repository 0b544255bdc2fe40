"""Layers are picked evenly, the first and the last among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.students.pick_layers import evenly


@pytest.mark.parametrize(
    ("total", "keep", "layers"),
    [(6, 3, (0, 2, 5)), (12, 6, (0, 2, 4, 6, 8, 11)), (6, 2, (0, 5)), (6, 1, (0,)), (4, 4, (0, 1, 2, 3)), (1, 1, (0,))],
)
def test_known_picks(total, keep, layers):
    assert evenly(total, keep) == layers


@given(st.integers(2, 48).flatmap(lambda total: st.tuples(st.just(total), st.integers(2, total))))
def test_picks_rise_from_the_first_to_the_last(sizes):
    total, keep = sizes
    layers = evenly(total, keep)
    assert len(set(layers)) == keep
    assert (layers[0], layers[-1]) == (0, total - 1)
    assert list(layers) == sorted(layers)


@pytest.mark.parametrize("keep", [0, -1, 7])
def test_what_is_not_there_cannot_be_kept(keep):
    with pytest.raises(UsageError, match=f"A student of {keep} layers cannot be cut from an encoder of 6"):
        evenly(6, keep)
