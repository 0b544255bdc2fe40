"""Tensors in flight move to a device together."""

from __future__ import annotations

import pytest
import torch

from stillhouse.models.outputs import Batch, Features, Layers, StudentOutput, TeacherOutput
from stillhouse.models.scores import Mixture, Projection, Sampled, TopK

ELSEWHERE = torch.device("meta")  # a device that every machine has


def test_a_batch_moves_whole():
    ones = torch.ones(2, 3, dtype=torch.long)
    batch = Batch({"input_ids": ones, "attention_mask": ones}, ones, ones).to(ELSEWHERE)
    assert {part.device for part in (*batch.inputs.values(), batch.labels, batch.rows)} == {ELSEWHERE}


def test_so_does_what_the_teacher_told_if_it_told_anything():
    told = TeacherOutput(torch.ones(2, 1, 3), torch.ones(2, 1, dtype=torch.bool), Features({0: torch.ones(2, 3, 4)}))
    moved = told.to(ELSEWHERE)
    assert {moved.scores.device, moved.told.device, moved.features.hidden[0].device} == {ELSEWHERE}
    assert TeacherOutput().to(ELSEWHERE) == TeacherOutput()


@pytest.mark.parametrize(
    "scores",
    [
        TopK(torch.ones(2, 1, 3, dtype=torch.long), torch.ones(2, 1, 3), {2.0: torch.ones(2, 1)}),
        Sampled(torch.ones(2, 1, 3, dtype=torch.long), torch.ones(2, 1, 3)),
        Projection(torch.ones(2, 1, 3), torch.ones(5, 3), torch.ones(5), 2.0, 30.0),
    ],
    ids=lambda scores: type(scores).__name__,
)
def test_and_every_form_of_scores(scores):
    moved = TeacherOutput(scores).to(ELSEWHERE).scores
    tensors = [part for part in vars(moved).values() if isinstance(part, torch.Tensor)]
    assert len(tensors) >= 2
    assert {tensor.device for tensor in tensors} == {ELSEWHERE}
    if isinstance(moved, TopK):
        assert moved.shifts[2.0].device == ELSEWHERE


def test_and_every_part_of_a_mixture():
    parts = (torch.ones(2, 1, 5), Projection(torch.ones(2, 1, 3), torch.ones(5, 3)))
    moved = TeacherOutput(Mixture(parts, torch.ones(2, 1, 2))).to(ELSEWHERE).scores
    dense, head = moved.parts
    assert {dense.device, head.states.device, head.weight.device, moved.weights.device} == {ELSEWHERE}


def test_a_student_without_scores_says_so():
    with pytest.raises(ValueError, match="no scores"):
        StudentOutput().logits  # noqa: B018


def test_layers_add_up():
    both = Layers(hidden=frozenset({1})) | Layers(hidden=frozenset({2}), heads=frozenset({0}))
    assert both == Layers(frozenset({1, 2}), frozenset(), frozenset({0}))
    assert both
    assert not Layers()
