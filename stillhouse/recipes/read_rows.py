"""The rows of a recipe's data files, and which of them are learnt, measured on and tested on."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from stillhouse.artifacts import hash_file, hash_json
from stillhouse.errors import UsageError
from stillhouse.recipes.sections import DataSection, TaskName
from stillhouse.tasks.explained import asked_twice
from stillhouse.tasks.pairs import pair_of

__all__ = ["Rows", "read_arrays", "read_rows", "spread"]

HELD_OUT = 10
"""One row in so many of `train` is kept from training where no selection file is given."""


@dataclass(frozen=True)
class Rows:
    """All rows of a recipe in one list, and the numbers of those of each part; `test` may be `selection` again."""

    inputs: Sequence[Any]
    """Texts, rows of conversations, or pictures."""
    answers: Sequence[Any] | None
    """Labels by name or number, None where a row has none; of conversations and texts without labels, None at all."""
    train: tuple[int, ...]
    selection: tuple[int, ...]
    test: tuple[int, ...]
    hash: str
    """Of all files and of how they are split."""

    @property
    def counts(self) -> dict[str, int]:
        """How many rows each part has."""
        return {"train": len(self.train), "selection": len(self.selection), "test": len(self.test)}


def read_rows(section: DataSection, task: TaskName, seed: int) -> Rows:
    """Read the files of a recipe; raises UsageError naming the file, and the line of a row that cannot be used."""
    files = [file for file in (section.train, section.selection, section.test) if file is not None]
    parts = {file: _read(file, task) for file in dict.fromkeys(files)}
    learnt = {section.train: parts[section.train][: section.rows]}
    inputs: list[tuple[Any, Any]] = []
    places: dict[Path, tuple[int, ...]] = {}
    for file, rows in (parts | learnt).items():
        places[file] = tuple(range(len(inputs), len(inputs) + len(rows)))
        inputs.extend(rows)
    train, selection = places[section.train], places[section.selection] if section.selection else ()
    if section.selection is None:
        if len(train) < 2:
            raise UsageError(f"{section.train} has {len(train)} rows; 2 or more are needed to learn and to measure.")
        order: list[int] = np.random.default_rng((seed, len(train))).permutation(np.array(train)).tolist()
        held = max(1, len(order) // HELD_OUT)
        train, selection = tuple(sorted(order[held:])), tuple(sorted(order[:held]))
    digest = hash_json(
        [task.value, seed, section.rows, *(hash_file(file) if file else None for file in _three(section))]
    )
    answers = [answer for _, answer in inputs]
    test = places[section.test] if section.test else selection
    known = answers if any(answer is not None for answer in answers) else None
    return Rows([given for given, _ in inputs], known, train, selection, test, digest)


def spread(rows: Sequence[int], most: int) -> tuple[int, ...]:
    """At most so many of `rows`, evenly spread: files are often sorted by class, so their first rows are of few."""
    count = min(most, len(rows))
    return tuple(rows[at * len(rows) // count] for at in range(count))


def _three(section: DataSection) -> tuple[Path | None, ...]:
    return section.train, section.selection, section.test


def _read(file: Path, task: TaskName) -> list[tuple[Any, Any]]:
    """What is given and what is answered, row by row."""
    try:
        rows = _pictures(file) if task is TaskName.IMAGE else [_row(row, task, file, at) for at, row in _lines(file)]
    except (OSError, EOFError, zlib.error) as error:  # the latter two of a file that was packed and is torn
        raise UsageError(f"The data {file} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not rows:
        raise UsageError(f"The data {file} hold no rows.")
    return rows


def _lines(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """Objects of JSON, with the numbers of their lines."""
    with file.open("rb") as opened:
        start = opened.read(2)
    if start == b"PK":
        raise UsageError(f"{file} is an archive, as pictures are kept in (.npz), and no file of JSON lines.")
    found: list[tuple[int, dict[str, Any]]] = []
    with gzip.open(file) if start == b"\x1f\x8b" else file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UsageError(f"{file}, line {number}: it is not valid JSON ({error}).") from error
            if not isinstance(row, dict):
                raise UsageError(f'{file}, line {number}: a row is an object, such as {{"text": ...}}.')
            found.append((number, cast("dict[str, Any]", row)))
    return found


def _row(row: dict[str, Any], task: TaskName, file: Path, line: int) -> tuple[Any, Any]:
    checks = {TaskName.PREFERENCE: pair_of, TaskName.RATIONALE: asked_twice}
    if task in checks:
        try:
            checks[task](row)
        except UsageError as error:
            raise UsageError(f"{file}, line {line}: {error}") from error
    if task is TaskName.CHAT or task in checks:
        return row, None
    if not isinstance(row.get("text"), str):
        raise UsageError(f"{file}, line {line}: a row of {task} needs a `text`; its keys are {', '.join(sorted(row))}.")
    label = row.get("label") if task is TaskName.CLASSIFICATION else None
    if label is not None and not isinstance(label, int | str):
        raise UsageError(f"{file}, line {line}: a `label` is a name or a number, not {label!r}.")
    return row["text"], label


def read_arrays(file: Path) -> dict[str, npt.NDArray[Any]]:
    """`images`, and `labels` if there are any, of a .npz file; raises UsageError where it is none, or is torn."""
    try:
        with file.open("rb") as opened:
            if opened.read(2) != b"PK":  # else NumPy takes it for a pickle, and advises to open that unsafely
                raise UsageError(f"{file} is no .npz file of arrays, such as numpy.savez writes.")
            opened.seek(0)
            arrays = np.load(opened, allow_pickle=False)
            if "images" not in arrays:
                raise UsageError(f"{file} has no array `images`; it has {', '.join(arrays) or 'none'}.")
            return {name: np.atleast_1d(arrays[name]) for name in ("images", "labels") if name in arrays}
    except (ValueError, BadZipFile, EOFError, zlib.error) as error:
        raise UsageError(f"{file} is no .npz file of arrays that can be read: {error}") from error


def _pictures(file: Path) -> list[tuple[Any, Any]]:
    """Pictures `[samples, height, width]` or with colours, and labels, from a file of NumPy."""
    arrays = read_arrays(file)
    images = arrays["images"]
    labels = arrays.get("labels", np.full(len(images), -1))
    if len(labels) != len(images):
        raise UsageError(f"{file} has {len(images)} images and {len(labels)} labels; give one for each.")
    if labels.dtype.kind not in "iuf" or labels.ndim != 1 or (labels % 1).any():
        raise UsageError(
            f"The `labels` of {file} must be whole numbers, one a picture and -1 for none; they are "
            f"{labels.dtype} {list(labels.shape)}."
        )
    answers = labels.astype(np.int64).tolist()
    return [(image, None if label < 0 else label) for image, label in zip(images, answers, strict=True)]
