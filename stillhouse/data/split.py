"""Train, selection, calibration and sealed test parts, by content, with nothing that says the same on two sides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.curate import normalise
from stillhouse.data.traffic import Traffic
from stillhouse.errors import TrafficError

__all__ = ["Split", "SplitReport", "positions", "split"]

Indices = NDArray[np.int64]

SHARES = {"train": 0.60, "selection": 0.10, "calibration": 0.15, "test": 0.15}
SHARES_WITH_HOLDOUT = {"train": 0.75, "selection": 0.10, "calibration": 0.15}


@dataclass(frozen=True)
class SplitReport:
    """What the split did, for the terminal and the report."""

    rows: dict[str, int]
    """Rows of each part: train, selection, calibration, test, unlabelled."""
    groups: int
    """Different contents among the rows of the traffic."""
    singletons: int
    """Groups of one row."""
    kept_together: int
    """Rows that have a duplicate, a near duplicate or a turn of the same conversation, kept on one side with it."""
    holdout_leaks: int
    """Rows of the traffic left out because they are near duplicates of the holdout."""
    unlabelled_dropped: int
    """Rows without an answer left out because they are near duplicates of rows outside train."""
    balance: dict[str, dict[str, list[int]]]
    """Field → part → rows of each label, in the order of the field's labels."""
    absent_from_train: dict[str, list[str]]
    """Field → labels that occur outside train only; no student can learn them."""


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, ascending; those of `test` count in the holdout when there is one."""

    train: Indices
    selection: Indices
    calibration: Indices
    test: Indices
    unlabelled: Indices
    """Rows without an answer that may be taught from."""
    report: SplitReport


def split(traffic: Traffic, groups: NDArray[np.int64], *, holdout: Traffic | None = None, seed: int = 0) -> Split:
    """Assign each group of rows to one part by a hash of its content and the seed.

    `groups` are from `duplicate_groups` over the texts of the traffic followed by those of the
    holdout. The answered rows are split 60/10/15/15 into train, selection, calibration and test, or
    75/10/15 with the holdout as the test; rows that share a group with the holdout are left out, and so
    are those of train whose answer is none that a student could give.
    Neither the order of the rows nor other rows matter to a group's part, so that rows keep theirs
    when traffic is added, unless it brings a near duplicate that becomes the group's first text.
    Raises TrafficError when there are fewer different contents than parts.
    """
    rows = len(traffic.texts)
    expected = rows + (len(holdout.texts) if holdout else 0)
    if len(groups) != expected:
        raise ValueError(f"groups has {len(groups)} entries; traffic and holdout have {expected} rows")
    ours = groups[:rows]
    answered = traffic.answered
    leaked = np.isin(ours, groups[rows:])
    usable = answered & ~leaked
    shares = SHARES_WITH_HOLDOUT if holdout else SHARES
    part_of = _assign(positions(traffic.texts, ours, usable, seed), _sizes(ours[usable]), shares)
    row_part = np.array([part_of.get(group, "") for group in ours.tolist()], dtype="U11")
    parts = {name: np.flatnonzero(usable & (row_part == name)) for name in shares}
    parts["train"] = parts["train"][(traffic.labels[parts["train"]] >= 0).all(axis=1)]
    free = ~answered & ~leaked & ((row_part == "train") | (row_part == ""))
    parts["unlabelled"] = np.flatnonzero(free)
    if holdout is not None:
        parts["test"] = np.flatnonzero(holdout.answered)
    dropped = int((~answered & ~leaked & ~free).sum())
    report = _report(traffic, ours, parts, holdout, (int(leaked.sum()), dropped))
    return Split(parts["train"], parts["selection"], parts["calibration"], parts["test"], parts["unlabelled"], report)


def positions(
    texts: Sequence[str], groups: NDArray[np.int64], usable: NDArray[np.bool_], seed: int
) -> dict[int, float]:
    """Where in 0..1 each group with a usable row falls: a hash of the seed and the group's canonical text.

    The canonical text is the one whose own hash is smallest, which no order of rows changes.
    """
    wanted = set(groups[usable].tolist())
    canonical: dict[int, tuple[bytes, str]] = {}
    for text, group in zip(texts, groups.tolist(), strict=True):
        if group in wanted:
            content = normalise(text)
            candidate = (_digest(content), content)
            canonical[group] = min(canonical.get(group, candidate), candidate)
    return {
        group: int.from_bytes(_digest(f"{seed}\n{content}")[:8], "big") / 2**64
        for group, (_, content) in canonical.items()
    }


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _sizes(groups: NDArray[np.int64]) -> dict[int, int]:
    names, sizes = np.unique(groups, return_counts=True)
    return dict(zip(names.tolist(), sizes.tolist(), strict=True))


def _assign(positions: Mapping[int, float], sizes: Mapping[int, int], shares: Mapping[str, float]) -> dict[int, str]:
    """The part of each group by its position; a part left empty takes the lowest group of the fullest part."""
    if len(positions) < len(shares):
        raise TrafficError(
            f"The answered rows hold only {len(positions)} different contents; {len(shares)} are needed so that "
            f"{', '.join(shares)} each get one. Near duplicates and turns of one conversation count once: record more."
        )
    names = list(shares)
    bounds = np.cumsum(list(shares.values()))[:-1]
    part_of = {group: names[int(np.searchsorted(bounds, place, "right"))] for group, place in positions.items()}
    for empty in (name for name in names if name not in set(part_of.values())):
        members = {name: [group for group, part in part_of.items() if part == name] for name in names}
        giving = [name for name in names if len(members[name]) > 1]
        fullest = max(giving, key=lambda name: sum(sizes[group] for group in members[name]))
        part_of[min(members[fullest], key=lambda group: (positions[group], group))] = empty
    return part_of


def _report(
    traffic: Traffic,
    groups: NDArray[np.int64],
    parts: Mapping[str, Indices],
    holdout: Traffic | None,
    left_out: tuple[int, int],
) -> SplitReport:
    sizes = np.bincount(groups) if len(groups) else np.zeros(0, np.int64)
    balance: dict[str, dict[str, list[int]]] = {}
    absent: dict[str, list[str]] = {}
    for index, field in enumerate(traffic.answer.fields):
        name = field.name or "answer"
        columns = {
            part: (holdout if holdout and part == "test" else traffic).labels[parts[part], index] for part in SHARES
        }
        counted = {
            part: np.bincount(column[column >= 0], minlength=len(field.labels)) for part, column in columns.items()
        }
        balance[name] = {part: counts.tolist() for part, counts in counted.items()}
        elsewhere = sum((counts for part, counts in counted.items() if part != "train"), np.zeros(len(field.labels)))
        missing = np.flatnonzero((counted["train"] == 0) & (elsewhere > 0))
        if len(missing):
            absent[name] = [field.show(label) for label in missing.tolist()]
    return SplitReport(
        rows={part: len(parts[part]) for part in (*SHARES, "unlabelled")},
        groups=int((sizes > 0).sum()),
        singletons=int((sizes == 1).sum()),
        kept_together=int(sizes[sizes > 1].sum()),
        holdout_leaks=left_out[0],
        unlabelled_dropped=left_out[1],
        balance=balance,
        absent_from_train=absent,
    )
