"""Labelling in one call: what a model says of plain data, kept in a folder, as a teacher for any number of runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.signals.keep import EMBEDDING, Keep
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.signals.shards import Origin
from stillhouse.tasks.task import Task
from stillhouse.teachers.cached import Cached
from stillhouse.teachers.local import Local
from stillhouse.training.keeping import Asking, keep_signals
from stillhouse.training.task_for import task_for

__all__ = ["label", "read_as"]

SIZE = 256
"""Rows that are hashed together."""


def label(
    teacher: nn.Module,
    data: Any,
    folder: str | Path,
    keep: str | Sequence[str] | None = None,
    tokenizer: Any = None,
    size: int = 16,
) -> Cached:
    """Ask a model about every row of plain data (as `train` takes it) once, and keep what it says in `folder`.

    Gives a teacher for `train` on the same data in the same order; called again it opens what is there, and killed it
    goes on where it was. `keep`: `topk:K`, `samples:N`, `hidden:0,5` (blocks), `embedding`, or several of them; by
    default topk:50, and of an encoder without a head `embedding`. States take two bytes a number: of 12 blocks of width
    768, 18 kB a token. `size`: rows asked at once. Raises UsageError where the model does not fit the data, SignalError
    where the folder holds signals of another model or of other data.
    """
    made = task_for(teacher, data, None, tokenizer)
    if made.student is not teacher:
        raise UsageError(f"{type(teacher).__name__} has no head for labels: load a classifier, or give texts alone.")
    kept = Keep.of(keep or ("topk:50" if made.scored else EMBEDDING))
    tells = frozenset({Kind.HIDDEN, Kind.EMBEDDING}) | (EVERY_SCORE if made.scored else frozenset())
    samples = [str(row) for row in range(made.rows)]
    asking = Asking(Local(teacher, made.task, tells), made.task, samples, size)
    read = read_as(made.task, made.rows)
    origin = Origin(read, _weights(teacher), "")
    reader = keep_signals(Path(folder), origin, kept, asking)
    told = Cached(reader, samples, read)
    lacking = set(kept.extras) - set(reader.widths)
    if lacking or kept.tells - told.tells:
        raise UsageError(
            f"{folder} holds signals of these rows, but not {', '.join(kept.words)}. Name another folder for those."
        )
    return told


def read_as(task: Task, rows: int) -> str:
    """The hash of a task's rows as they were read: their tokens or pixels, and where they are asked something."""
    seen = hashlib.sha256()
    for start in range(0, rows, SIZE):
        batch = task.batch(range(start, min(rows, start + SIZE)))
        for values in (*(batch.inputs[name] for name in sorted(batch.inputs)), task.asked(batch)):
            seen.update(repr(tuple(values.shape)).encode())
            seen.update(_bytes(values))
    return seen.hexdigest()


def _weights(model: nn.Module) -> str:
    """The hash of a model's weights, by name."""
    seen = hashlib.sha256()
    for name, weight in model.state_dict().items():
        seen.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        seen.update(_bytes(weight))
    return seen.hexdigest()


def _bytes(values: Tensor) -> bytes:
    return values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
