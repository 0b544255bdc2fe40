"""Entries come back from their bytes without loss, whatever they are and whatever the coder has seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.signals.entries import MOST_IDS, MOST_VALUES, Entries, EntryCoder, Streams

sizes = st.sampled_from([2, 3, 100, 32_000, 151_936, MOST_IDS])


def some(positions: int, k: int, vocabulary: int, largest: int, seed: int) -> Entries:
    """Random entries, between 1 and k at each position."""
    random = np.random.default_rng(seed)
    k = min(k, vocabulary)
    ids = np.stack([random.choice(vocabulary, k, replace=False) for _ in range(positions)])
    there = np.arange(k) < random.integers(1, k + 1, (positions, 1))
    return Entries.of(ids, random.integers(0, largest + 1, (positions, k)), there)


def back(coder: EntryCoder, entries: Entries, streams: Streams) -> Entries:
    return coder.decode(streams, entries.there.sum(axis=1), entries.keys.shape[1])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 60), sizes, st.integers(1, MOST_VALUES - 1), st.integers(0, 1 << 30))
def test_what_goes_in_comes_out(positions, k, vocabulary, largest, seed):
    entries = some(positions, k, vocabulary, largest, seed)
    coder = EntryCoder.fit(some(30, 8, vocabulary, largest, seed + 1), vocabulary, largest)
    assert np.array_equal(back(coder, entries, coder.encode(entries)).keys, entries.keys)


def test_more_positions_than_go_side_by_side():
    entries = some(9000, 3, 1000, 200, 0)
    coder = EntryCoder.fit(entries, 1000, 200)
    streams = coder.encode(entries)
    assert np.array_equal(back(coder, entries, streams).keys, entries.keys)
    assert streams.lengths.sum() == len(streams.data)


def test_a_coder_that_has_seen_nothing_codes_anything():
    coder = EntryCoder.fit(Entries(np.zeros((0, 4), dtype=np.uint32)), 700, 50)
    entries = some(20, 4, 700, 50, 0)
    assert np.array_equal(back(coder, entries, coder.encode(entries)).keys, entries.keys)


def test_extremes_of_ids_and_numbers_fit_the_window():
    ids = np.array([[0, MOST_IDS - 1], [MOST_IDS - 2, MOST_IDS - 1]])
    values = np.array([[0, MOST_VALUES - 1], [MOST_VALUES - 1, 0]])
    entries = Entries.of(ids, values, np.ones((2, 2), dtype=bool))
    coder = EntryCoder.fit(some(500, 8, 100, 3, 0), MOST_IDS, MOST_VALUES - 1)
    assert np.array_equal(back(coder, entries, coder.encode(entries)).keys, entries.keys)


def test_entries_come_by_falling_number_and_then_by_id():
    entries = Entries.of(np.array([[7, 5, 9, 3]]), np.array([[1, 4, 4, 8]]), np.array([[True, True, True, False]]))
    assert entries.ids.tolist() == [[5, 9, 7, 0]]
    assert entries.values.tolist() == [[4, 4, 1, -1]]
    assert entries.there.tolist() == [[True, True, True, False]]


def test_a_coder_survives_its_packing():
    seen = some(300, 10, 2000, 90, 3)
    coder = EntryCoder.fit(seen, 2000, 90)
    parts = {name: np.frombuffer(part, dtype=np.uint8) for name, part in coder.pack().items()}
    again = EntryCoder.unpack(2000, parts)
    assert np.array_equal(again.order, coder.order)
    assert np.array_equal(again.encode(seen).data, coder.encode(seen).data)


def test_ids_that_come_often_cost_less():
    random = np.random.default_rng(0)
    frequent = random.permutation(50_000)[:200]
    ids = np.stack([random.choice(frequent, 20, replace=False) for _ in range(600)])
    entries = Entries.of(ids, np.zeros_like(ids), np.ones(ids.shape, dtype=bool))
    coder = EntryCoder.fit(Entries(entries.keys[:300]), 50_000, 10)
    rest = Entries(entries.keys[300:])
    # 20 of 200 are worth log2 C(200, 20) = 90 bits, 20 of 50,000 are worth 251; each number and the first take a bit
    assert coder.encode(rest).lengths.mean() * 8 < 90 + 21 + 25


@pytest.mark.parametrize(("ids", "repeated"), [([[1, 2, 3]], None), ([[1, 2, 1]], 1), ([[4, 0, 0]], None)])
def test_a_repeated_id_is_found_among_those_there(ids, repeated):
    there = np.array([[True, True, ids != [[4, 0, 0]]]])
    assert Entries.of(np.array(ids), np.array([[5, 6, 7]]), there).repeated() == repeated
