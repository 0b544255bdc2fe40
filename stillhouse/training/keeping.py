"""Keeping: a teacher is asked about every sample once, and what it tells is written into shards of signals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from stillhouse.errors import SignalError, UsageError
from stillhouse.models.outputs import Batch, Features, Layers, TeacherOutput
from stillhouse.models.scores import Mixture, Projection, Sampled, TopK, flat
from stillhouse.signals import told
from stillhouse.signals.codec import Codec, NoScores, SampledCodec, TopKCodec
from stillhouse.signals.keep import EMBEDDING, Keep, hidden_name
from stillhouse.signals.kinds import Kind
from stillhouse.signals.sampling import draw_tokens
from stillhouse.signals.shards import Origin, ShardReader, ShardWriter
from stillhouse.tasks.chat import ChatTask
from stillhouse.tasks.classification import Classification
from stillhouse.tasks.image import ImageTask
from stillhouse.tasks.task import Task
from stillhouse.teachers.teacher import Teacher

__all__ = ["Asking", "codec_for", "keep_signals"]

COMMIT_EVERY = 10.0
"""Seconds of a teacher's work that a kill may cost."""


@final
@dataclass(frozen=True)
class Asking:
    """Who is asked about which samples, and how."""

    teacher: Teacher
    task: Task
    samples: Sequence[str]
    """The id of each row of the task, in their order."""
    size: int = 16
    """Rows a batch."""
    seed: int = 0
    """Of draws."""


def keep_signals(
    folder: Path,
    origin: Origin,
    keep: Keep,
    asking: Asking,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> ShardReader:
    """Write what a teacher tells of every sample into `folder`, and open it; finished signals are opened as they are.

    Killed, the same call goes on after the last commit. `tell` hears how many samples of all are done. Raises
    UsageError where the teacher does not tell what is to be kept, SignalError where the folder is of other signals.
    """
    missing = keep.tells - asking.teacher.tells
    if missing:
        raise UsageError(
            f"The teacher does not tell {', '.join(sorted(missing))}, which keep = {', '.join(keep.words)} wants; it "
            f"tells {', '.join(sorted(asking.teacher.tells))}."
        )
    if not any(folder.glob("*.shard")):
        with ShardWriter(folder, "signals", origin, codec_for(keep, asking.task), _widths(keep, asking)) as writer:
            _write(writer, keep, asking, tell)
            writer.finish()
    return ShardReader(folder, dataset=origin.dataset, teacher=origin.teacher)


def codec_for(keep: Keep, task: Task) -> Codec:
    """How the scores of a task are written."""
    if keep.form is None:
        return NoScores()
    if isinstance(task, ChatTask):
        labels = task.vocabulary
    elif isinstance(task, ImageTask):
        labels = task.classes
    elif isinstance(task, Classification):
        labels = max(task.sizes)
    else:
        raise UsageError(f"Scores are kept of classifications, pictures and chat, not of {type(task).__name__}.")
    return TopKCodec(labels, min(keep.count, labels)) if keep.form == "topk" else SampledCodec(labels, keep.count)


def _layers(keep: Keep) -> Layers:
    return Layers(hidden=frozenset(keep.hidden), embedding=keep.embedding)


def _widths(keep: Keep, asking: Asking) -> dict[str, int]:
    """How wide states and vectors are, found by asking about one sample."""
    if not keep.extras:
        return {}
    batch = asking.task.batch([0])
    features = asking.teacher.observe(batch, _layers(keep)).features
    return {name: values.shape[1] for name, values in _beside(features, keep, batch, 0).items()}


def _write(writer: ShardWriter, keep: Keep, asking: Asking, tell: Callable[[int, int], None]) -> None:
    """Append every sample that is not there yet, those of like length together."""
    task, ids = asking.task, asking.samples
    missing = sorted((row for row in range(len(ids)) if ids[row] not in writer), key=task.length)
    before, committed = len(ids) - len(missing), time.monotonic()
    for start in range(0, len(missing), asking.size):
        part = missing[start : start + asking.size]
        batch = task.batch(part)
        heard = asking.teacher.observe(batch, _layers(keep))
        signals = _signals(heard, keep, [ids[row] for row in part], asking.seed)
        for at, row in enumerate(part):
            writer.append(ids[row], signals[at], _beside(heard.features, keep, batch, at))
        if time.monotonic() - committed > COMMIT_EVERY:
            writer.commit()
            committed = time.monotonic()
        tell(before + start + len(part), len(ids))


def _signals(heard: TeacherOutput, keep: Keep, samples: Sequence[str], seed: int) -> list[told.Signal]:
    """What is kept of the scores of each sample of a batch."""
    if keep.form is None:
        nothing = np.zeros((0, 1), dtype=np.int32)
        return [told.Sampled(nothing, nothing) for _ in samples]
    scores, there = heard.scores, heard.told
    if there is None or scores is None or isinstance(scores, TopK | Sampled):
        raise SignalError("This teacher gives no score for every label, so nothing can be kept of it.")
    every: Any = flat(scores)
    found: list[told.Signal] = []
    for at, sample in enumerate(samples):
        places = there[at].nonzero().squeeze(-1)
        some = every[places + at * there.shape[1]]
        logits = (some.logits() if isinstance(some, Projection | Mixture) else some).float().cpu().numpy()
        topk = keep.form == "topk"
        signal = told.TopK.of(logits, keep.count) if topk else draw_tokens(logits, keep.count, sample, seed)
        positions = int(places[-1]) + 1 if len(places) else 0
        found.append(signal.spread(places.cpu().numpy().astype(np.int64), (1, positions))[0])
    return found


def _beside(features: Features, keep: Keep, batch: Batch, at: int) -> Mapping[str, npt.NDArray[Any]]:
    """What is kept beside the scores of one sample of a batch: its own tokens' states `[tokens, width]`, its vector."""
    found: dict[str, npt.NDArray[Any]] = {}
    for block in keep.hidden:
        states = features.hidden[block]
        if states.dim() != 3:
            raise UsageError(
                f"The states of block {block} are maps {list(states.shape)}, and those of tokens are kept. Let the "
                "teacher answer beside the student: an online source."
            )
        mask = batch.inputs.get("attention_mask")
        found[hidden_name(block)] = _array(states[at] if mask is None else states[at, : int(mask[at].sum())])
    if keep.embedding:
        if features.embedding is None:
            raise UsageError(f"The teacher gives no vector of a sample, which keep = {Kind.EMBEDDING} wants.")
        found[EMBEDDING] = _array(features.embedding[at].unsqueeze(0))
    return found


def _array(values: Tensor) -> npt.NDArray[Any]:
    return values.detach().float().cpu().numpy()
