"""Fixed-point numbers: int8 rows with a scale each, and multiplication by a real number as multiplier and shift."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.errors import UsageError

__all__ = ["FRACTION", "Doubles", "common_multipliers", "int8_rows", "multiplier", "powers", "rounded", "whole"]

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FRACTION = 16
"""Bits after the point of scores, biases and shares."""
MOST_SHIFT = 62
TOP = 31
"""Multipliers lie below 2^31."""
POWER_STEPS, POWER_BITS = 32, 30


def int8_rows(weights: Doubles) -> tuple[npt.NDArray[np.int8], Doubles]:
    """Rows `[rows, ...]` as whole numbers from -127 to 127 and a scale for each: w ≈ scale * q, no zero point."""
    flat = np.abs(weights.reshape(len(weights), -1))
    most = flat.max(axis=1, initial=0.0)
    scales = np.where(most > 0, most, 1.0) / 127
    shaped = scales.reshape(-1, *([1] * (weights.ndim - 1)))
    return np.clip(np.rint(weights / shaped), -127, 127).astype(np.int8), scales


def multiplier(real: float) -> tuple[int, int]:
    """(m, s) with real ≈ m / 2^s, 2^30 <= m < 2^31, so that x * real is (x * m + 2^(s-1)) >> s.

    The integer arithmetic of Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", equations 5 and 6; with one rounding, as TensorFlow Lite has had it since 2021.
    """
    if not (math.isfinite(real) and real > 0):
        raise UsageError(
            f"A scale of {real} cannot be written in whole numbers: the student has weights that are none."
        )
    mantissa, exponent = math.frexp(real)
    found, shift = round(mantissa * 2**TOP), TOP - exponent
    if found == 2**TOP:
        found, shift = found // 2, shift - 1
    if shift > MOST_SHIFT:
        found, shift = found >> min(TOP, shift - MOST_SHIFT), MOST_SHIFT
    if shift < 0:
        raise UsageError(f"A scale of {real:.3g} is too large for whole numbers. Train the student to smaller scores.")
    return found, shift


def common_multipliers(reals: Doubles, least: int = 0) -> tuple[Integers, int]:
    """Multipliers with one shift for all of them, which is at least `least`: real ≈ m / 2^shift."""
    _, shift = multiplier(float(reals.max()))
    if shift < least:
        raise UsageError(
            f"A scale of {float(reals.max()):.3g} is too large for whole numbers. Train the student to smaller scores."
        )
    return np.rint(reals * 2.0**shift).astype(np.int64), shift


def whole(values: Any, bits: int = FRACTION) -> Integers:
    """Numbers in units of 2^-bits; raises UsageError where they do not fit 32 bits."""
    found = np.rint(np.asarray(values, dtype=np.float64) * 2.0**bits)
    if found.size and not np.abs(found).max() < 2**31:
        raise UsageError(f"A weight of {np.abs(np.asarray(values)).max():.3g} does not fit 32 bits. Train it anew.")
    return found.astype(np.int64)


def rounded(values: Integers, shift: Any) -> Integers:
    """values / 2^shift to the nearest whole number, halves upward, as the C code does it."""
    shift = np.asarray(shift, dtype=np.int64)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    return (values + half) >> shift


def powers() -> Integers:
    """2^(-i/32) in units of 2^-30 for i = 0..32: what `student_pick` computes shares by."""
    return np.rint(2.0 ** (POWER_BITS - np.arange(POWER_STEPS + 1) / POWER_STEPS)).astype(np.int64)
