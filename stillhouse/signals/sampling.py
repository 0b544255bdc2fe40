"""Draws from dense distributions, seeded by sample: an unbiased few ids in place of a whole vocabulary."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.errors import UsageError
from stillhouse.signals.told import Sampled

__all__ = ["draw_tokens"]

_BLOCK = 64
"""A draw finds its block of ids first, then the id in it: the cumulative sum of a whole vocabulary is never made."""
_LOGITS = 1 << 20
"""How many logits are drawn from side by side: as many positions as stay in the cache."""


def draw_tokens(logits: npt.NDArray[Any], draws: int, sample: str, seed: int = 0, temperature: float = 1.0) -> Sampled:
    """Draw `draws` times with replacement from softmax(z / T) at each position: `[positions, vocabulary]` logits.

    Log-probs are logits too; minus infinity is never drawn. For every id E[count / draws] = p and
    Var[count / draws] = p (1 - p) / draws, so cross-entropy with counts / draws and its gradient are unbiased; take
    cross-entropy, since KL would also hold the entropy of the draws. The draws depend on `seed`, `sample` and the
    number of the position only, not on the batch. Ids come by falling count and then by id: `[positions, m]` with
    the most unique ids of a position as m, at most `draws`. Raises UsageError for logits that are no numbers.

    Anshumann et al. 2025, Sparse Logit Sampling, arxiv.org/abs/2503.16870.
    """
    if draws < 1 or temperature <= 0:
        raise UsageError(f"Draws and temperature are above 0; they are {draws} and {temperature}.")
    key = hashlib.blake2b(f"{seed}\0{sample}".encode(), digest_size=16).digest()
    uniform = np.random.default_rng(int.from_bytes(key, "little")).random((len(logits), draws))
    drawn = np.zeros((len(logits), draws), dtype=np.int64)
    together = max(_LOGITS // logits.shape[1], 1)
    for at in range(0, len(logits), together):
        part = slice(at, at + together)
        drawn[part] = _draw(_weights(logits[part], temperature), uniform[part])
    return _count(drawn)


def _weights(logits: npt.NDArray[Any], temperature: float) -> npt.NDArray[np.float32]:
    """exp(z / T) up to a factor, in whole blocks of ids: `[positions, vocabulary]` -> `[positions, blocks, _BLOCK]`."""
    positions, vocabulary = logits.shape
    top = logits.max(axis=1, keepdims=True, initial=-np.inf)
    if not np.isfinite(top).all():
        raise UsageError("Some logits are not numbers, or a position has none above minus infinity.")
    weights = np.zeros((positions, -(-vocabulary // _BLOCK) * _BLOCK), dtype=np.float32)
    scaled = weights[:, :vocabulary]
    np.subtract(logits, top, out=scaled, casting="same_kind")
    if temperature != 1.0:
        scaled /= np.float32(temperature)
    np.exp(scaled, out=scaled)
    return weights.reshape(positions, -1, _BLOCK)


def _draw(weights: npt.NDArray[np.float32], uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Invert the cumulative sum at `uniform` `[positions, draws]`: first over blocks, then inside the blocks hit."""
    sums = np.cumsum(np.einsum("pbi->pb", weights), axis=1, dtype=np.float64)
    wanted = np.minimum(uniform * sums[:, -1:], np.nextafter(sums[:, -1:], 0.0))
    blocks = np.zeros(uniform.shape, dtype=np.int64)
    for found, row, those in zip(blocks, sums, wanted, strict=True):
        found[:] = np.searchsorted(row, those, side="right")
    rows = np.arange(len(uniform))[:, None]
    before = np.where(blocks > 0, sums[rows, blocks - 1], 0.0)
    share = (wanted - before) / (sums[rows, blocks] - before)
    inside = np.cumsum(weights[rows, blocks], axis=2, dtype=np.float64)
    ends = inside[..., -1]
    place = np.minimum(share * ends, np.nextafter(ends, 0.0))
    return blocks * _BLOCK + (inside <= place[..., None]).sum(axis=2)


def _count(drawn: npt.NDArray[np.int64]) -> Sampled:
    """Unique ids and how often each was drawn, by falling count: `[positions, draws]` -> `[positions, m]` each."""
    drawn = np.sort(drawn, axis=1)
    new = np.diff(drawn, axis=1, prepend=-1) != 0
    slots = np.cumsum(new, axis=1) - 1 + np.arange(len(drawn))[:, None] * drawn.shape[1]
    counts = np.bincount(slots.ravel(), minlength=drawn.size).reshape(drawn.shape)
    ids = np.zeros_like(drawn)
    ids.ravel()[slots[new]] = drawn[new]
    order = np.argsort(-counts, axis=1, kind="stable")[:, : int((counts > 0).sum(axis=1).max(initial=0))]
    ids, counts = np.take_along_axis(ids, order, axis=1), np.take_along_axis(counts, order, axis=1)
    return Sampled(ids.astype(np.int32), counts.astype(np.int32))
