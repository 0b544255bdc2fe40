"""Exact binomial tails and the Clopper-Pearson interval, in plain floats up to ten million rows and beyond.

Point probabilities follow C. Loader, "Fast and accurate computation of binomial probabilities" (2000): the
saddle-point form never subtracts large numbers, so the eight digits that log-gamma loses at ten million rows
are kept. A tail is its first term times a sum of products of ratios, all positive and falling, of which
about ten standard deviations matter. Quantiles are bisected to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

__all__ = [
    "POWER",
    "at_least",
    "at_most",
    "clopper_pearson",
    "lower_bound",
    "rows_needed",
    "rows_without_failure",
    "upper_bound",
]

CHUNK = 1024
"""Terms of a tail that are summed at once."""
POWER = 0.8
"""The chance of success that a number of needed rows is meant to give."""
MOST_ROWS = 10_000_000
"""More needed rows than this are as good as none: the share lies on the limit."""


def at_most(count: int, rows: int, share: float) -> float:
    """P(X <= count) for X ~ Binomial(rows, share): sum over i <= count of C(rows, i) share^i (1 - share)^(rows - i)."""
    if count < 0 or count >= rows or share in (0.0, 1.0):
        return float(count >= rows or (count >= 0 and share == 0.0))
    if count <= rows * share:
        return _tail_down(count, rows, share, 1.0 - share)
    return 1.0 - _tail_down(rows - count - 1, rows, 1.0 - share, share)


def at_least(count: int, rows: int, share: float) -> float:
    """P(X >= count) for X ~ Binomial(rows, share)."""
    if count <= 0 or count > rows or share in (0.0, 1.0):
        return float(count <= 0 or (count <= rows and share == 1.0))
    if count >= rows * share:
        return _tail_down(rows - count, rows, 1.0 - share, share)
    return 1.0 - _tail_down(count - 1, rows, share, 1.0 - share)


def lower_bound(count: int, rows: int, confidence: float) -> float:
    """The one-sided lower bound of a share, given `count` out of `rows`: exact, never optimistic.

    The share p that solves P(X >= count; p) = 1 - confidence, or 0 when count is 0. Source: C. J. Clopper and
    E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial" (1934).
    """
    if count == 0:
        return 0.0
    return _bisect(lambda share: at_least(count, rows, share) <= 1.0 - confidence)


def upper_bound(count: int, rows: int, confidence: float) -> float:
    """The one-sided upper bound: the share p that solves P(X <= count; p) = 1 - confidence, or 1 when count is rows."""
    if count == rows:
        return 1.0
    return _bisect(lambda share: at_most(count, rows, share) > 1.0 - confidence)


def clopper_pearson(count: int, rows: int, confidence: float) -> tuple[float, float]:
    """The exact two-sided interval of a share: both one-sided bounds at (1 + confidence) / 2; (0, 1) without rows.

    It covers the true share in at least `confidence` of all samples, whatever that share is.
    Raises ValueError unless 0 <= count <= rows and 0 < confidence < 1.
    """
    if not (0 <= count <= rows and 0.0 < confidence < 1.0):
        raise ValueError(f"No interval for {count} out of {rows} rows at confidence {confidence}.")
    each = (1.0 + confidence) / 2.0
    return lower_bound(count, rows, each), upper_bound(count, rows, each)


def rows_without_failure(limit: float, confidence: float) -> int:
    """The fewest rows that, without one failure, show a share of failures to be at most `limit`.

    The smallest n with (1 - limit)^n <= 1 - confidence; with fewer rows nothing can be shown.
    """
    return math.ceil(math.log1p(-confidence) / math.log1p(-limit))


def rows_needed(share: float, limit: float, confidence: float) -> int | None:
    """About how many rows show that failures are at most `limit`, with 80% power when their share is `share`.

    The test is the exact one, `upper_bound(failures, rows, confidence) <= limit`. None when no number of rows
    under ten million will do: the share lies on or above the limit.
    """

    def power(rows: int) -> float:
        return at_most(_most_failures(rows, limit, confidence), rows, share)

    if share >= limit:
        return None
    low = high = rows_without_failure(limit, confidence)
    while power(high) < POWER:
        low, high = high, high * 2
        if high > MOST_ROWS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def _most_failures(rows: int, limit: float, confidence: float) -> int:
    """The largest count of failures that still shows a share of at most `limit`; -1 when not even none does."""
    low, high = -1, rows
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at_most(middle, rows, limit) <= 1.0 - confidence else (low, middle)
    return low


def _bisect(is_below: Callable[[float], bool]) -> float:
    """The share up to which `is_below` holds, to the last bit."""
    low, high = 0.0, 1.0
    while low < (middle := low + (high - low) / 2.0) < high:
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return low


def _tail_down(count: int, rows: int, share: float, rest: float) -> float:
    """Sum of the point probabilities at count, count - 1, ..., 0, for a count at or under the mean.

    Each term is the one before times i / (rows - i + 1) * rest / share < 1; `rest` is 1 - share, passed so
    that a share near 1 keeps its digits.
    """
    term = total = 1.0
    for start in range(count, 0, -CHUNK):
        i = np.arange(start, max(start - CHUNK, 0), -1, dtype=np.float64)
        terms = term * np.cumprod(i * (rest / share) / (rows + 1.0 - i))
        total += float(terms.sum())
        term = float(terms[-1])
        if term <= total * 1e-18:
            break
    return total * _point(count, rows, share, rest)


def _point(count: int, rows: int, share: float, rest: float) -> float:
    """P(X = count) for 0 < share < 1 and count < rows, by Loader's saddle-point form."""
    if count == 0:
        return math.exp(rows * (math.log1p(-share) if share < 0.5 else math.log(rest)))
    left = rows - count
    exponent = _stirling_error(rows) - _stirling_error(count) - _stirling_error(left)
    exponent -= _deviance(count, rows * share) + _deviance(left, rows * rest)
    return math.exp(exponent) * math.sqrt(rows / (2.0 * math.pi * count * left))


def _stirling_error(n: int) -> float:
    """log n! minus Stirling's formula, (n + 1/2) log n - n + log(2 pi) / 2."""
    if n < 16:
        return math.lgamma(n + 1.0) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2.0 * math.pi)
    square = float(n) * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) / n


def _deviance(count: float, mean: float) -> float:
    """Loader's bd0: count log(count / mean) + mean - count, by a series where the two are close."""
    if abs(count - mean) >= 0.1 * (count + mean):
        return count * math.log(count / mean) + mean - count
    ratio = (count - mean) / (count + mean)
    total, power, odd = (count - mean) * ratio, 2.0 * count * ratio, 1
    while True:
        power *= ratio * ratio
        odd += 2
        if (following := total + power / odd) == total:
            return total
        total = following
