"""Which rows say the same: exact and near duplicates, and turns of one conversation."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import MissingExtra
from stillhouse.extras import install, missing

__all__ = [
    "WORD",
    "distinct",
    "duplicate_groups",
    "likeness",
    "near_duplicates",
    "nearly_among",
    "normalise",
    "shingles",
]

Pairs = NDArray[np.int64]

WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")
"""Words; scripts written without spaces are taken letter by letter."""
PERMUTATIONS, BANDS = 64, 16
"""Two texts at Jaccard 0.8 meet in no band with probability (1 - 0.8**4)**16 = 0.0002. Four 16-bit values make a band's
key of 64 bits."""
ESTIMATE_SLACK = 0.2
"""Four standard errors of the estimate at 64 permutations: pairs further below the threshold are not verified."""
WINDOW = 16
"""Neighbours, in text order, that a text is compared with inside one bucket: large buckets stay linear."""
CHUNK = 5_000
MET_AT_ONCE = 500
"""Texts that are compared with all others at once: each may share its bands with every one of them."""


def normalise(text: str) -> str:
    """A text without its differences of case, width and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def distinct(texts: Sequence[str]) -> NDArray[np.int64]:
    """The first row of each text, in order, int64 [distinct]; texts are the same when equal after `normalise`."""
    return np.sort(np.unique(_fingerprints(texts), return_index=True)[1])


def duplicate_groups(
    texts: Sequence[str], conversations: Sequence[str | None], threshold: float = 0.8
) -> NDArray[np.int64]:
    """The group of each row, int64 [rows], numbered by first appearance.

    Rows are joined when their texts are equal after `normalise`, when the Jaccard similarity of their
    sets of words and word pairs is at least `threshold` (candidates by MinHash and banding, Broder
    1997 and Leskovec et al., Mining of Massive Datasets §3.4; each verified exactly), or when they
    belong to one conversation. Joining is transitive.
    """
    absent = missing(["rensa"])  # which the extras `data` and `train` both bring
    if absent:
        raise MissingExtra(f"Near duplicates are found by rensa, which is not installed. Install it: {install(absent)}")
    _, first, row_text = np.unique(_fingerprints(texts), return_index=True, return_inverse=True)
    parents = np.arange(len(first))
    rows: list[int] = first.tolist()
    for one, other in near_duplicates([normalise(texts[row]) for row in rows], threshold):
        _join(parents, one, other)
    met: dict[str, int] = {}
    for text, conversation in zip(row_text, conversations, strict=True):
        if conversation is not None:
            _join(parents, met.setdefault(conversation, int(text)), int(text))
    roots = np.fromiter((_root(parents, text) for text in range(len(parents))), np.int64, len(parents))
    _, first_rows, groups = np.unique(roots[row_text], return_index=True, return_inverse=True)
    ranks = np.empty(len(first_rows), np.int64)
    ranks[np.argsort(first_rows)] = np.arange(len(first_rows))
    return ranks[groups]


def _fingerprints(texts: Sequence[str]) -> NDArray[np.uint64]:
    """64 bits of each text after `normalise`, uint64 [texts]: among a million, two differ in fact with equal bits in
    one of 40 million cases."""
    found = np.empty(len(texts), np.uint64)
    for row, text in enumerate(texts):
        digest = hashlib.blake2b(normalise(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        found[row] = int.from_bytes(digest, "little")
    return found


def _join(parents: NDArray[np.int64], first: int, second: int) -> None:
    first, second = _root(parents, first), _root(parents, second)
    parents[max(first, second)] = min(first, second)


def _root(parents: NDArray[np.int64], node: int) -> int:
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = int(parents[node])
    return node


def near_duplicates(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs of different normalised texts whose Jaccard similarity reaches the threshold; of a large family not every
    pair, but enough to join it."""
    order = sorted(range(len(texts)), key=texts.__getitem__)
    ordered = [texts[index] for index in order]
    if len(ordered) < 2:
        return
    signatures = _signatures(ordered)
    pairs = _likely_pairs(signatures, threshold)
    for at in range(len(pairs)):  # as a list they would take twenty times the memory
        first, second = int(pairs[at, 0]), int(pairs[at, 1])
        if likeness(shingles(ordered[first]), shingles(ordered[second])) >= threshold:
            yield order[first], order[second]


def nearly_among(texts: Sequence[str], others: Sequence[str], threshold: float) -> dict[int, int]:
    """The normalised texts that have a near duplicate among others, by number, each with the number of one of these;
    also of a large family every one."""
    found: dict[int, int] = {}
    if not texts or not others:
        return found
    theirs, ours = _signatures(others), _signatures(texts)
    buckets = [(np.argsort(keys, kind="stable"), np.sort(keys)) for keys in _bands(theirs)]
    sets = [shingles(text) for text in others]
    for start in range(0, len(texts), MET_AT_ONCE):
        both = np.concatenate([theirs, ours[start : start + MET_AT_ONCE]])
        for at, other in _meetings(both, buckets, threshold):
            row = start + at
            if row not in found and likeness(shingles(texts[row]), sets[other]) >= threshold:
                found[row] = other
    return found


def _meetings(
    both: NDArray[np.uint16], buckets: Sequence[tuple[Pairs, NDArray[np.uint64]]], threshold: float
) -> Iterator[tuple[int, int]]:
    """Which of the last rows share a band with which of the first, and agree nearly enough; buckets are of these."""
    first = len(buckets[0][0])
    codes = np.empty(0, np.int64)
    for keys, (order, ordered) in zip(_bands(both[first:]), buckets, strict=True):
        low, high = np.searchsorted(ordered, keys, "left"), np.searchsorted(ordered, keys, "right")
        counts = high - low
        rows = np.repeat(np.arange(len(keys)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        pairs = np.stack([first + rows, order[np.repeat(low, counts) + within]], axis=1)
        pairs = _alike(pairs, both, threshold - ESTIMATE_SLACK)
        codes = np.union1d(codes, (pairs[:, 0] - first) * first + pairs[:, 1])
    for code in codes.tolist():
        yield divmod(code, first)


def _bands(signatures: NDArray[np.uint16]) -> Iterator[NDArray[np.uint64]]:
    """The keys of every row in each band."""
    width = PERMUTATIONS // BANDS
    for band in range(BANDS):
        yield np.ascontiguousarray(signatures[:, band * width : (band + 1) * width]).view(np.uint64).ravel()


def likeness(first: AbstractSet[str], second: AbstractSet[str]) -> float:
    """The Jaccard similarity of two sets, 0..1; 1 of two that are empty."""
    shared = len(first & second)
    either = len(first) + len(second) - shared
    return shared / either if either else 1.0


def shingles(text: str) -> set[str]:
    """The words and word pairs of a normalised text; its symbols where it has no words."""
    words: list[str] = WORD.findall(text) or text.split()
    return {*words, *(f"{left} {right}" for left, right in pairwise(words))}


def _signatures(texts: Sequence[str]) -> NDArray[np.uint16]:
    """The low 16 bits of MinHash signatures, uint16 [texts, PERMUTATIONS]: enough to propose pairs."""
    rensa: Any = import_module("rensa")
    signatures = np.empty((len(texts), PERMUTATIONS), np.uint16)
    for start in range(0, len(texts), CHUNK):
        sets = [sorted(shingles(text)) for text in texts[start : start + CHUNK]]
        matrix = rensa.RMinHash.digest_matrix_from_token_sets(sets, num_perm=PERMUTATIONS, seed=0)
        signatures[start : start + len(sets)] = np.asarray(matrix.to_rows(), np.uint32).astype(np.uint16)
    return signatures


def _likely_pairs(signatures: NDArray[np.uint16], threshold: float) -> Pairs:
    """Pairs of rows that share a band and whose signatures agree nearly enough, int64 [pairs, 2]."""
    rows = len(signatures)
    codes = np.empty(0, np.int64)
    for keys in _bands(signatures):
        order = np.argsort(keys, kind="stable")
        buckets = keys[order]
        found = [codes]
        for step in range(1, min(WINDOW, rows - 1) + 1):
            together = np.flatnonzero(buckets[step:] == buckets[:-step])
            pairs = np.stack([order[together], order[together + step]], axis=1)
            pairs = _alike(pairs, signatures, threshold - ESTIMATE_SLACK)
            found.append(pairs[:, 0] * rows + pairs[:, 1])
        codes = np.unique(np.concatenate(found))
    return np.stack([codes // rows, codes % rows], axis=1)


def _alike(pairs: Pairs, signatures: NDArray[np.uint16], share: float) -> Pairs:
    """The pairs whose signatures are equal in at least this share of places."""
    kept = [
        part[(signatures[part[:, 0]] == signatures[part[:, 1]]).mean(axis=1) >= share]
        for part in (pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK))
    ]
    return np.concatenate(kept) if kept else pairs
