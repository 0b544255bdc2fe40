"""The `words` student in C: its table as int8 rows, without the rows that are nothing, and how it reads n-grams."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.export.c_fixed import FRACTION, Doubles, common_multipliers, int8_rows, whole
from stillhouse.export.c_source import Answers, Source
from stillhouse.export.c_unicode import letter_tables

__all__ = ["words_source"]

ROOM = 31
"""Bits for a sum of rows in the units of the shares: its product with 2^30 stays below 2^62."""
GROUP = 32
"""Rows that share a number of 32 bits in the list of those that are there."""


def words_source(table: Doubles, bias: Doubles, limit: int, answers: Answers) -> Source:
    """`table` `[buckets, labels]`, of which row 0 stands for a text without n-grams; at most `limit` grams are read.

    scores = scale * (sum of rows) / sqrt(grams) + bias: the scale is one of each label, so that rows add up as they
    are; 1 / sqrt(grams) is a whole number of 2^-30.
    """
    columns, scales = int8_rows(np.ascontiguousarray(table.T))
    rows = np.ascontiguousarray(columns.T)
    largest = float((scales * np.abs(columns.astype(np.int64)).max(axis=1)).max()) * limit
    bits = min(FRACTION + 8, ROOM - max(0, math.ceil(math.log2(max(largest, 1.0)))))
    multipliers, shift = common_multipliers(scales * 2.0**bits)
    stored = _stored(rows)
    arrays = {
        **letter_tables(),
        **{name: values for name, values in stored.items() if name != "macros"},
        "words_multipliers": multipliers.astype(np.int32),
        "words_bias": whole(bias).astype(np.int32),
    }
    sizes = {"WORDS_BUCKETS": len(rows), "WORDS_LIMIT": limit, "WORDS_SHIFT": shift, "WORDS_BITS": bits}
    return Source(
        kind="text",
        parts=("characters.c", "words.c"),
        answers=answers,
        macros={**sizes, **stored["macros"]},
        arrays=arrays,
        about={"rows": len(rows), "rows_kept": len(stored["words_table"]) // rows.shape[1]},
    )


def _stored(rows: npt.NDArray[np.int8]) -> dict[str, Any]:
    """The table; without its rows of zeros and with a list of the others where that takes less."""
    there = rows.any(axis=1)
    groups = np.zeros(-(-len(rows) // GROUP) * GROUP, dtype=bool)
    groups[: len(rows)] = there
    bits = groups.reshape(-1, GROUP)
    lists = len(bits) * (4 + 4)
    if int((~there).sum()) * rows.shape[1] <= lists:
        return {"macros": {}, "words_table": rows.ravel()}
    counts = bits.sum(axis=1)
    return {
        "macros": {"WORDS_SPARSE": ""},
        "words_table": rows[there].ravel() if there.any() else np.zeros(1, dtype=np.int8),
        "words_there": (bits * (np.uint64(1) << np.arange(GROUP, dtype=np.uint64))).sum(axis=1).astype(np.uint32),
        "words_before": (np.cumsum(counts) - counts).astype(np.uint32),
    }
