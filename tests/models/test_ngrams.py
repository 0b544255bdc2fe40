"""Hashed n-grams are stable, case-blind and bounded."""

from __future__ import annotations

import numpy as np

from stillhouse.models.ngrams import ngram_ids

BUCKETS = 1 << 15


def test_the_same_text_gives_the_same_ids_for_ever():
    assert ngram_ids("a b", 1000, 64).tolist() == [53, 176, 398, 564, 596]


def test_words_pairs_and_pieces_count_once_each():
    # " ab ": words {ab}, no pair, pieces of 3 {" ab", "ab "} and of 4 {" ab "}
    assert len(ngram_ids("ab", BUCKETS, 64)) == 4
    assert len(ngram_ids("ab ab", BUCKETS, 64)) == 5, "only the pair is new"


def test_case_does_not_matter_and_order_does():
    assert np.array_equal(ngram_ids("Late Parcel", BUCKETS, 64), ngram_ids("late parcel", BUCKETS, 64))
    assert not np.array_equal(ngram_ids("late parcel", BUCKETS, 64), ngram_ids("parcel late", BUCKETS, 64))


def test_ids_stay_in_the_table_and_leave_zero_to_padding():
    ids = ngram_ids("the quick brown fox jumps over the lazy dog", 50, 1000)
    assert ids.min() >= 1
    assert ids.max() <= 49


def test_no_more_than_the_limit_are_kept():
    assert len(ngram_ids("the quick brown fox", BUCKETS, 7)) == 7


def test_nothing_gives_nothing():
    assert ngram_ids(" \n\t", BUCKETS, 64).tolist() == []
    assert ngram_ids("", BUCKETS, 64).dtype == np.int64
