"""Prefix codes read back what they wrote, and frequent integers are short."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import SignalError
from stillhouse.signals.prefix import LONGEST, PrefixCode, octave


def read(code: PrefixCode, bits: int, context: int) -> tuple[int, int]:
    """What the decoding table says about the next bits."""
    entry = int(code.table[(context << LONGEST) + (bits & (1 << LONGEST) - 1)])
    length, extra = entry & 15, entry >> 4 & 31
    return (entry >> 9) + (bits >> length & (1 << extra) - 1), length + extra


@settings(deadline=None)
@given(st.integers(1, 1 << 19), st.integers(0, 4), st.integers(0, 1000), st.data())
def test_every_integer_is_read_back_whatever_follows(largest, mantissa, seed, data):
    random = np.random.default_rng(seed)
    seen = random.integers(0, largest + 1, 50)
    code = PrefixCode.fit(seen, random.integers(0, 3, 50), 3, largest, mantissa)
    value = data.draw(st.integers(0, largest))
    context = data.draw(st.integers(0, 2))
    bits, length = code.encode(np.array([value]), np.array([context]))
    noise = data.draw(st.integers(0, 15)) << int(length[0])
    assert read(code, int(bits[0]) | noise, context) == (value, int(length[0]))


def test_octaves_are_exact_at_powers_of_two():
    values = np.array([1, 2, 3, 4, 2**19 - 1, 2**19, 2**40 - 1, 2**40])
    assert octave(values).tolist() == [0, 1, 1, 2, 18, 19, 39, 40]


def test_what_is_frequent_is_short_and_nothing_is_long():
    seen = np.array([0] * 100_000 + [1] * 100 + [900])
    code = PrefixCode.fit(seen, np.zeros_like(seen), 1, 4000, 2)
    _, lengths = code.encode(np.arange(4001), 0)
    assert lengths[0] == 1
    assert lengths[1] < lengths[3999]
    assert lengths.max() <= LONGEST + 12
    assert code.lengths.max() <= LONGEST


def test_codes_come_within_a_tenth_of_a_bit_of_the_entropy():
    seen = np.random.default_rng(0).geometric(0.2, 100_000) - 1
    code = PrefixCode.fit(seen, np.zeros_like(seen), 1, 4000, 2)
    shares = np.bincount(seen) / len(seen)
    entropy = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum()
    assert entropy <= code.encode(seen, 0)[1].mean() <= entropy + 0.1


def test_lengths_that_make_no_code_are_refused():
    with pytest.raises(SignalError, match="damaged"):
        PrefixCode(np.array([[1, 2, 2, 2]], dtype=np.uint8), 1)
