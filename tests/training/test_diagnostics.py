"""What a step's figures say is what was said and told; what cannot be known is left out."""

from __future__ import annotations

import math

import pytest
import torch

from stillhouse.models.outputs import Aligned, Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Mixture, Projection, Sampled, TopK
from stillhouse.training.diagnostics import describe_step

P, Q = [0.7, 0.2, 0.1], [0.2, 0.5, 0.3]
"""Teacher and student of the reference values."""
KL = 0.583814702705


def batch(labels: list[list[int]]) -> Batch:
    ids = torch.zeros(len(labels), 1, dtype=torch.long)
    return Batch({"input_ids": ids}, torch.tensor(labels), torch.arange(len(labels)))


def logs(values: list[float]) -> torch.Tensor:
    return torch.tensor([[values]]).log()


def described(scores, student: list[float] = Q, told=None) -> dict[str, float]:
    return describe_step(StudentOutput(logs(student)), TeacherOutput(scores, told), batch([[0]]))


def test_beside_a_dense_teacher():
    found = described(logs(P))
    assert found["kl_to_teacher"] == pytest.approx(KL, abs=1e-6)
    assert found["top1_agreement"] == 0
    assert found["student_entropy"] == pytest.approx(-sum(q * math.log(q) for q in Q), abs=1e-6)
    assert found["memory_mb"] > 10
    assert described(logs(P), P)["top1_agreement"] == 1


def test_heads_that_were_not_applied_say_the_same():
    one = torch.ones(1, 1, 1)
    weight = torch.tensor(P).log().unsqueeze(-1)
    assert described(Projection(one, weight))["kl_to_teacher"] == pytest.approx(KL, abs=1e-6)
    mixed = Mixture((logs(P), Projection(one, weight)), torch.full((1, 1, 2), 0.5))
    assert described(mixed)["kl_to_teacher"] == pytest.approx(KL, abs=1e-6)
    said = StudentOutput(Projection(one, torch.tensor(Q).log().unsqueeze(-1)))
    found = describe_step(said, TeacherOutput(logs(P)), batch([[0]]))
    assert found["kl_to_teacher"] == pytest.approx(KL, abs=1e-6)


def test_beside_the_teachers_likeliest_the_rest_is_one():
    top = TopK(torch.tensor([[[0, 1]]]), torch.tensor([[P[:2]]]).log())
    found = described(top)
    assert found["kl_to_teacher"] == pytest.approx(
        sum(p * math.log(p / q) for p, q in zip(P, Q, strict=True)), abs=1e-5
    )
    assert found["teacher_mass"] == pytest.approx(0.9, abs=1e-6)
    assert found["student_mass"] == pytest.approx(0.7, abs=1e-6)
    assert found["top1_agreement"] == 0


def test_likeliest_that_are_missing_have_no_mass():
    short = TopK(torch.tensor([[[0, 7]]]), torch.tensor([[[0.7, 0.3]]]).log())
    assert described(short)["teacher_mass"] == pytest.approx(0.7, abs=1e-6), "id 7 is outside the student's labels"
    none = TopK(torch.tensor([[[0, 0]]]), torch.tensor([[[math.log(0.7), -math.inf]]]))
    assert described(none)["student_mass"] == pytest.approx(0.2, abs=1e-6)


def test_beside_draws_there_is_no_divergence():
    drawn = Sampled(torch.tensor([[[1, 0, 0]]]), torch.tensor([[[5, 3, 0]]]))
    found = described(drawn)
    assert found["top1_agreement"] == 1
    assert found["student_mass"] == pytest.approx(0.7, abs=1e-6)
    assert "kl_to_teacher" not in found


def test_padded_vocabularies_are_compared_over_what_both_have():
    wide = torch.cat([logs(P), torch.full((1, 1, 2), 3.0)], -1)
    assert described(wide)["kl_to_teacher"] == pytest.approx(KL, abs=1e-6)


def test_only_positions_that_count_are_looked_at():
    student = StudentOutput(torch.cat([logs(Q), logs(P)], 1))
    teacher = TeacherOutput(torch.cat([logs(P), logs(P)], 1), torch.tensor([[False, True]]))
    found = describe_step(student, teacher, batch([[0, 0]]))
    assert found["kl_to_teacher"] == pytest.approx(0, abs=1e-6)
    assert found["top1_agreement"] == 1


def test_words_alone_leave_entropy():
    found = describe_step(StudentOutput(logs(Q)), TeacherOutput(), batch([[1]]))
    assert found.keys() == {"memory_mb", "student_entropy"}


def test_nothing_that_counts_leaves_memory():
    nothing = describe_step(StudentOutput(logs(Q)), TeacherOutput(), batch([[-1]]))
    features = describe_step(StudentOutput(), TeacherOutput(), batch([[0]]))
    assert nothing.keys() == features.keys() == {"memory_mb"}


def test_scores_of_other_tokens_are_not_compared():
    labels = torch.tensor([[0]])
    teacher = TeacherOutput(logs([*P, 0.1]), aligned=Aligned(labels, labels, labels, 1))
    found = describe_step(StudentOutput(logs(Q)), teacher, batch([[0]]))
    assert set(found) == {"memory_mb", "student_entropy"}
