"""A model as a teacher is frozen, asked in parts, in its own number format, and tells its inside when asked."""

from __future__ import annotations

import pytest
import torch

from stillhouse.models.outputs import Batch, Layers, StudentOutput
from stillhouse.models.scores import Projection
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.teachers.local import ANSWERS_AND_INSIDE, Local, ask
from tests.teachers.judges import batch, task
from tests.training import pupils, writers

INSIDE = Layers(frozenset({-1, 1}), frozenset({0}), frozenset({1}))


def test_its_model_is_frozen_and_answers_without_dropout():
    model = pupils.pupil("encoder").train()
    teacher = Local(model, pupils.task())
    given = pupils.task().batch(range(4))
    one, two = (teacher.observe(given, Layers()).scores for _ in range(2))
    assert torch.equal(one, two)
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())


def test_a_large_head_is_not_applied():
    told = writers.teacher().observe(batch(), Layers())
    assert isinstance(told.scores, Projection)
    assert told.scores.states.shape == (6, batch().labels.shape[1], 32)


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_asked_in_parts_it_says_the_same(rows):
    given = batch(range(7))
    whole = Local(writers.writer(9, 32), task()).observe(given, INSIDE)
    parts = Local(writers.writer(9, 32), task(), rows=rows).observe(given, INSIDE)
    assert torch.allclose(parts.scores.logits(), whole.scores.logits(), atol=1e-5)
    assert torch.equal(parts.told, whole.told)
    for layer in (-1, 1):
        assert torch.allclose(parts.features.hidden[layer], whole.features.hidden[layer], atol=1e-5)
    assert torch.allclose(parts.features.attention[0], whole.features.attention[0], atol=1e-5)
    assert torch.allclose(parts.features.heads[1].keys, whole.features.heads[1].keys, atol=1e-5)


def test_in_bf16_it_takes_half_the_room_and_says_nearly_the_same():
    whole = Local(writers.writer(9, 32), task()).observe(batch(), Layers())
    half = Local(writers.writer(9, 32), task(), dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        said = half.observe(batch(), Layers())
    assert said.scores.states.dtype == torch.bfloat16
    assert {weight.dtype for weight in half.model.parameters()} == {torch.bfloat16}
    p, q = said.scores.logits().softmax(-1), whole.scores.logits().softmax(-1)
    assert (p - q).abs().max() < 0.05


def test_pixels_come_in_its_own_number_format():
    class Sees(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(12, 3)

    class Looks:
        def output(self, student, batch, layers):
            return StudentOutput(student.head(batch.inputs["pixel_values"].flatten(1)).unsqueeze(1))

        def asked(self, batch):
            return torch.ones_like(batch.labels, dtype=torch.bool)

    given = Batch({"pixel_values": torch.rand(2, 3, 2, 2)}, torch.zeros(2, 1, dtype=torch.long), torch.arange(2))
    said = Local(Sees(), Looks(), dtype=torch.bfloat16).observe(given, Layers())
    assert said.scores.dtype == torch.bfloat16


def test_without_a_format_of_its_own_it_computes_as_the_run_does():
    teacher = Local(pupils.pupil("encoder"), pupils.task())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert teacher.observe(pupils.task().batch(range(2)), Layers()).scores.dtype == torch.bfloat16


def test_how_likely_it_finds_an_answer_is_told_where_it_is_wanted():
    given = batch()
    tells = ANSWERS_AND_INSIDE | {Kind.LIKELIHOOD}
    told = Local(writers.writer(9, 32), task(), tells).observe(given, Layers())
    logs = told.scores.logits().log_softmax(-1).gather(-1, given.labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    assert torch.allclose(told.log_probs, logs.where(given.labels >= 0, 0).sum(1), atol=1e-5)
    assert writers.teacher().observe(given, Layers()).log_probs is None


def test_so_it_is_of_dense_scores():
    given = pupils.task().batch(range(3))
    told = Local(pupils.pupil("static"), pupils.task(), EVERY_SCORE | {Kind.LIKELIHOOD}).observe(given, Layers())
    logs = told.scores.log_softmax(-1).gather(-1, given.labels.unsqueeze(-1)).squeeze(-1)
    assert torch.allclose(told.log_probs, logs.sum(1), atol=1e-5)


def test_who_is_asked_while_it_learns_stays_in_its_modes():
    student = pupils.pupil("encoder").train()
    student.head.eval()
    given = pupils.task().batch(range(3))
    said = ask(student, pupils.task(), given, Layers())
    assert not said.logits.requires_grad
    assert student.training
    assert student.encoder.training
    assert not student.head.training
    assert all(weight.requires_grad for weight in student.parameters())
    assert torch.equal(said.logits, ask(student, pupils.task(), given, Layers()).logits), "no dropout"
