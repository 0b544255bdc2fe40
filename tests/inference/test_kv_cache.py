from __future__ import annotations

import pytest
import torch
from transformers.cache_utils import DynamicCache

from stillhouse.inference.kv_cache import holds_all, joined, new_cache, put, taken

HEADS, WIDTH = 2, 3


def states(rows: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, HEADS, size, WIDTH, generator=torch.Generator().manual_seed(seed))


def filled(rows: int, size: int, seed: int = 0):
    cache = new_cache()
    for layer in range(2):
        cache.update(states(rows, size, seed + layer), states(rows, size, seed + layer + 10), layer)
    return cache


@pytest.mark.parametrize("steps", [1, 40, 300])
def test_it_holds_what_transformers_own_holds(steps):
    ours, theirs = new_cache(), DynamicCache()
    for number in range(steps):
        new = states(3, 1 + number % 3, number), states(3, 1 + number % 3, number + 1000)
        told, expected = ours.update(*new, 0), theirs.update(*new, 0)
        assert ours.get_mask_sizes(1, 0) == theirs.get_mask_sizes(1, 0)
    assert ours.get_seq_length() == theirs.get_seq_length()
    assert all(torch.equal(one, other) for one, other in zip(told, expected, strict=True))
    assert ours.get_max_length() == -1


def test_most_tokens_are_added_without_a_copy():
    cache = filled(2, 5)
    before = cache.layers[0].keys.data_ptr()
    for number in range(50):
        cache.update(states(2, 1, number), states(2, 1, number), 0)
    assert cache.layers[0].keys.data_ptr() == before


def test_rows_leave_and_columns_with_them():
    left = taken(filled(4, 6), [3, 1], 2)
    assert left.get_seq_length() == 4
    for layer in range(2):
        assert torch.equal(left.layers[layer].held[0], states(4, 6, layer)[[3, 1], :, 2:])
        assert torch.equal(left.layers[layer].held[1], states(4, 6, layer + 10)[[3, 1], :, 2:])


@pytest.mark.parametrize(("one", "other"), [(3, 5), (5, 3), (4, 4)])
def test_rows_join_and_end_at_the_same_column(one, other):
    both = joined(filled(2, one), filled(1, other, seed=50))
    keys, _ = both.layers[1].held
    assert keys.shape == (3, HEADS, max(one, other), WIDTH)
    assert torch.equal(keys[:2, :, -one:], states(2, one, 1))
    assert torch.equal(keys[2:, :, -other:], states(1, other, 51))
    assert not keys[:2, :, : max(one, other) - one].any()
    both.update(states(3, 1, 7), states(3, 1, 7), 1)
    assert both.get_seq_length(1) == max(one, other) + 1


def test_rows_take_the_places_of_others():
    cache, buffer = filled(3, 6), filled(3, 6)
    before = cache.layers[0].keys.data_ptr()
    put(cache, [2, 0], filled(2, 4, seed=50))
    keys, values = cache.layers[1].held
    assert cache.layers[0].keys.data_ptr() == before
    assert torch.equal(keys[1], buffer.layers[1].held[0][1])
    assert torch.equal(keys[[2, 0], :, 2:], states(2, 4, 51))
    assert torch.equal(values[[2, 0], :, 2:], states(2, 4, 61))
    assert cache.get_seq_length() == 6


def test_whether_it_holds_all_of_a_model():
    assert holds_all(filled(1, 2), 2)
    assert not holds_all(filled(1, 2), 3)
    assert not holds_all(new_cache(), 0)
    assert not holds_all(DynamicCache(), 0)
