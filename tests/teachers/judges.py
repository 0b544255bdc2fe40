"""Teachers of each kind on one small language task, and what is kept of one on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from stillhouse.models.outputs import Batch, Layers
from stillhouse.models.scores import Projection
from stillhouse.signals.codec import SampledCodec, TopKCodec
from stillhouse.signals.keep import EMBEDDING, hidden_name
from stillhouse.signals.shards import Origin, ShardReader, ShardWriter
from stillhouse.signals.told import Sampled, TopK
from stillhouse.tasks.chat import ChatTask
from stillhouse.teachers.cached import Cached
from stillhouse.teachers.ensemble import Ensemble, Routed
from stillhouse.teachers.local import Local
from stillhouse.teachers.teacher import Teacher
from tests.training import writers

ORIGIN = Origin("rows", "llama", "tiny")
TOP, DRAWS = 5, 8
SAMPLES = [f"sample {row}" for row in range(writers.ROWS)]


def task() -> ChatTask:
    return writers.task()


def batch(rows=range(6)) -> Batch:
    return task().batch(list(rows))


def local(seed: int = 9) -> Local:
    return writers.teacher(seed)


def dense(teacher: Teacher, given: Batch) -> torch.Tensor:
    """What a teacher tells, as log-probs over the vocabulary."""
    scores = teacher.observe(given, Layers()).scores
    logits = scores if isinstance(scores, torch.Tensor) else scores.logits()
    return logits.log_softmax(-1)


def keep(folder: Path, codec: TopKCodec | SampledCodec, inside: bool = False) -> ShardReader:
    """Every row labelled by the local teacher, and read back."""
    widths = {hidden_name(1): 32, EMBEDDING: 32} if inside else {}
    random = np.random.default_rng(0)
    with ShardWriter(folder, "all", ORIGIN, codec, widths) as writer:
        for row, sample in enumerate(SAMPLES):
            given = batch([row])
            length = int(given.inputs["attention_mask"].sum())
            told = local().observe(given, Layers(hidden=frozenset({1}), embedding=inside))
            assert isinstance(told.scores, Projection)
            logits = told.scores.logits()[0, :length].numpy()
            where = told.told[0, :length].numpy()
            signal = TopK.of(logits, TOP) if isinstance(codec, TopKCodec) else drawn(logits, random)
            extras = {hidden_name(1): told.features.hidden[1][0, :length].numpy()} if inside else {}
            if inside:
                extras[EMBEDDING] = told.features.embedding.numpy()
            writer.append(sample, untold(signal, where), extras)
        writer.finish()
    return ShardReader(folder)


def drawn(logits: np.ndarray, random: np.random.Generator) -> Sampled:
    """Draws from each position's distribution."""
    shares = torch.from_numpy(logits).double().softmax(-1).numpy()
    counts = np.stack([random.multinomial(DRAWS, share / share.sum()) for share in shares])
    ids = np.argsort(-counts, axis=-1, kind="stable")[:, :DRAWS].astype(np.int32)
    return Sampled(ids, np.take_along_axis(counts, ids, -1).astype(np.int32))


def untold(signal: TopK | Sampled, where: np.ndarray) -> TopK | Sampled:
    """The same signal with nothing told where the teacher was not asked."""
    if isinstance(signal, TopK):
        return TopK(signal.ids, np.where(where[:, None], signal.log_probs, -np.inf).astype(np.float32), signal.shifts)
    return Sampled(signal.ids, np.where(where[:, None], signal.counts, 0))


def top_codec() -> TopKCodec:
    return TopKCodec(writers.TOKENS, TOP)


def drawn_codec() -> SampledCodec:
    return SampledCodec(writers.TOKENS, DRAWS)


def kinds(folder: Path) -> dict[str, Callable[[], Teacher]]:
    """Every kind of teacher."""
    return {
        "local": local,
        "ensemble": lambda: Ensemble([local(8), local(9)], [1, 2]),
        "routed": lambda: Routed({"a": local(8), "b": local(9)}, ["a", "b"] * (writers.ROWS // 2)),
        "cached top": lambda: Cached(keep(folder / "top", top_codec()), SAMPLES),
        "cached draws": lambda: Cached(keep(folder / "draws", drawn_codec()), SAMPLES),
    }
