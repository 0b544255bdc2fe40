"""Layers are picked and mapped as the papers do it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.students.pick_layers import alternate, evenly, first, last, layer_map, pick


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


@pytest.mark.parametrize(
    ("pick_some", "total", "keep", "layers"),
    [
        (alternate, 12, 6, (0, 2, 4, 7, 9, 11)),
        (alternate, 6, 3, (0, 2, 5)),
        (alternate, 6, 2, (0, 5)),
        (alternate, 5, 1, (0,)),
        (first, 6, 3, (0, 1, 2)),
        (last, 6, 3, (3, 4, 5)),
    ],
)
def test_other_picks(pick_some, total, keep, layers):
    assert pick_some(total, keep) == layers


@given(st.integers(1, 48).flatmap(lambda total: st.tuples(st.just(total), st.integers(1, total))))
def test_every_pick_is_some_of_the_layers_in_order(sizes):
    total, keep = sizes
    for pick_some in (evenly, alternate, first, last):
        layers = pick_some(total, keep)
        assert pick(total, layers) == layers
        assert len(layers) == keep


@pytest.mark.parametrize("pick_some", [alternate, first, last])
def test_no_pick_takes_more_than_there_are(pick_some):
    with pytest.raises(UsageError, match="A student of 7 layers cannot be cut from an encoder of 6"):
        pick_some(6, 7)


def test_a_number_a_list_or_nothing_says_which_layers():
    assert pick(6, None) == (0, 1, 2, 3, 4, 5)
    assert pick(6, 3) == evenly(6, 3)
    assert pick(6, [1, 4]) == (1, 4)


@pytest.mark.parametrize("layers", [(), (2, 1), (1, 1), (0, 6), (-1, 2)])
def test_lists_that_cannot_be_are_refused(layers):
    with pytest.raises(UsageError, match=r"cannot be kept of a teacher of 6: name some of 0 to 5"):
        pick(6, layers)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("uniform", {0: 0, 1: 2, 2: 5}), ("skip", {0: 1, 1: 3, 2: 5}), ("last", {0: 3, 1: 4, 2: 5})],
)
def test_known_layer_maps(strategy, expected):
    assert layer_map(3, 6, strategy) == expected


@given(st.integers(1, 48).flatmap(lambda total: st.tuples(st.just(total), st.integers(1, total))))
def test_layer_maps_rise_and_name_every_layer_of_the_student(sizes):
    teacher, student = sizes
    for strategy in ("uniform", "skip", "last"):
        mapped = layer_map(student, teacher, strategy)
        assert list(mapped) == list(range(student))
        assert sorted(set(mapped.values())) == list(mapped.values())
        assert max(mapped.values()) < teacher
    assert layer_map(teacher, teacher, "skip") == layer_map(teacher, teacher) == layer_map(teacher, teacher, "last")


def test_layers_cannot_be_mapped_any_other_way():
    with pytest.raises(UsageError, match="no way 'random' to map layers; choose uniform, skip or last"):
        layer_map(3, 6, "random")
    with pytest.raises(UsageError, match="A student of 7 layers"):
        layer_map(7, 6)
