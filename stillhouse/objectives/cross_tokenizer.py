"""Match a teacher that reads and writes in other tokens: over the chunks of text that both tokenizers cut alike.

A chunk is a smallest piece of text at whose both ends both tokenizers have a boundary (`signals/align.py`). Before a
chunk both models have read the same text, so what they expect next can be compared there; and both give each chunk a
likelihood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Aligned, Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Mixture, Projection, flat
from stillhouse.objectives import divergences as maths
from stillhouse.objectives.chunks import binary_kl, chunk_log_likelihoods, whole_chunks
from stillhouse.objectives.combine import Composable
from stillhouse.objectives.cost import Cost, Known, dense
from stillhouse.objectives.fused import summed
from stillhouse.objectives.likelihood import log_likelihoods
from stillhouse.objectives.objective import LossSum, Taps
from stillhouse.objectives.universal import shared_and_rest, universal_distance_of_largest
from stillhouse.signals.kinds import Kind

__all__ = ["ChunkLikelihood", "SharedVocabularyKL", "UniversalLogit", "likelihoods_of_chunks"]


@final
@dataclass(frozen=True)
class UniversalLogit(Composable):
    """sum_i |q_(i) - p_(i)| of the probabilities in falling order, at the start of every chunk.

    Zero when both are equally sure in the same way, for whichever tokens; at most 2. Of each side the `kept` likeliest
    are compared and the rest as one. Choose it when the vocabularies have nothing in common; else the others here
    tell more. Counts chunks. Boizard et al. 2024, arxiv.org/abs/2402.12030.
    """

    kept: int = 256

    def __post_init__(self) -> None:
        if self.kept < 1:
            raise UsageError(f"UniversalLogit must keep at least one probability a side; kept is {self.kept}.")

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.ALIGNED})

    @property
    def taps(self) -> Taps:
        return Taps()

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        mine, _ = _starts(teacher, batch)
        return mine.new_tensor(len(mine))

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        mine, its = _starts(teacher, batch)

        def nats(logits: Tensor, known: Known) -> Tensor:
            told = maths.log_softmax(dense(known.scores))
            return universal_distance_of_largest(maths.log_softmax(logits), told, self.kept)

        return LossSum(_summed(student, teacher, (mine, its), Cost(nats)), mine.new_tensor(len(mine)))


@final
@dataclass(frozen=True)
class SharedVocabularyKL(Composable):
    """T^2 KL(teacher || student) over the tokens that both vocabularies share and one bin for all others.

    Taken where both sides have one token for the same bytes. Zero when the two agree on every shared token; never
    more than the KL over the whole. Choose it for tokenizers of one kin, which share most tokens; add ChunkLikelihood
    for the places where they differ. Counts chunks of one token. The shared part of GOLD's hybrid loss
    (huggingface.co/docs/trl/gold_trainer), with a bin for the rest.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise UsageError(f"SharedVocabularyKL's temperature must be above 0; it is {self.temperature}.")

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.ALIGNED})

    @property
    def taps(self) -> Taps:
        return Taps()

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        mine, _ = _starts(teacher, batch, single=True)
        return mine.new_tensor(len(mine))

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        mine, its = _starts(teacher, batch, single=True)
        shared = _aligned(teacher).shared
        if shared is None or not len(shared[0]):
            raise UsageError("The two vocabularies share no token; choose UniversalLogit or ChunkLikelihood.")

        def nats(logits: Tensor, known: Known) -> Tensor:
            said = shared_and_rest(maths.log_softmax(logits, self.temperature), shared[0])
            told = maths.log_softmax(dense(known.scores), self.temperature)
            return self.temperature**2 * maths.forward_kl(said, shared_and_rest(told, shared[1]))

        return LossSum(_summed(student, teacher, (mine, its), Cost(nats)), mine.new_tensor(len(mine)))


@final
@dataclass(frozen=True)
class ChunkLikelihood(Composable):
    """T KL between "this chunk comes" and "it does not", each side's likelihood of every chunk of the text.

    Zero when both find every chunk equally likely. Choose it first for other tokenizers: it needs no token in common
    and compares the very text. `temperature` inf takes the limit in which unlikely chunks count, too. Counts
    chunks all of whose tokens count. Minixhofer, Vulić & Ponti 2025, arxiv.org/abs/2503.20083.
    """

    temperature: float = math.inf

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise UsageError(f"ChunkLikelihood's temperature must be above 0, or inf; it is {self.temperature}.")

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.ALIGNED, Kind.WORDS})

    @property
    def taps(self) -> Taps:
        return Taps()

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return _whole(_aligned(teacher), batch).sum()

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        mine, its = likelihoods_of_chunks(student, teacher, batch)
        count = mine.new_tensor(len(mine), dtype=torch.long)
        return LossSum(binary_kl(mine, its, self.temperature).sum(), count)


def likelihoods_of_chunks(student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> tuple[Tensor, Tensor]:
    """How likely student and teacher find each chunk all of whose tokens count: log-likelihoods, `[chunks]` each."""
    aligned = _aligned(teacher)
    where = _whole(aligned, batch)
    with torch.no_grad():
        told = log_likelihoods(_dense(teacher), aligned.labels)
        its = chunk_log_likelihoods(told, aligned.teacher, aligned.chunks)
    said = log_likelihoods(student.scores, batch.labels)
    mine = chunk_log_likelihoods(said, aligned.student, aligned.chunks)
    return mine[where], its[where]


def _whole(aligned: Aligned, batch: Batch) -> Tensor:
    """The chunks whose every token counts on both sides: `[rows, chunks]`."""
    mine = whole_chunks(batch.labels >= 0, aligned.student, aligned.chunks)
    return mine & whole_chunks(aligned.labels >= 0, aligned.teacher, aligned.chunks)


def _starts(teacher: TeacherOutput, batch: Batch, single: bool = False) -> tuple[Tensor, Tensor]:
    """The flattened positions of student and teacher that ask for the first token of a chunk both sides count.

    `[n]` each, in one order; with `single` only of chunks that are one token on both sides.
    """
    aligned = _aligned(teacher)
    sides = ((aligned.student, batch.labels), (aligned.teacher, aligned.labels))
    firsts = [_first_places(chunks, labels >= 0, aligned.chunks) for chunks, labels in sides]
    there = (firsts[0] >= 0) & (firsts[1] >= 0)
    if single:
        for chunks, labels in sides:
            there &= _sizes(chunks, labels >= 0, aligned.chunks) == 1
    row = torch.arange(len(there), device=there.device).unsqueeze(1)
    mine, its = ((row * chunks.shape[1] + first)[there] for (chunks, _), first in zip(sides, firsts, strict=True))
    return mine, its


def _first_places(chunks: Tensor, counted: Tensor, most: int) -> Tensor:
    """The first position of each chunk that counts whole: chunks `[rows, positions]` -> `[rows, most]`, -1 for none."""
    positions = torch.arange(chunks.shape[1], device=chunks.device).expand_as(chunks)
    far = chunks.shape[1]
    places = positions.new_full((len(chunks), most), far)
    if most:
        inside = chunks >= 0
        places.scatter_reduce_(1, chunks.clamp(min=0), positions.where(inside, far), "amin")
    return places.where(whole_chunks(counted, chunks, most) & (places < far), -1)


def _sizes(chunks: Tensor, counted: Tensor, most: int) -> Tensor:
    """How many counted tokens each chunk has: `[rows, most]`."""
    sizes = chunks.new_zeros(len(chunks), most)
    return sizes.scatter_add_(1, chunks.clamp(min=0), ((chunks >= 0) & counted).to(sizes.dtype)) if most else sizes


def _summed(student: StudentOutput, teacher: TeacherOutput, places: tuple[Tensor, Tensor], cost: Cost) -> Tensor:
    """A cost summed over flattened positions of the student and those of the teacher that belong to them."""
    if student.scores is None:
        raise UsageError("Answers are to be compared, but this student gives none, only features.")
    mine, its = places
    return summed(flat(student.scores), mine, Known(flat(_dense(teacher))), its, [(1.0, cost)])[0]


def _dense(teacher: TeacherOutput) -> Tensor | Projection | Mixture:
    if isinstance(teacher.scores, Tensor | Projection | Mixture):
        return teacher.scores
    raise UsageError("A teacher with another tokenizer must give a score for every token of its own vocabulary.")


def _aligned(teacher: TeacherOutput) -> Aligned:
    if teacher.aligned is None:
        raise UsageError("This objective needs a teacher aligned with the student's tokens; this one is not.")
    return teacher.aligned
