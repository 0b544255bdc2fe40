"""Reference: what a whole model says of some rows, and how far from it a smaller one is on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from stillhouse.models.outputs import Layers
from stillhouse.objectives.divergences import forward_kl, log_softmax
from stillhouse.recipes.figures import measure
from stillhouse.tasks.chat import ChatTask
from stillhouse.tasks.embedding import EmbeddingTask, embed, likeness
from stillhouse.tasks.task import Task
from stillhouse.teachers.local import ANSWERS_AND_INSIDE, Local, ask
from stillhouse.training.online import Online

__all__ = ["Distance", "Reference", "answers_of", "scores_of"]

TOGETHER = 32


@dataclass(frozen=True)
class Distance:
    """How far a model is from the whole one."""

    quality: float
    """Accuracy where answers are known, else agreement with the whole model; of vectors the rank correlation of
    similarities. 0..1."""
    whole: float
    """The whole model's quality."""
    damage: float
    """Mean KL divergence from the whole model's answers in nats; of vectors, one less their mean cosine."""
    agreement: float
    """Share of rows (of language models tokens; of vectors nearest texts) on which both say the same."""
    figures: Mapping[str, float]
    """What else was measured, such as perplexity."""

    @property
    def drop(self) -> float:
        """The quality that is lost; negative where it is gained."""
        return self.whole - self.quality


@final
class Reference:
    """The whole model on some rows of its task; of one that gives labels or vectors its answers are kept."""

    def __init__(self, model: nn.Module, task: Task, rows: Sequence[int]) -> None:
        self.model, self.rows = model.eval(), rows
        self.writes, self.embeds = isinstance(task, ChatTask), isinstance(task, EmbeddingTask)
        self._said: Tensor | None = None
        if not self.writes:
            self._said = _vectors(model, task, rows) if self.embeds else scores_of(model, task, rows)

    def distance(self, model: nn.Module, task: Task) -> Distance:
        """How far `model` is, which may read the same rows by another tokenizer, as `task` has them.

        A language model must have the whole model's tokenizer.
        """
        if self.writes:
            return self._of_words(model, task)
        assert self._said is not None
        if self.embeds:
            like = likeness(_vectors(model, task, self.rows), self._said)
            damage = 1 - like.get("cosine", like["neighbours"])
            return Distance(like["spearman"], 1.0, damage, like["neighbours"], like)
        said = scores_of(model, task, self.rows)
        mine, its = said.argmax(-1), self._said.argmax(-1)
        labels = answers_of(task, self.rows)[:, 0]
        known = labels >= 0
        damage = float(forward_kl(log_softmax(said), log_softmax(self._said)).mean())
        agreement = float((mine == its).double().mean())
        if not known.any():
            return Distance(agreement, 1.0, damage, agreement, {})
        right, whole = ((one == labels)[known].double().mean() for one in (mine, its))
        return Distance(float(right), float(whole), damage, agreement, {})

    def _of_words(self, model: nn.Module, task: Task) -> Distance:
        look = Online(task, Local(self.model, task, ANSWERS_AND_INSIDE), self.rows, TOGETHER, 0)
        figures = measure(model, task, look)
        student, whole = figures["student"], figures["teacher"]
        more = {"perplexity": student["perplexity"], "whole_perplexity": whole["perplexity"]}
        return Distance(
            student["accuracy"], whole["accuracy"], student["kl_to_teacher"], student["top1_agreement"], more
        )


def scores_of(model: nn.Module, task: Task, rows: Sequence[int]) -> Tensor:
    """The logits of a classifier of texts or images `[rows, labels]`, in the order of `rows`."""
    order = sorted(range(len(rows)), key=lambda at: task.length(rows[at]))
    device, parts = next(model.parameters()).device, list[Tensor]()
    for start in range(0, len(order), TOGETHER):
        batch = task.batch([rows[at] for at in order[start : start + TOGETHER]]).to(device)
        said = ask(model, task, batch, Layers()).scores
        assert isinstance(said, Tensor)
        parts.append(said[:, 0].float().cpu())
    back: npt.NDArray[np.int64] = np.argsort(np.array(order, dtype=np.int64))
    return torch.cat(parts)[torch.from_numpy(back)]


def answers_of(task: Task, rows: Sequence[int]) -> Tensor:
    """The known answers of rows `[rows, fields]`, -1 for none; some at a time, since pictures come along."""
    parts = [task.batch(rows[at : at + TOGETHER]).labels for at in range(0, len(rows), TOGETHER)]
    return torch.cat(parts) if parts else torch.zeros((0, 1), dtype=torch.long)


def _vectors(model: nn.Module, task: Task, rows: Sequence[int]) -> Tensor:
    assert isinstance(task, EmbeddingTask)
    return embed(model, EmbeddingTask([task.ids[row] for row in rows], task.pooling, task.normalised, task.padding))
