"""Exits answer after earlier blocks in the same pass, below each other, the last answer last."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Layers
from stillhouse.models.scores import Projection
from stillhouse.training.exits import AtExits, Exits, PooledHead
from tests.training import pupils, sources, writers


def test_a_pooled_head_reads_the_tokens_that_are_there():
    head = PooledHead(4, (3, 2))
    states, mask = torch.randn(2, 5, 4), torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    said = head(states, mask)
    assert said.shape == (2, 2, 3)
    assert torch.allclose(said[:1], head(states[:1, :3], None), atol=1e-6)


def test_answers_stand_below_each_other():
    made = sources.exits()
    batch = made.task.batch(range(4))
    assert batch.labels.shape == (12, 2)
    assert batch.inputs["input_ids"].shape[0] == 4, "what is read is read once"
    assert made.task.asked(batch).shape == (12, 2)
    said = made.task.output(made.student.eval(), batch, Layers()).logits
    last = pupils.task().output(made.student.student, pupils.task().batch(range(4)), Layers()).logits
    assert torch.equal(said[8:], last)
    assert not torch.allclose(said[:4], said[4:8])
    assert made.task.length(3) == pupils.task().length(3)


def test_an_exit_reads_its_own_block():
    made = sources.exits()
    made.student.eval()
    batch = made.task.batch(range(4))
    before = made.task.output(made.student, batch, Layers()).logits
    with torch.no_grad():
        made.student.student.encoder.encoder.layer[1].output.dense.weight.mul_(3)
    after = made.task.output(made.student, batch, Layers()).logits
    assert torch.equal(before[:4], after[:4])
    assert not torch.allclose(before[4:8], after[4:8])


def test_a_language_models_exits_share_its_norm_and_head():
    made = sources.shared_exits()
    batch = made.task.batch(range(4))
    said = made.task.output(made.student, batch, Layers()).scores
    assert isinstance(said, Projection)
    assert said.states.shape[0] == 8
    model = made.student.student
    hidden = model(batch.inputs["input_ids"], batch.inputs["attention_mask"], output_hidden_states=True).hidden_states
    early = model.lm_head(model.model.norm(hidden[1]))
    there = batch.inputs["attention_mask"].bool()
    assert torch.allclose(said.logits()[:4][there], early[there], atol=1e-5)


def test_shared_exits_add_no_weights():
    student = Exits.shared(writers.writer(), [0])
    assert sum(weight.numel() for weight in student.parameters()) == sum(
        weight.numel() for weight in writers.writer().parameters()
    )


def test_features_of_other_blocks_are_still_caught():
    made = sources.exits()
    said = made.task.output(made.student, made.task.batch(range(2)), Layers(frozenset({2})))
    assert set(said.features.hidden) == {0, 1, 2}


def test_every_weight_has_a_rate():
    made = sources.exits()
    parts = [weight for module, _ in made.student.learning_rates() for weight in module.parameters()]
    assert set(map(id, parts)) == set(map(id, made.student.parameters()))


def test_a_student_without_exits_is_refused():
    with pytest.raises(UsageError, match="with exits"):
        AtExits(pupils.task(), 1).output(pupils.pupil("words"), AtExits(pupils.task(), 1).batch([0]), Layers())


def test_a_dense_student_needs_heads_for_its_exits():
    student = Exits.shared(pupils.pupil("encoder"), [0])
    task = AtExits(pupils.task(), 1)
    with pytest.raises(UsageError, match="a head of its own"):
        task.output(student, task.batch([0]), Layers())
