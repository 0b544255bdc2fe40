"""Match what happens inside: hidden states, attention and embeddings of chosen blocks.

A layer map {student's block: teacher's block} says which are compared; -1 is what enters the first block. The cost is
averaged over the map's pairs, so a weight means the same for one pair or for ten. Where widths differ, a projector
from the student's to the teacher's is learnt beside the student. It belongs to the objective, not to the student, and
is left behind when the student is saved. One objective serves one student at a time.

Tokens count where the attention mask is 1; maps of images count as one each, the mean over their places. All costs are
per token or per sample, so the halves of a batch add up to the whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Layers, StudentOutput, TeacherOutput
from stillhouse.objectives import divergences as maths
from stillhouse.objectives.combine import Composable
from stillhouse.objectives.geometry import attention_map, cosine_distance, wide
from stillhouse.objectives.mapped import (
    Projector,
    caught,
    counted,
    embedding_of,
    in_width,
    layer_map,
    projector_for,
    same_size,
    vectors,
)
from stillhouse.objectives.objective import LossSum, Taps
from stillhouse.signals.kinds import Kind

__all__ = [
    "Attention",
    "AttentionKL",
    "AttentionMSE",
    "AttentionTransfer",
    "Embedding",
    "EmbeddingCosine",
    "EmbeddingMSE",
    "Hidden",
    "HiddenCosine",
    "HiddenStates",
]


@dataclass(frozen=True)
class Hidden(Composable, ABC):
    """An objective of hidden states, taken vector by vector."""

    pairs: Mapping[int, int]
    """{student's block: teacher's block}."""
    projector: Projector | None = None
    """What brings the student's vectors to the teacher's width; by default a linear layer, none if widths agree."""
    learnt: dict[int, nn.Module] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", layer_map(self.pairs, type(self).__name__))

    @abstractmethod
    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """What vectors `[n, width]` cost, `[n]`."""

    @final
    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.HIDDEN})

    @final
    @property
    def taps(self) -> Taps:
        return Taps(Layers(hidden=frozenset(self.pairs)), Layers(hidden=frozenset(self.pairs.values())))

    @final
    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return counted(caught(teacher.features.hidden, next(iter(self.pairs.values())), "teacher"), batch).sum()

    @final
    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        self.learnt.clear()
        for mine, its in self.pairs.items():
            states = caught(student.features.hidden, mine, "student")
            told = caught(teacher.features.hidden, its, "teacher")
            made = projector_for(_rows_of_vectors(states), _rows_of_vectors(told), self.projector)
            if made is not None:
                self.learnt[mine] = made
        return list(self.learnt.values())

    @final
    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        count, totals = self.count(teacher, batch), []
        for mine, its in self.pairs.items():
            states = caught(student.features.hidden, mine, "student")
            states, told = vectors(states, caught(teacher.features.hidden, its, "teacher"), batch)
            costs = self.distance(in_width(states, told, self.learnt.get(mine)), wide(told))
            totals.append(costs.sum() * (count / max(1, len(costs))))
        return LossSum(torch.stack(totals).mean(0), count)


@final
@dataclass(frozen=True)
class HiddenStates(Hidden):
    """mean_i (W h^s_i - h^t_i)^2 over the teacher's width, at every token that counts; the mean over the map's pairs.

    In squared units of the teacher's states, so the weight it wants depends on the teacher. Zero only when the
    projected states are the same. Choose it when the student keeps the teacher's plan, fewer blocks or narrower, and
    the teacher's insides are at hand: it teaches every block directly. With a `projector` it is the FitNets hint.
    Romero et al. 2014, arxiv.org/abs/1412.6550; Jiao et al. 2019, arxiv.org/abs/1909.10351.
    """

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        return maths.squared_error(student, teacher)


@final
@dataclass(frozen=True)
class HiddenCosine(Hidden):
    """1 - cos(W h^s, h^t) at every token that counts; the mean over the map's pairs.

    Between 0 and 2, zero only when the directions agree. Choose it over HiddenStates when states of very different
    lengths would drown one another, or norms follow anyway. Twice this is the squared distance of states brought to
    length 1. Sanh et al. 2019, arxiv.org/abs/1910.01108; Sun et al. 2019, arxiv.org/abs/1908.09355.
    """

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        return cosine_distance(student, teacher)


@dataclass(frozen=True)
class Attention(Composable, ABC):
    """An objective of a transformer's attention weights, taken by the token that looks.

    Head is compared with head; where the two have different numbers of heads, both are averaged over theirs first.
    """

    pairs: Mapping[int, int]
    """{student's block: teacher's block}."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", layer_map(self.pairs, type(self).__name__))

    @abstractmethod
    def distance(self, student: Tensor, teacher: Tensor, seen: Tensor) -> Tensor:
        """What weights `[n, heads, tokens]` over the tokens `seen` `[n, 1, tokens]` cost, `[n, heads]`."""

    @final
    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.ATTENTION})

    @final
    @property
    def taps(self) -> Taps:
        return Taps(Layers(attention=frozenset(self.pairs)), Layers(attention=frozenset(self.pairs.values())))

    @final
    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return self._where(caught(teacher.features.attention, next(iter(self.pairs.values())), "teacher"), batch).sum()

    @final
    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    @final
    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        totals = []
        for mine, its in self.pairs.items():
            weights = caught(student.features.attention, mine, "student")
            told = caught(teacher.features.attention, its, "teacher").detach()
            if weights.shape[-2:] != told.shape[-2:]:
                raise UsageError(
                    f"The student attends over {weights.shape[-1]} tokens and the teacher over {told.shape[-1]}: "
                    "attention can only be compared over the same tokens."
                )
            where = self._where(told, batch)
            seen = where.unsqueeze(1).expand(-1, where.shape[1], -1)[where].unsqueeze(1)
            looks = [wide(side).transpose(1, 2)[where].masked_fill(~seen, 0) for side in (weights, told)]
            if looks[0].shape[1] != looks[1].shape[1]:
                looks = [side.mean(1, keepdim=True) for side in looks]
            totals.append(self.distance(looks[0], looks[1], seen).mean(1).sum())
        return LossSum(torch.stack(totals).mean(0), self.count(teacher, batch))

    @final
    def _where(self, weights: Tensor, batch: Batch) -> Tensor:
        """Which tokens look and are looked at: bools `[rows, tokens]`."""
        return counted(weights[:, 0], batch)


@final
@dataclass(frozen=True)
class AttentionKL(Attention):
    """KL(a^t || a^s) = sum_j a^t_j (ln a^t_j - ln a^s_j), in nats, per looking token and head, j the tokens looked at.

    The mean over heads and over the map's pairs; zero only when the maps agree. Choose it when the student's blocks
    are to look where the teacher's look, with as many heads of any width. Wang et al. 2020, arxiv.org/abs/2002.10957.
    """

    def distance(self, student: Tensor, teacher: Tensor, seen: Tensor) -> Tensor:
        said, told = (side.clamp(min=_RARE).log() for side in (student, teacher))
        return (teacher * (told - said)).sum(-1)


@final
@dataclass(frozen=True)
class AttentionMSE(Attention):
    """mean_j (a^s_j - a^t_j)^2 per looking token and head, j over the tokens that count.

    The mean over heads and over the map's pairs; zero only when the maps agree, and never more than 2 over the number
    of tokens. Choose it over AttentionKL when rare looks are noise: it hardly minds them.
    Jiao et al. 2019, arxiv.org/abs/1909.10351 (there on the scores before the softmax).
    """

    def distance(self, student: Tensor, teacher: Tensor, seen: Tensor) -> Tensor:
        return (student - teacher).square().sum(-1) / seen.sum(-1).clamp(min=1)


_RARE = 1e-12
"""Attention below this draws no gradient of its own."""


@final
@dataclass(frozen=True)
class AttentionTransfer(Composable):
    """mean_p (q^s_p - q^t_p)^2 per image, q the map mean_c f_c^2 over places p brought to length 1.

    The mean over the map's pairs of stages; the larger map is averaged down to the smaller one's size. Zero when both
    are busy in the same places, however strongly and in whichever channels. Choose it for convolutional students of
    the teacher's kind; it wants a large weight (1,000), as the numbers are small. Across architectures it may harm.
    The form of the authors' code, in which the mean replaces the paper's norm.
    Zagoruyko & Komodakis 2016, arxiv.org/abs/1612.03928.
    """

    pairs: Mapping[int, int]
    """{student's stage: teacher's stage}."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", layer_map(self.pairs, "AttentionTransfer"))

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.HIDDEN})

    @property
    def taps(self) -> Taps:
        return Taps(Layers(hidden=frozenset(self.pairs)), Layers(hidden=frozenset(self.pairs.values())))

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return torch.tensor(len(batch.rows), device=batch.rows.device)

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        totals = []
        for mine, its in self.pairs.items():
            maps = caught(student.features.hidden, mine, "student")
            told = caught(teacher.features.hidden, its, "teacher").detach()
            if maps.dim() != 4 or told.dim() != 4:
                raise UsageError(
                    f"AttentionTransfer compares maps [rows, channels, height, width]; it was given "
                    f"{list(maps.shape)} and {list(told.shape)}. For transformers choose AttentionKL."
                )
            busy = [attention_map(side) for side in same_size(maps, told)]
            totals.append(maths.squared_error(busy[0], busy[1]).sum())
        return LossSum(torch.stack(totals).mean(0), self.count(teacher, batch))


@dataclass(frozen=True)
class Embedding(Composable, ABC):
    """An objective of one vector for each sample."""

    projector: Projector | None = None
    """What brings the student's vectors to the teacher's width; by default a linear layer, none if widths agree."""
    learnt: dict[int, nn.Module] = field(default_factory=dict, init=False, repr=False, compare=False)

    @abstractmethod
    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """What vectors `[rows, width]` cost, `[rows]`."""

    @final
    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.EMBEDDING})

    @final
    @property
    def taps(self) -> Taps:
        return Taps(Layers(embedding=True), Layers(embedding=True))

    @final
    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return torch.tensor(len(batch.rows), device=batch.rows.device)

    @final
    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        self.learnt.clear()
        said, told = embedding_of(student.features, "student"), embedding_of(teacher.features, "teacher")
        made = projector_for(said, told, self.projector)
        if made is not None:
            self.learnt[0] = made
        return list(self.learnt.values())

    @final
    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        told = embedding_of(teacher.features, "teacher").detach()
        said = in_width(embedding_of(student.features, "student"), told, self.learnt.get(0))
        return LossSum(self.distance(said, wide(told)).sum(), self.count(teacher, batch))


@final
@dataclass(frozen=True)
class EmbeddingCosine(Embedding):
    """1 - cos(W e^s, e^t) of each sample's embeddings.

    Between 0 and 2, zero only when the directions agree. Choose it for sentence encoders, whose embeddings are
    compared by their angle. Alone it copies the teacher's vectors; relations such as SimilarityPreserving keep
    neighbours right where the student cannot. Sanh et al. 2019, arxiv.org/abs/1910.01108.
    """

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        return cosine_distance(student, teacher)


@final
@dataclass(frozen=True)
class EmbeddingMSE(Embedding):
    """mean_i (W e^s_i - e^t_i)^2 over the teacher's width, of each sample's embeddings.

    Zero only when they are the same. Choose it when lengths carry meaning or the student is to replace the teacher
    in an index that exists. Reimers & Gurevych 2020, arxiv.org/abs/2004.09813.
    """

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        return maths.squared_error(student, teacher)


def _rows_of_vectors(states: Tensor) -> Tensor:
    """All vectors of a batch in one row: `[n, width]`, of maps the channels at each place."""
    return states.flatten(2).mT.flatten(0, 1) if states.dim() == 4 else states.flatten(0, -2)
