"""Codecs keep what they promise: errors within bounds, masses that add up, every temperature, any order and batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import SignalError, UsageError
from stillhouse.signals.codec import (
    Codec,
    NoScores,
    SampledCodec,
    TopKCodec,
    codec_of,
    decode_samples,
    encode_samples,
)
from stillhouse.signals.entries import Entries, EntryCoder
from stillhouse.signals.levels import Levels
from stillhouse.signals.told import Sampled, Signal, TopK
from tests.signals.tellings import VOCABULARY, by_id, draws, logits, top_k

CODEC = TopKCodec(VOCABULARY, k=16)


def through(codec: Codec, *signals: Signal) -> tuple[Signal, np.ndarray]:
    """Signals of several samples to bytes and back."""
    prepared = [codec.prepare(signal) for signal in signals]
    coder = EntryCoder.fit(Entries.stack([one.entries for one in prepared]), codec.vocabulary, codec.largest)
    records = [np.frombuffer(record, dtype=np.uint8) for record in encode_samples(codec, coder, prepared)]
    return decode_samples(codec, [(coder, record) for record in records])


def only(codec: Codec, signal: Signal) -> Signal:
    """One sample to bytes and back, without the axis of rows."""
    return through(codec, signal)[0][0]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 60), st.sampled_from([2, 300, 40_000]), st.integers(1, 20), st.integers(0, 1 << 30),
    st.sampled_from([Levels(), Levels(0.125, 0.002), Levels(0.5, np.inf)]),
)  # fmt: skip
def test_ids_are_kept_and_log_probs_within_their_bound(k, vocabulary, positions, seed, levels):
    told = TopK.of(np.random.default_rng(seed).normal(size=(positions, vocabulary)) * 4, k)
    back = only(TopKCodec(vocabulary, k=k, levels=levels), told)
    (ids, exact), (back_ids, rounded) = by_id(told), by_id(back)
    assert np.array_equal(ids, back_ids)
    # half a spacing of its own, and the common shift, which is at most the largest error
    assert np.abs(rounded - exact).max() <= levels.step + 1e-3


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_what_is_told_and_what_is_not_add_up_at_every_kept_temperature(temperature):
    told = top_k(200)
    back = only(CODEC, told)
    assert back.tail(temperature) == pytest.approx(told.tail(temperature), abs=3e-4)
    assert (np.exp(back.at(temperature)).sum(axis=-1) <= 1 + 1e-6).all()
    exact, rounded = (by_id(replace(one, log_probs=one.at(temperature)))[1] for one in (told, back))
    p, q = np.exp(exact.astype(np.float64)), np.exp(rounded.astype(np.float64))
    rest, kept = 1 - p.sum(-1), 1 - q.sum(-1)
    divergence = (p * np.log(p / q)).sum(-1) + rest * np.log(rest / kept)
    assert divergence.mean() <= 2e-4
    assert divergence.max() <= 16 * CODEC.levels.root_step**2 / 2


def test_another_temperature_is_exact_when_levels_are():
    """With z = (2, 1, 0) the shifts of all temperatures are known; only rounding is left."""
    told = TopK.of(np.array([[2.0, 1.0, 0.0]]), 3)
    back = only(TopKCodec(3, k=3, levels=Levels(0.1, 0.001)), told)
    z = np.array([2.0, 1.0, 0.0])
    for heat in (1.0, 2.0, 4.0):
        exact = z / heat - np.log(np.exp(z / heat).sum())
        assert back.at(heat)[0] == pytest.approx(exact, abs=2e-3)
        assert back.tail(heat)[0] == pytest.approx(0, abs=1e-6)


def test_peaked_and_flat_positions_stay_finite():
    peaked = np.zeros((1, VOCABULARY))
    peaked[0, 7] = 1e4
    told = TopK.of(np.concatenate([peaked, np.zeros((1, VOCABULARY)), logits(1) * 50]), 16)
    back = only(CODEC, told)
    assert np.isfinite(back.log_probs).all()
    assert all(np.isfinite(back.at(heat)).all() for heat in (1.0, 2.0, 4.0))
    assert back.log_probs[0, 0] == pytest.approx(0, abs=1e-6)
    assert back.log_probs[1] == pytest.approx(-np.log(VOCABULARY), abs=1e-3)
    assert back.tail(4.0)[1] == pytest.approx(1 - 16 / VOCABULARY, abs=1e-4)


def test_positions_may_have_fewer_than_k_or_none():
    told = top_k(40)
    length = np.random.default_rng(0).integers(0, 17, 40)
    length[[3, 39]] = 0
    there = np.arange(16) < length[:, None]
    told = TopK(told.ids, np.where(there, told.log_probs, -np.inf).astype(np.float32), told.shifts)
    signal, told_at = through(CODEC, told)
    assert told_at[0].tolist() == (length > 0).tolist()
    back = signal[0]
    assert back.there.sum(axis=1).tolist() == length.tolist()
    for at in range(40):
        assert set(back.ids[at][back.there[at]]) == set(told.ids[at][there[at]])
        assert np.isfinite(back.log_probs[at][back.there[at]]).all()
    assert (back.ids[~back.there] == 0).all()


def test_samples_of_different_lengths_are_padded_and_do_not_touch():
    signals = [top_k(positions, seed=positions) for positions in (3, 30, 1)]
    together, told = through(CODEC, *signals)
    assert together.ids.shape == (3, 30, 16)
    assert told.sum(axis=1).tolist() == [3, 30, 1]
    assert not together.there[~told].any()
    for at, signal in enumerate(signals):
        alone = only(CODEC, signal)
        size = len(signal.ids)
        assert np.array_equal(together.ids[at, :size], alone.ids)
        assert np.array_equal(together.log_probs[at, :size], alone.log_probs)
        assert np.array_equal(together.shifts[4.0][at, :size], alone.shifts[4.0])


def test_reading_does_not_depend_on_the_order_of_entries_or_on_what_the_coder_saw():
    told = top_k(50)
    shuffle = np.random.default_rng(0).permutation(16)
    other = TopK(told.ids[:, shuffle], told.log_probs[:, shuffle], told.shifts)
    first = only(CODEC, told)
    both, _ = through(CODEC, top_k(500, seed=9), other)
    assert np.array_equal(first.ids, both.ids[1, :50])
    assert np.array_equal(first.log_probs, both.log_probs[1, :50])


def test_entries_come_by_falling_probability():
    back = only(CODEC, top_k(50))
    assert (np.diff(back.log_probs, axis=-1) <= 0).all()


def test_a_token_takes_few_bytes():
    codec = TopKCodec(VOCABULARY, k=16)
    signals = [codec.prepare(top_k(256, seed=seed)) for seed in range(4)]
    coder = EntryCoder.fit(Entries.stack([one.entries for one in signals[:3]]), VOCABULARY, codec.largest)
    (record,) = encode_samples(codec, coder, signals[3:])
    assert len(record) / 256 <= 40  # bfloat16 and 13 bits of id: 58


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(2, 300), st.integers(0, 1 << 30))
def test_draws_come_back_without_loss(positions, most, seed):
    told = draws(positions, most, seed)
    back = only(SampledCodec(VOCABULARY, draws=2 * most), told)
    for at in range(positions):
        counted = dict(zip(told.ids[at][told.there[at]], told.counts[at][told.there[at]], strict=True))
        assert counted == dict(zip(back.ids[at][back.there[at]], back.counts[at][back.there[at]], strict=True))


def test_no_samples_and_samples_without_positions_are_read():
    signal, told = decode_samples(CODEC, [])
    assert signal.ids.shape[:2] == told.shape == (0, 0)
    empty = TopK(np.zeros((0, 16)), np.zeros((0, 16)), {2.0: np.zeros(0), 4.0: np.zeros(0)})
    signal, told = through(CODEC, empty, top_k(2))
    assert told.tolist() == [[False, False], [True, True]]
    assert through(CODEC, empty)[0].ids.shape[:2] == (1, 0)


@pytest.mark.parametrize(
    "codec",
    [CODEC, TopKCodec(9, 3, (1.0,), Levels(0.5, np.inf)), SampledCodec(70, 12)],
    ids=lambda codec: str(codec)[:12],
)
def test_a_codec_is_made_again_from_its_description(codec):
    assert codec_of(codec.describe()) == codec


def test_an_unknown_form_is_refused():
    with pytest.raises(SignalError, match="'moods'"):
        codec_of({"form": "moods"})


def wrong(**changes: object) -> TopK:
    return replace(top_k(4), **changes)


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        (wrong(ids=np.full((4, 16), VOCABULARY)), "not in the vocabulary"),
        (wrong(ids=np.full((4, 16), -1)), "not in the vocabulary"),
        (wrong(ids=np.full((4, 16), 3)), "names id 3 twice"),
        (wrong(log_probs=np.zeros((4, 16), dtype=np.float32)), "add up to 16"),
        (wrong(log_probs=np.full((4, 16), np.nan, dtype=np.float32)), "add up to nan"),
        (wrong(shifts={2.0: np.full(4, 9.0), 4.0: np.zeros(4)}), "temperature 2 the probabilities"),
        (top_k(4, k=17), r"at most 16\]; this one is \[4, 17\]"),
        (top_k(4).spread(np.arange(4), (2, 2)), "positions"),
        (draws(4, 8), "a sample of draws"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(signal, said):
    with pytest.raises(SignalError, match=said):
        CODEC.prepare(signal)


def test_a_temperature_without_a_shift_is_refused():
    with pytest.raises(UsageError, match="not 4"):
        CODEC.prepare(TopK.of(logits(2), 16, temperatures=(2.0,)))


def test_too_many_draws_and_the_wrong_form_are_refused():
    with pytest.raises(SignalError, match="were made for 3"):
        SampledCodec(VOCABULARY, draws=3).prepare(Sampled(np.array([[1, 2]]), np.array([[2, 2]])))
    with pytest.raises(SignalError, match="are draws"):
        SampledCodec(VOCABULARY).prepare(top_k(2))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TopKCodec(1), "2 to 524,288 tokens"),
        (lambda: TopKCodec(600_000), "2 to 524,288 tokens"),
        (lambda: TopKCodec(100, k=0), "1 to 4,094 entries"),
        (lambda: SampledCodec(100, draws=5000), "1 to 4,094 entries"),
        (lambda: TopKCodec(100, temperatures=(2.0,)), "1 is one of them"),
        (lambda: TopKCodec(100, temperatures=(1.0, 0.0)), "above 0"),
    ],
)
def test_settings_out_of_reach_are_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()


def test_no_scores_are_as_few_bytes_as_can_be_and_come_back_as_none():
    nothing = Sampled(np.zeros((0, 1), dtype=np.int32), np.zeros((0, 1), dtype=np.int32))
    codec = codec_of(NoScores().describe())
    assert codec == NoScores()
    found, told = through(codec, nothing, nothing, nothing)
    assert (found.ids.shape[:2], told.shape) == ((3, 0), (3, 0))
    with pytest.raises(SignalError, match="hold no scores, and a sample with scores was given"):
        codec.prepare(Sampled(np.array([[1]]), np.array([[1]])))
