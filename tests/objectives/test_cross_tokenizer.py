"""Objectives for a teacher with another tokenizer, on a text that both cut into three chunks."""

from __future__ import annotations

import math

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Aligned, Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection
from stillhouse.objectives.cross_tokenizer import (
    ChunkLikelihood,
    SharedVocabularyKL,
    UniversalLogit,
    likelihoods_of_chunks,
)
from stillhouse.objectives.response import ForwardKL

# The student reads BOS a b c d (5 positions, the last asks for nothing), the teacher a bc d with a BOS of its own:
# chunks are a | bc | d.
STUDENT_LABELS, STUDENT_CHUNKS = [[0, 1, 2, 3, -1]], [[0, 1, 1, 2, -1]]
TEACHER_LABELS, TEACHER_CHUNKS = [[5, 7, 6, -1]], [[0, 1, 2, -1]]
SHARED = (torch.tensor([0, 3]), torch.tensor([5, 6]))
OBJECTIVES = [UniversalLogit(), SharedVocabularyKL(), ChunkLikelihood(), ChunkLikelihood(temperature=2)]
every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=str)


def aligned(shared=SHARED) -> Aligned:
    parts = (torch.tensor(part) for part in (TEACHER_LABELS, TEACHER_CHUNKS, STUDENT_CHUNKS))
    return Aligned(*parts, 3, shared)


def batch(labels=STUDENT_LABELS) -> Batch:
    return Batch({}, torch.tensor(labels), torch.tensor([0]))


def said(seed: int = 0, dtype=torch.float64) -> tuple[StudentOutput, TeacherOutput]:
    random = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(1, *shape, generator=random, dtype=dtype) for shape in ((5, 6), (4, 9)))
    return StudentOutput(student.requires_grad_()), TeacherOutput(teacher, aligned=aligned())


@every_objective
def test_it_counts_chunks_before_the_student_speaks(objective):
    student, teacher = said()
    loss = objective(student, teacher, batch())
    assert loss.count.item() == objective.count(teacher, batch()).item()
    assert loss.count.item() == (2 if isinstance(objective, SharedVocabularyKL) else 3)
    assert loss.total.item() > 0


@every_objective
def test_a_chunk_with_a_token_that_does_not_count_does_not_count(objective):
    student, teacher = said()
    masked = batch([[0, -1, 2, -1, -1]])
    assert objective(student, teacher, masked).count.item() == 1


@every_objective
def test_nothing_that_counts_costs_nothing(objective):
    student, teacher = said()
    loss = objective(student, teacher, batch([[-1] * 5]))
    assert (loss.total.item(), loss.count.item()) == (0, 0)
    loss.total.backward()
    assert student.scores.grad is None or (student.scores.grad == 0).all()


@every_objective
def test_a_head_not_applied_yet_gives_the_same(objective):
    _, teacher = said()
    random = torch.Generator().manual_seed(1)
    states = torch.randn(1, 5, 4, generator=random, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 4, generator=random, dtype=torch.float64, requires_grad=True)
    found = []
    for scores in (Projection(states, weight), states @ weight.T):
        loss = objective(StudentOutput(scores), teacher, batch())
        found.append((loss.total, *torch.autograd.grad(loss.total, (states, weight))))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@every_objective
@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_extreme_scores_stay_finite(objective, scale):
    student, teacher = said(dtype=torch.float32)
    extreme = StudentOutput((student.scores.detach() * scale).requires_grad_())
    loss = objective(extreme, TeacherOutput(teacher.scores * scale, aligned=teacher.aligned), batch())
    loss.total.backward()
    assert loss.total.isfinite()
    assert extreme.scores.grad.isfinite().all()


@every_objective
def test_steps_down_its_gradient_bring_it_down(objective):
    student, teacher = said()
    scores = student.scores
    before = objective(student, teacher, batch()).total
    for _ in range(200):
        (slope,) = torch.autograd.grad(objective(StudentOutput(scores), teacher, batch()).total, scores)
        scores = (scores - 0.3 * slope).detach().requires_grad_()
    assert objective(StudentOutput(scores), teacher, batch()).total < 0.5 * before


def test_chunk_likelihoods_are_products_of_their_tokens():
    student, teacher = said()
    mine = student.scores.log_softmax(-1)[0]
    its = teacher.scores.log_softmax(-1)[0]
    pairs = [(mine[0, 0], its[0, 5]), (mine[1, 1] + mine[2, 2], its[1, 7]), (mine[3, 3], its[2, 6])]
    wanted = sum(p.exp() * (p - q) + (1 - p.exp()) * torch.log((1 - p.exp()) / (1 - q.exp())) for q, p in pairs)
    found = ChunkLikelihood(temperature=1)(student, teacher, batch()).total
    assert found.item() == pytest.approx(wanted.item(), abs=1e-8)


def test_both_say_how_likely_each_chunk_is():
    student, teacher = said()
    mine, its = student.scores.log_softmax(-1)[0], teacher.scores.log_softmax(-1)[0]
    found = likelihoods_of_chunks(student, teacher, batch())
    wanted = [[mine[0, 0], mine[1, 1] + mine[2, 2], mine[3, 3]], [its[0, 5], its[1, 7], its[2, 6]]]
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, torch.stack(other))


def test_one_tokenizer_makes_it_the_plain_kl():
    """The same vocabulary on both sides, every token a chunk: the shared part is all there is."""
    random = torch.Generator().manual_seed(3)
    student, teacher = (torch.randn(1, 3, 5, generator=random, dtype=torch.float64) for _ in range(2))
    labels, chunks, ids = torch.tensor([[1, 4, -1]]), torch.tensor([[0, 1, -1]]), torch.arange(5)
    same = TeacherOutput(teacher, labels >= 0, aligned=Aligned(labels, chunks, chunks, 2, (ids, ids)))
    given = Batch({}, labels, torch.tensor([0]))
    one = SharedVocabularyKL(temperature=2)(StudentOutput(student), same, given)
    other = ForwardKL(temperature=2)(StudentOutput(student), same, given)
    assert one.total.item() == pytest.approx(other.total.item(), abs=1e-5)
    assert one.count.item() == other.count.item() == 2


def test_equal_sureness_costs_the_universal_distance_nothing():
    _, teacher = said()
    scores = torch.full((1, 5, 9), -30.0, dtype=torch.float64)
    places = [0, 1, 3]  # where the student's chunks begin
    scores[0, places] = teacher.scores[0, :3].flip(-1)
    assert UniversalLogit()(StudentOutput(scores), teacher, batch()).total.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UniversalLogit(kept=0), "at least one probability"),
        (lambda: SharedVocabularyKL(temperature=0), "must be above 0"),
        (lambda: ChunkLikelihood(temperature=math.nan), "must be above 0"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@every_objective
def test_a_teacher_of_the_same_tokens_is_refused(objective):
    student, teacher = said()
    with pytest.raises(UsageError, match="aligned"):
        objective(student, TeacherOutput(teacher.scores), batch())


def test_vocabularies_with_nothing_in_common_are_refused():
    student, teacher = said()
    with pytest.raises(UsageError, match="share no token"):
        SharedVocabularyKL()(student, TeacherOutput(teacher.scores, aligned=aligned(None)), batch())
