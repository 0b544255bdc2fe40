"""A teacher's signals for the rows of a recipe, written into shards once and read by every later run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.artifacts import hash_json
from stillhouse.errors import SignalError, UsageError
from stillhouse.models.load import fingerprint
from stillhouse.recipes.answers import answered_rows, ask_missing
from stillhouse.recipes.build import make_objective, make_task, make_teacher, open_teachers
from stillhouse.recipes.cache import StageCache
from stillhouse.recipes.read_rows import Rows, read_rows
from stillhouse.recipes.sections import SourceKind, TaskName
from stillhouse.recipes.terms import check_training
from stillhouse.recipes.training import TrainRecipe
from stillhouse.signals import told
from stillhouse.signals.codec import SampledCodec, TopKCodec
from stillhouse.signals.kinds import Kind
from stillhouse.signals.shards import Origin, ShardReader
from stillhouse.tasks.image import ImageTask
from stillhouse.teachers.cached import Cached
from stillhouse.training.events import Listener, Note, Progress, StageDone, StageStarted
from stillhouse.training.keeping import Asking, keep_signals

__all__ = ["Labelled", "label", "label_rows", "open_signals", "sample_ids", "signals_place"]

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
    vectors = [data.pooling, *([] if data.normalised else ["of their own length"])] if recipe.keep.embedding else []
    dataset = hash_json([rows.hash, data.tokens, data.counts, *vectors])
    section = recipe.teacher
    asked = [[fingerprint(name) for name in section.names], list(section.weights), section.precision]
    teacher = hash_json([*asked, recipe.seed if recipe.keep.form == "samples" else None])
    key = hash_json([dataset, teacher, *recipe.keep.words])[:16]
    return section.signals or home / "signals" / key, dataset, teacher


def open_signals(recipe: TrainRecipe, rows: Rows, home: Path) -> ShardReader:
    """The finished signals of a recipe; raises UsageError where there are none yet, SignalError where they are others'.

    Without a teacher in the recipe, whose signals they are is not asked. An objective that needs more than they hold is
    refused.
    """
    folder, dataset, teacher = signals_place(recipe, rows, home)
    if not any(folder.glob("*.shard")):
        raise UsageError(
            f"There are no finished signals in {folder}, which an offline source needs. Write them first: "
            "stillhouse label RECIPE (or take `stillhouse run`, which does both)."
        )
    reader = ShardReader(folder, dataset=dataset, teacher=teacher if recipe.teacher.names else None)
    told, objective = Cached(reader, ()), make_objective(recipe, "The recipe")
    told.check(objective.taps.teacher)
    missing = objective.needs - told.tells - {Kind.WORDS}
    if missing:
        raise UsageError(
            f"The signals in {folder} do not tell {', '.join(sorted(missing))}, which an objective needs; they tell "
            f"{', '.join(sorted(told.tells))}."
        )
    return reader


def label(recipe: TrainRecipe, home: Path, tell: Listener) -> Labelled:
    """Write a recipe's signals while no other run works in this home; see `label_rows`.

    A teacher behind an API answers the rows that have no answer first (`ask_missing`); without another teacher, or
    with one that is asked beside the student, that is all.
    """
    for warning in check_training(recipe, home):
        tell(Note(warning, warning=True))
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
    if recipe.task in (TaskName.PREFERENCE, TaskName.RATIONALE):
        raise UsageError(f"The task {recipe.task} keeps no signals: take an online source, and stillhouse train.")
    folder, dataset, teacher = signals_place(recipe, rows, home)
    tell(StageStarted("label", "The teacher answers"))
    started = time.monotonic()
    skipped = any(folder.glob("*.shard"))
    if skipped:
        done = ShardReader(folder, dataset=dataset, teacher=teacher)
        _check_kept(done, recipe, folder)
    else:
        done = _asked(recipe, rows, (folder, dataset, teacher), tell)
    made = _labelled(done, folder, skipped)
    words = ", ".join(recipe.keep.words)
    holds = "" if made.held is None else f", which hold {made.held:.0%} of the teacher's probability"
    tell(
        StageDone(
            "label",
            f"{made.samples:,} samples, {words}{holds}, {made.bytes / 1e6:.1f} MB",
            skipped,
            time.monotonic() - started,
        )
    )
    if made.held is not None and made.held < ENOUGH:
        tell(Note(f"What lies outside of {recipe.keep.words[0]} teaches nothing. {ADVICE}", warning=True))
    return made


def _asked(recipe: TrainRecipe, rows: Rows, place: tuple[Path, str, str], tell: Listener) -> ShardReader:
    """Open the teacher and keep what it tells."""
    folder, dataset, teacher = place
    opened = open_teachers(recipe)
    made_of = make_task(recipe, rows, opened)
    task = made_of.still() if isinstance(made_of, ImageTask) else made_of  # pictures as they are
    asked = make_teacher(recipe, task, opened)
    assert asked is not None
    asking = Asking(asked, task, sample_ids(rows), recipe.source.batch, recipe.seed)
    origin = Origin(dataset, teacher, opened[0].vocabulary or "")
    return keep_signals(folder, origin, recipe.keep, asking, lambda done, total: tell(Progress("label", done, total)))


def _labelled(reader: ShardReader, folder: Path, skipped: bool) -> Labelled:
    size = sum(file.stat().st_size for file in folder.glob("*.shard"))
    return Labelled(folder, len(reader), size, skipped, held=_held(reader))


def _held(reader: ShardReader) -> float | None:
    """The share of the teacher's probability that the kept likeliest hold; None of draws."""
    every = list(reader.samples())
    read = reader.read(every[:: max(1, len(every) // LOOKED_AT)])
    return float(1 - read.signal.tail()[read.told].mean()) if isinstance(read.signal, told.TopK) else None


def _check_kept(reader: ShardReader, recipe: TrainRecipe, folder: Path) -> None:
    """Refuse finished signals of another form than the recipe wants, or with less beside the scores."""
    codec, keep = reader.codec, recipe.keep
    form = {SampledCodec: "samples", TopKCodec: "topk"}.get(type(codec))
    count = min(keep.count, codec.vocabulary) if keep.form == "topk" else keep.count
    held = [f"{form}:{codec.most}"] if form else []
    same = form == keep.form and (form is None or count == codec.most)
    if not same or not set(keep.extras) <= set(reader.widths):
        raise SignalError(
            f"{folder} holds {', '.join([*held, *reader.widths])}, and the recipe wants {', '.join(keep.words)}. Name "
            "another folder."
        )
