"""A teacher's signals for the rows of a recipe, written into shards once and read by every later run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.artifacts import hash_json
from stillhouse.errors import SignalError, UsageError
from stillhouse.models.load import fingerprint
from stillhouse.models.outputs import Layers
from stillhouse.models.scores import Mixture, Projection, Sampled, TopK, flat
from stillhouse.recipes.answers import answered_rows, ask_missing
from stillhouse.recipes.build import make_task, make_teacher, open_teachers
from stillhouse.recipes.cache import StageCache
from stillhouse.recipes.read_rows import Rows, read_rows
from stillhouse.recipes.training import SourceKind, TaskName, TrainRecipe
from stillhouse.signals import told
from stillhouse.signals.codec import Codec, SampledCodec, TopKCodec
from stillhouse.signals.sampling import draw_tokens
from stillhouse.signals.shards import Origin, ShardReader, ShardWriter
from stillhouse.tasks.image import ImageTask
from stillhouse.tasks.task import Task
from stillhouse.teachers.teacher import Teacher
from stillhouse.training.events import Listener, Note, Progress, StageDone, StageStarted

__all__ = ["Labelled", "label", "label_rows", "open_signals", "sample_ids", "signals_place"]

COMMIT_EVERY = 10.0
"""Seconds of a teacher's work that a kill may cost."""
LOOKED_AT = 200
"""About so many samples tell how much of the teacher's probability is kept."""
ENOUGH = 0.9
ADVICE = 'Keep draws of an unsure teacher (teacher.keep = "samples:50"), or give cross_entropy some weight beside it.'


@dataclass(frozen=True)
class Labelled:
    """What labelling left on the disk: the signals of a teacher in a folder, or the answers of one in a file."""

    folder: Path
    samples: int
    bytes: int
    skipped: bool
    kind: str = "signals"
    held: float | None = None
    """Of the likeliest labels or tokens: the share of the teacher's probability that they hold, 0..1, on average."""

    def to_json(self) -> dict[str, Any]:
        """The one object that `--json` prints."""
        return {
            self.kind: str(self.folder),
            "samples": self.samples,
            "bytes": self.bytes,
            "skipped": self.skipped,
            **({} if self.held is None else {"mass_held": self.held}),
        }


def sample_ids(rows: Rows) -> list[str]:
    """The id of every row; which dataset it is of is said by the shards' origin."""
    return [str(row) for row in range(len(rows.inputs))]


def signals_place(recipe: TrainRecipe, rows: Rows, home: Path) -> tuple[Path, str, str]:
    """The folder of a recipe's signals, and the hashes of the dataset and of the teacher that they are of."""
    data = recipe.data
    dataset = hash_json([rows.hash, data.tokens, data.counts])
    section = recipe.teacher
    asked = [[fingerprint(name) for name in section.names], list(section.weights), section.precision]
    teacher = hash_json([*asked, recipe.seed if section.kept[0] == "samples" else None])
    key = hash_json([dataset, teacher, section.keep])[:16]
    return section.signals or home / "signals" / key, dataset, teacher


def open_signals(recipe: TrainRecipe, rows: Rows, home: Path) -> ShardReader:
    """The finished signals of a recipe; raises UsageError where there are none yet, SignalError where they are others'.

    Without a teacher in the recipe, whose signals they are is not asked.
    """
    folder, dataset, teacher = signals_place(recipe, rows, home)
    if not any(folder.glob("*.shard")):
        raise UsageError(
            f"There are no finished signals in {folder}, which an offline source needs. Write them first: "
            "stillhouse label RECIPE (or take `stillhouse run`, which does both)."
        )
    return ShardReader(folder, dataset=dataset, teacher=teacher if recipe.teacher.names else None)


def label(recipe: TrainRecipe, home: Path, tell: Listener) -> Labelled:
    """Write a recipe's signals while no other run works in this home; see `label_rows`.

    A teacher behind an API answers the rows that have no answer first (`ask_missing`); without another teacher, or
    with one that is asked beside the student, that is all.
    """
    with StageCache(home, tell).locked():
        if recipe.teacher.api is None:
            return label_rows(recipe, read_rows(recipe.data, recipe.task, recipe.seed), home, tell)
        asked = ask_missing(recipe, read_rows(recipe.data, recipe.task, recipe.seed), home, tell)
        rows = answered_rows(recipe, home, tell)
        if recipe.teacher.names and recipe.source.kind is SourceKind.OFFLINE:
            return label_rows(recipe, rows, home, tell)
        size = asked.file.stat().st_size if asked.file.is_file() else 0
        return Labelled(asked.file, asked.rows, size, asked.asked == 0, "answers")


def label_rows(recipe: TrainRecipe, rows: Rows, home: Path, tell: Listener) -> Labelled:
    """Ask the teacher of a recipe about all its rows, and keep what it tells; nothing is asked twice.

    Killed, the same call goes on after the last commit, at most ten seconds of work earlier.
    """
    if not recipe.teacher.names:
        raise UsageError("The recipe names no teacher whose signals could be kept: set teacher.model.")
    if recipe.task is TaskName.EMBEDDING:
        raise UsageError("Signals are kept of scores, and encoders of sentences give vectors: take an online source.")
    if recipe.task in (TaskName.PREFERENCE, TaskName.RATIONALE):
        raise UsageError(f"The task {recipe.task} keeps no signals: take an online source, and stillhouse train.")
    folder, dataset, teacher = signals_place(recipe, rows, home)
    tell(StageStarted("label", "The teacher answers"))
    started = time.monotonic()
    if any(folder.glob("*.shard")):
        done = ShardReader(folder, dataset=dataset, teacher=teacher)
        _check_codec(done.codec, recipe, folder)
        made = _labelled(done, folder, True)
    else:
        opened = open_teachers(recipe)
        made_of = make_task(recipe, rows, opened)
        task = made_of.still() if isinstance(made_of, ImageTask) else made_of  # pictures as they are
        origin = Origin(dataset, teacher, opened[0].vocabulary or "")
        asked = make_teacher(recipe, task, opened)
        assert asked is not None
        with ShardWriter(folder, "signals", origin, _codec(recipe, task)) as writer:
            _write(writer, recipe, rows, (task, asked), tell)
            writer.finish()
        made = _labelled(ShardReader(folder), folder, False)
    holds = "" if made.held is None else f", which hold {made.held:.0%} of the teacher's probability"
    summary = f"{made.samples:,} samples, {recipe.teacher.keep}{holds}, {made.bytes / 1e6:.1f} MB"
    tell(StageDone("label", summary, made.skipped, time.monotonic() - started))
    if made.held is not None and made.held < ENOUGH:
        tell(Note(f"What lies outside of {recipe.teacher.keep} teaches nothing. {ADVICE}", warning=True))
    return made


def _labelled(reader: ShardReader, folder: Path, skipped: bool) -> Labelled:
    size = sum(file.stat().st_size for file in folder.glob("*.shard"))
    return Labelled(folder, len(reader), size, skipped, held=_held(reader))


def _held(reader: ShardReader) -> float | None:
    """The share of the teacher's probability that the kept likeliest hold; None of draws."""
    every = list(reader.samples())
    read = reader.read(every[:: max(1, len(every) // LOOKED_AT)])
    return float(1 - read.signal.tail()[read.told].mean()) if isinstance(read.signal, told.TopK) else None


def _write(writer: ShardWriter, recipe: TrainRecipe, rows: Rows, asked: tuple[Task, Teacher], tell: Listener) -> None:
    """Append every sample that is not there yet."""
    task, teacher = asked
    ids = sample_ids(rows)
    missing = sorted((row for row in range(len(ids)) if ids[row] not in writer), key=task.length)
    keep = _keeper(recipe)
    before, committed = len(ids) - len(missing), time.monotonic()
    for start in range(0, len(missing), recipe.source.batch):
        part = missing[start : start + recipe.source.batch]
        heard = teacher.observe(task.batch(part), Layers())
        scores, there = heard.scores, heard.told
        if there is None or scores is None or isinstance(scores, TopK | Sampled):
            raise SignalError("This teacher gives no score for every label, so nothing can be kept of it.")
        every: Any = flat(scores)
        for at, row in enumerate(part):
            places = there[at].nonzero().squeeze(-1)
            some = every[places + at * there.shape[1]]
            logits = some.logits() if isinstance(some, Projection | Mixture) else some
            signal = keep(logits.float().cpu().numpy(), ids[row])
            positions = int(places[-1]) + 1 if len(places) else 0
            writer.append(ids[row], signal.spread(places.cpu().numpy().astype(np.int64), (1, positions))[0])
        if time.monotonic() - committed > COMMIT_EVERY:
            writer.commit()
            committed = time.monotonic()
        tell(Progress("label", before + start + len(part), len(ids)))


def _keeper(recipe: TrainRecipe) -> Callable[[Any, str], told.Signal]:
    """From logits `[positions, labels]` and the id of a sample to what is kept."""
    form, count = recipe.teacher.kept
    if form == "topk":
        return lambda logits, sample: told.TopK.of(logits, count)
    return lambda logits, sample: draw_tokens(logits, count, sample, recipe.seed)


def _codec(recipe: TrainRecipe, task: Any) -> Codec:
    form, count = recipe.teacher.kept
    by_task = {TaskName.CHAT: "vocabulary", TaskName.IMAGE: "classes"}
    labels = int(getattr(task, by_task[recipe.task]) if recipe.task in by_task else max(task.sizes))
    return TopKCodec(labels, min(count, labels)) if form == "topk" else SampledCodec(labels, count)


def _check_codec(codec: Codec, recipe: TrainRecipe, folder: Path) -> None:
    """Refuse finished signals of another form than the recipe wants."""
    form, count = recipe.teacher.kept
    kept = ("samples", codec.most) if isinstance(codec, SampledCodec) else ("topk", codec.most)
    if kept != (form, min(count, codec.vocabulary) if form == "topk" else count):
        raise SignalError(
            f"{folder} holds {kept[0]}:{kept[1]}, and the recipe wants {recipe.teacher.keep}. Name another folder."
        )
