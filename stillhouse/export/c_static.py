"""The `static` student in C: a WordPiece tokenizer, int8 vectors of tokens, and a head in whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stillhouse.errors import UsageError
from stillhouse.export.c_fixed import FRACTION, Doubles, common_multipliers, int8_rows, whole
from stillhouse.export.c_source import Answers, Source
from stillhouse.export.c_wordpiece import read_wordpiece

__all__ = ["static_source"]

MOST_WIDTH, MOST_TOKENS = 512, 512
"""So much fits 32-bit sums of int8 by 16-bit numbers, and 64-bit sums of weighted vectors."""
WEIGHT_BITS, SCALE_BITS, MEAN = 24, 16, 16
"""Bits of a token's weight and of its vector's scale; in the mean of vectors, the parts that a unit is cut into."""
LEAST_SHIFT = 17
"""What 32-bit numbers may be shifted by to fit 16 bits, and one more."""


def static_source(
    weights: Mapping[str, Doubles], epsilon: float, spec: Mapping[str, Any], longest: int, answers: Answers
) -> Source:
    """`weights`: those of a StaticStudent by name; `epsilon`: of its layer norm; `spec`: its `tokenizer.json`.

    The mean of vectors v with weights e is sum(e * s * q) / sum(e), where v ≈ s * q with q in int8; of the layer norm
    ((x - mean) / sqrt(variance + epsilon)) epsilon is written in the same units.
    """
    reads = read_wordpiece(spec, longest)
    tokens, width = weights["vectors.weight"].shape
    if width > MOST_WIDTH or longest > MOST_TOKENS:
        raise UsageError(
            f"This student has vectors of {width} numbers and reads {longest} tokens; in C both may be at most 512."
        )
    if len(set(reads.order)) != len(reads.order) or max(reads.order) >= tokens:
        raise UsageError(f"The tokenizer's ids are not those of the student's {tokens} vectors. Distil again.")
    order = np.asarray(reads.order)
    vectors, scales = int8_rows(weights["vectors.weight"][order])
    each = np.exp(weights["weights.weight"][order, 0])
    unit = float(scales.max()) / (2**SCALE_BITS - 1) / MEAN
    arrays = {
        **reads.arrays,
        "static_vectors": vectors.ravel(),
        "static_scales": np.maximum(np.rint(scales / (unit * MEAN)), 1).astype(np.uint16),
        "static_weights": np.maximum(np.rint(each / each.max() * (2**WEIGHT_BITS - 1)), 1).astype(np.uint32),
        "static_gains": whole(weights["norm.weight"]).astype(np.int32),
        "static_offsets": whole(weights["norm.bias"]).astype(np.int32),
    }
    macros: dict[str, str | int] = {**reads.macros, "STATIC_WIDTH": width}
    macros["STATIC_EPSILON"] = f"{min(2**61, max(1, round(epsilon / unit**2)))}ULL"
    for name, label in (("hidden", "HIDDEN"), ("head", "HEAD")):
        matrix, row_scales = int8_rows(weights[f"{name}.weight"])
        multipliers, shift = common_multipliers(row_scales, LEAST_SHIFT)
        macros[f"{label}_SHIFT"] = shift
        arrays |= {
            f"static_{name}": matrix.ravel(),
            f"{name}_multipliers": multipliers.astype(np.int32),
            f"{name}_biases": whole(weights[f"{name}.bias"], FRACTION).astype(np.int32),
        }
    return Source(
        "text", ("characters.c", "static.c"), answers, {}, macros, arrays, {"tokens": len(order), "width": width}
    )
