"""Rows kept out of a recipe's training file, by their content, before anything is learnt: to test and to calibrate."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.errors import UsageError
from stillhouse.recipes.read_rows import Rows, read_rows
from stillhouse.recipes.sections import DataSection, TaskName

__all__ = ["Parts", "hold_out", "read_parts"]

LEARNT, TEST, CALIBRATION = "learnt", "test", "calibration"

Parts = tuple[DataSection, Rows | None]
"""What may be learnt from and tested on, and the rows that calibrate."""


def hold_out(data: DataSection, task: TaskName, seed: int, folder: Path, calibrate: bool) -> str:
    """Write what tests, what calibrates where that is wanted, and what is left to learn from, as files in `folder`.

    Rows that calibrate must be like those that test. So where there is a file of test rows they are taken from it, a
    third, and all others stay what they are. Where there is none both come from `data.train`: an eighth calibrates, two
    eighths test. Which part a row is in follows from its content alone: equal rows stay together. Tells how many rows
    each part has.
    """
    source = data.test or data.train
    rows = read_rows(replace(data, train=source, selection=source, test=None, rows=None), task, seed)
    shares = {CALIBRATION: 8, TEST: 16} if data.test else {CALIBRATION: 3, TEST: 6, LEARNT: 15}
    if not calibrate:
        shares = {TEST: 6, LEARNT: 18}
    parts: dict[str, list[int]] = {name: [] for name in shares}
    for row in rows.train[: data.rows if data.test is None else None]:
        draw = _draw(rows.inputs[row], seed) % 24
        for name, share in shares.items():
            if draw < share:
                parts[name].append(row)
                break
            draw -= share
    for name, chosen in parts.items():
        if not chosen:
            different = len({_draw(rows.inputs[row], seed) for row in rows.train})
            raise UsageError(
                f"{source} has {len(rows.train)} rows, {different} of them different: too few to keep some out for "
                f"{name}, as equal ones stay together. Give more rows"
                + ("." if data.test else ", or --test with a file of its own.")
            )
        _write(folder / _name(name, task), rows, chosen, task)
    return ", ".join(f"{name} {len(chosen):,}" for name, chosen in parts.items())


def read_parts(data: DataSection, task: TaskName, seed: int, folder: Path) -> Parts:
    """What `hold_out` wrote into `folder`."""
    learnt, calibration = (folder / _name(name, task) for name in (LEARNT, CALIBRATION))
    found = replace(data, test=folder / _name(TEST, task))
    if learnt.is_file():
        found = replace(found, train=learnt, rows=None)
    if not calibration.is_file():
        return found, None
    return found, read_rows(replace(found, train=calibration, selection=calibration, test=None, rows=None), task, seed)


def _name(part: str, task: TaskName) -> str:
    return f"{part}.npz" if task is TaskName.IMAGE else f"{part}.jsonl"


def _draw(given: Any, seed: int) -> int:
    """A number that follows from a row's content."""
    content = given.tobytes() if isinstance(given, np.ndarray) else json.dumps(given, sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(f"{seed}\n".encode() + content).digest()[:8])


def _write(file: Path, rows: Rows, chosen: list[int], task: TaskName) -> None:
    answers = rows.answers or [None] * len(rows.inputs)
    if task is TaskName.IMAGE:
        labels = np.array([-1 if answers[row] is None else answers[row] for row in chosen], dtype=np.int64)
        np.savez(file, images=np.stack([rows.inputs[row] for row in chosen]), labels=labels)
        return
    with file.open("w", encoding="utf-8") as lines:
        for row in chosen:
            given = rows.inputs[row]
            words = given if isinstance(given, dict) else {"text": given}
            more = {} if answers[row] is None else {"label": answers[row]}
            lines.write(json.dumps({**words, **more}, ensure_ascii=False) + "\n")
