"""No benchmark, but the whole models that those of compression begin from: their rows as files, and their training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rows import read_rows

from stillhouse.recipes.run_training import RunOptions, run_training
from stillhouse.recipes.sections import (
    DataSection,
    ObjectiveSection,
    SourceKind,
    SourceSection,
    StudentSection,
    TaskName,
    TrainingSection,
)
from stillhouse.recipes.training import TrainRecipe
from stillhouse.training.events import silent

HELD_OUT = 1_000
"""Training rows of BANKING77 that choose forms, and that the whole model does not see."""


def banking77(data: Path, home: Path, most: int | None) -> DataSection:
    """BANKING77 as files in `home`, each of about `most` rows if that is given."""
    train, test = (read_rows(data / "banking77" / f"{part}.jsonl.gz") for part in ("train", "test"))
    order = np.random.default_rng(0).permutation(len(train))
    held, learnt = ([train[at] for at in some] for some in (order[:HELD_OUT], order[HELD_OUT:]))
    parts = {"train": learnt, "selection": held, "test": test}
    some = {part: rows[:: max(1, len(rows) // most)] if most else rows for part, rows in parts.items()}
    texts = {part: ({"text": row["text"], "label": row["label"]} for row in rows) for part, rows in some.items()}
    return section(home, texts, 64)


def section(home: Path, parts: Mapping[str, Iterable[dict[str, Any]]], tokens: int) -> DataSection:
    """Rows of `train`, `selection` and `test` written into `home`."""
    home.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (home / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    train, selection, test = (home / f"{part}.jsonl" for part in ("train", "selection", "test"))
    return DataSection(train=train, selection=selection, test=test, tokens=tokens)


def train_whole(
    task: TaskName, start: str, data: DataSection, training: TrainingSection, out: Path, seed: int = 0
) -> None:
    """Train the model `start` on the words of its rows, into the folder `out`; its stages lie beside it."""
    recipe = TrainRecipe(
        task=task,
        out=out,
        data=data,
        student=StudentSection(model=start),
        source=SourceSection(kind=SourceKind.OFFLINE, batch=32),
        objective=(ObjectiveSection(name="cross_entropy"),),
        training=training,
        seed=seed,
    )
    run_training(recipe, "the benchmark", RunOptions(out.parent / "stages"), silent)
