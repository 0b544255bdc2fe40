"""Match how things lie to each other instead of where they are: widths may differ, and nothing has to be projected.

Most relations are among the samples of a batch. Their LossSum is the relation's value times the rows, over the rows,
so that micro-batches and ranks add up to the mean of their own relations; pairs across them are not seen, and two
halves are not the whole. Larger batches say more, and one row alone has no relations: it counts for nothing.

Samples are compared by their embeddings, or with `layers=(student's block, teacher's block)` by the hidden states of
two blocks, averaged over the tokens that count or over the map's places.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Features, Heads, Layers, StudentOutput, TeacherOutput
from stillhouse.objectives import divergences as maths
from stillhouse.objectives import geometry
from stillhouse.objectives.combine import Composable
from stillhouse.objectives.mapped import (
    Projector,
    caught,
    counted,
    embedding_of,
    in_width,
    layer_map,
    projector_for,
    row_vectors,
)
from stillhouse.objectives.objective import LossSum, Taps
from stillhouse.objectives.piecewise import piecewise
from stillhouse.signals.kinds import Kind

__all__ = [
    "PKT",
    "HeadRelations",
    "InBatchContrast",
    "LinearCKA",
    "Relation",
    "RelationalKD",
    "SimilarityPreserving",
]


@dataclass(frozen=True)
class Relation(Composable, ABC):
    """An objective of how the samples of a batch lie to each other."""

    layers: tuple[int, int] | None = field(default=None, kw_only=True)
    """(student's block, teacher's block) whose states stand for the samples; None for their embeddings."""

    @abstractmethod
    def between(self, student: Tensor, teacher: Tensor) -> Tensor:
        """What the relations among `[B, width]` and `[B, its width]` cost, `[]`; B is 2 or more."""

    @final
    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.EMBEDDING if self.layers is None else Kind.HIDDEN})

    @final
    @property
    def taps(self) -> Taps:
        if self.layers is None:
            return Taps(Layers(embedding=True), Layers(embedding=True))
        return Taps(*(Layers(hidden=frozenset({layer})) for layer in self.layers))

    @final
    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        rows = len(batch.rows)
        return torch.tensor(rows if rows > 1 else 0, device=batch.rows.device)

    @final
    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        count = self.count(teacher, batch)
        mine = self._samples(student.features, batch, 0)
        its = self._samples(teacher.features, batch, 1).detach()
        if len(batch.rows) < 2:
            return LossSum(geometry.wide(mine).sum() * 0, count)
        with torch.autocast(mine.device.type, enabled=False):
            return LossSum(self.between(mine, its) * count, count)

    @final
    def _samples(self, features: Features, batch: Batch, side: int) -> Tensor:
        whose = ("student", "teacher")[side]
        if self.layers is None:
            return embedding_of(features, whose)
        return row_vectors(caught(features.hidden, self.layers[side], whose), batch)


@final
@dataclass(frozen=True)
class RelationalKD(Relation):
    """`distance` mean_ij huber(d^s_ij - d^t_ij) + `angle` mean_ijk huber(c^s_ijk - c^t_ijk).

    d are the distances of samples over their mean (over those that are not 0), c the cosines of the angles at j, huber
    is x^2 / 2 up to 1; means are over all B^2 and B^3. Zero when the student's picture of the batch is the teacher's up
    to scale, turn and shift. Choose it for embeddings that are compared by distance. The angles take B^3 time, but
    little memory. Park et al. 2019, arxiv.org/abs/1904.05068.
    """

    distance: float = 25.0
    angle: float = 50.0

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def between(self, student: Tensor, teacher: Tensor) -> Tensor:
        mine, its = geometry.relative_distances(student), geometry.relative_distances(teacher)
        total = self.distance * functional.huber_loss(mine, its)
        return total if self.angle == 0 else total + self.angle * _angles(mine, its)


@final
@dataclass(frozen=True)
class SimilarityPreserving(Relation):
    """|G^s - G^t|_F^2 / B^2, G the rows of F F^T brought to length 1, F the batch's vectors.

    At most 4 / B; zero when each sample is as like the others for the student as for the teacher. Choose it first
    among relations: it is cheap and widths and architectures are free. It wants a large weight (3,000).
    Tung & Mori 2019, arxiv.org/abs/1907.09682.
    """

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def between(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (geometry.similarities(student) - geometry.similarities(teacher)).square().mean()


@final
@dataclass(frozen=True)
class PKT(Relation):
    """mean_i KL(p^t_i || p^s_i), p_ij in proportion to (1 + cos(x_i, x_j)) / 2 over all j of the batch, in nats.

    Zero when each sample has the same neighbours by angle. Choose it like SimilarityPreserving, where near neighbours
    matter more than far ones. The authors' code divides by B once more. Passalis & Tefas 2018,
    arxiv.org/abs/1803.10837.
    """

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def between(self, student: Tensor, teacher: Tensor) -> Tensor:
        return maths.forward_kl(geometry.neighbours(student), geometry.neighbours(teacher)).mean()


@final
@dataclass(frozen=True)
class LinearCKA(Relation):
    """1 - <K^s, K^t> / (|K^s| |K^t|), K the products of the batch's vectors about their mean (linear CKA).

    Between 0 and 1, zero when the two pictures of the batch are the same up to scale, turn and shift. Choose it to
    bring a whole representation near the teacher's without saying where anything goes. Two rows always agree, and
    small batches look more alike than they are. Kornblith et al. 2019, arxiv.org/abs/1905.00414; to distil by:
    arxiv.org/abs/2401.11824.
    """

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def between(self, student: Tensor, teacher: Tensor) -> Tensor:
        mine, its = (geometry.centred_products(side).flatten() for side in (student, teacher))
        return geometry.cosine_distance(mine, its)


@final
@dataclass(frozen=True)
class InBatchContrast(Relation):
    """mean_i -ln softmax_j(cos(W x^s_i, x^t_j) / temperature) at j = i: whose teacher vector is it (InfoNCE).

    `both` ways averages it with the other question, whose student vector it is. In nats, at most about
    ln B + 2 / temperature, and never zero: at agreement it is what tells the teacher's own samples apart. Choose it
    beside EmbeddingCosine for retrieval: samples are kept apart, not only brought near. Batches of 64 or more.
    van den Oord et al. 2018, arxiv.org/abs/1807.03748; to distil by: arxiv.org/abs/1910.10699.
    """

    temperature: float = 0.07
    both: bool = False
    projector: Projector | None = None
    """What brings the student's vectors to the teacher's width; by default a linear layer, none if widths agree."""
    learnt: dict[int, nn.Module] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise UsageError(f"InBatchContrast's temperature must be a number above 0; it is {self.temperature}.")

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        self.learnt.clear()
        if self.layers is None:
            mine, its = embedding_of(student.features, "student"), embedding_of(teacher.features, "teacher")
        else:
            mine = _averaged(caught(student.features.hidden, self.layers[0], "student"))
            its = _averaged(caught(teacher.features.hidden, self.layers[1], "teacher"))
        made = projector_for(mine, its, self.projector)
        if made is not None:
            self.learnt[0] = made
        return list(self.learnt.values())

    def between(self, student: Tensor, teacher: Tensor) -> Tensor:
        mine = geometry.unit(in_width(student, teacher, self.learnt.get(0)))
        likeness = mine @ geometry.unit(teacher).T / self.temperature
        own = torch.arange(len(student), device=student.device)
        nats = functional.cross_entropy(likeness, own)
        return 0.5 * (nats + functional.cross_entropy(likeness.T, own)) if self.both else nats


@final
@dataclass(frozen=True)
class HeadRelations(Composable):
    """Sum over a in queries, keys, values of weight_a mean_heads KL(R^t || R^s), in nats per token that counts.

    R = softmax(A A^T / sqrt(d)) over the tokens that count, A one of `relation_heads` equal slices of a block's
    queries, keys or values, d the slice's width; the mean over the map's pairs. Zero when tokens relate alike in every
    slice. Choose it for transformers whose widths and numbers of heads differ: one pair does, the student's last
    block with the teacher's last, or of a large teacher with one a few blocks before it. It is within a sample, so
    the halves of a batch add up to the whole. By default there are as many slices as the teacher has heads (of keys,
    where heads share them). Wang et al. 2020, arxiv.org/abs/2012.15828.
    """

    pairs: Mapping[int, int]
    """{student's block: teacher's block}."""
    relation_heads: int | None = None
    queries: float = 1.0
    keys: float = 1.0
    values: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", layer_map(self.pairs, "HeadRelations"))

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.HEADS})

    @property
    def taps(self) -> Taps:
        return Taps(Layers(heads=frozenset(self.pairs)), Layers(heads=frozenset(self.pairs.values())))

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        told = caught(teacher.features.heads, next(iter(self.pairs.values())), "teacher")
        return counted(told.queries[:, 0], batch).sum()

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        totals = []
        for mine, its in self.pairs.items():
            said, told = caught(student.features.heads, mine, "student"), caught(teacher.features.heads, its, "teacher")
            slices = self.relation_heads or told.keys.shape[1]
            for weight, *sides in zip((self.queries, self.keys, self.values), _parts(said), _parts(told), strict=True):
                one, other = (_slices(vectors, slices) for vectors in sides)
                totals.append(weight * _related(one, other.detach(), batch))
        return LossSum(torch.stack(totals).sum() / len(self.pairs), self.count(teacher, batch))


def _angles(student: Tensor, teacher: Tensor) -> Tensor:
    """mean_ijk huber of the difference of the angles' cosines, from distances `[B, B]`."""
    rows = len(student)

    def huber(part: slice) -> Tensor:
        mine, its = geometry.cosines_at(student, part), geometry.cosines_at(teacher, part)
        return functional.huber_loss(mine, its, reduction="sum")

    return torch.stack(piecewise(huber, rows, rows**2, student.device)).sum() / rows**3


def _parts(heads: Heads) -> tuple[Tensor, Tensor, Tensor]:
    return heads.queries, heads.keys, heads.values


def _slices(vectors: Tensor, number: int) -> Tensor:
    """The same numbers in other heads: `[rows, heads, tokens, width]` -> `[rows, number, tokens, its width]`."""
    side_by_side = vectors.transpose(1, 2).flatten(2)
    if side_by_side.shape[-1] % number:
        raise UsageError(
            f"{side_by_side.shape[-1]} outputs of queries, keys or values cannot be cut in {number} equal slices. "
            "Choose `relation_heads` that divide the student's and the teacher's."
        )
    return side_by_side.unflatten(-1, (number, -1)).transpose(1, 2)


def _related(student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
    """The KL between the relations among `[rows, slices, tokens, width]`, the mean over slices, summed over tokens."""
    if student.shape[:3] != teacher.shape[:3]:
        raise UsageError(
            f"The student relates {student.shape[2]} tokens and the teacher {teacher.shape[2]}: relations can only be "
            "compared over the same tokens."
        )
    where = counted(teacher[:, 0], batch)
    rows, slices, tokens = teacher.shape[:3]

    def nats(part: slice) -> Tensor:
        with torch.autocast(student.device.type, enabled=False):
            mine, its = (geometry.relations(side[part], where[part]) for side in (student, teacher))
            return maths.forward_kl(mine, its).mean(1).masked_fill(~where[part], 0).sum()

    return torch.stack(piecewise(nats, rows, slices * tokens * tokens, student.device)).sum()


def _averaged(states: Tensor) -> Tensor:
    """About the vectors of the samples, whatever tokens count: `[rows, width]`."""
    return states.mean((2, 3)) if states.dim() == 4 else states.flatten(1, -2).mean(1)
