"""Objectives of what happens inside, against values worked out by hand, and on real models."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from stillhouse.errors import UsageError
from stillhouse.models.forward import capture
from stillhouse.models.outputs import Batch, Features, Layers, StudentOutput, TeacherOutput
from stillhouse.objectives.feature import (
    AttentionKL,
    AttentionMSE,
    AttentionTransfer,
    EmbeddingCosine,
    EmbeddingMSE,
    HiddenCosine,
    HiddenStates,
)
from stillhouse.objectives.response import ForwardKL
from stillhouse.students.encoder import EncoderStudent
from stillhouse.students.shrink import shrink
from stillhouse.teachers.local import Local
from stillhouse.training.loop import Lesson, Schedule, train
from stillhouse.training.online import Online
from tests.models import tiny
from tests.objectives.insides import MAPS, changed, insides
from tests.training import pupils


def given(student: Features, teacher: Features, mask: list[list[int]] | None = None):
    """Outputs with only features, and a batch of as many rows."""
    some = next(
        part for part in (*teacher.hidden.values(), *teacher.attention.values(), teacher.embedding) if part is not None
    )
    inputs = {} if mask is None else {"attention_mask": torch.tensor(mask)}
    rows = len(some)
    return (
        StudentOutput(features=student),
        TeacherOutput(features=teacher),
        Batch(inputs, torch.full((rows, 1), -1), torch.arange(rows)),
    )


def of(*rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def mean(objective, outputs) -> float:
    loss = objective(*outputs)
    return float(loss.total / loss.count)


def test_hidden_states_are_compared_per_token_and_element():
    states, told = of([[1, 2], [3, 4], [9, 9]]), of([[1, 0], [0, 4], [0, 0]])
    outputs = given(Features({0: states}), Features({5: told}), [[1, 1, 0]])
    loss = HiddenStates({0: 5})(*outputs)
    assert loss.total.item() == pytest.approx((4 + 9) / 2)
    assert loss.count.item() == 2


def test_more_pairs_do_not_weigh_more():
    student, teacher, batch = insides(widths=(8, 8))
    ones = [HiddenStates({at: at})(student, teacher, batch).total for at in (0, 1)]
    both = HiddenStates({0: 0, 1: 1})(student, teacher, batch)
    assert torch.allclose(both.total, (ones[0] + ones[1]) / 2)


def test_distilberts_cosine_has_its_known_value():
    outputs = given(Features({2: of([[1, 0], [1, 1]])}), Features({2: of([[1, 0], [0, 1]])}))
    assert mean(HiddenCosine({2: 2}), outputs) == pytest.approx(0.1464466, abs=1e-7)


def test_twice_the_cosine_is_the_distance_of_patient_distillation():
    outputs = given(Features({0: of([[3, 4]])}), Features({0: of([[0, 5]])}))
    assert mean(2 * HiddenCosine({0: 0}), outputs) == pytest.approx(0.4, abs=1e-9)


def test_maps_are_compared_at_the_smaller_size_and_count_as_one():
    large = of([[[1, 3], [5, 7]]])
    loss = HiddenStates({0: 0})(*given(Features({0: large}), Features({0: of([[[2]]])})))
    assert loss.total.item() == pytest.approx((4 - 2) ** 2)
    assert loss.count.item() == 1


def test_attention_transfer_has_its_known_value():
    student = of([[[1, 0], [0, 0]], [[1, 1], [0, 0]]])
    teacher = of([[[2, 0], [0, 0]], [[0, 0], [0, 2]]])
    outputs = given(Features({1: student}), Features({3: teacher}))
    assert mean(AttentionTransfer({1: 3}), outputs) == pytest.approx(0.1837722, abs=1e-7)


def test_attention_transfer_is_for_maps():
    outputs = given(Features({0: of([[1, 0]])}), Features({0: of([[1, 0]])}))
    with pytest.raises(UsageError, match="choose AttentionKL"):
        AttentionTransfer({0: 0})(*outputs)


LOOKS, TOLD = of([[[0.5, 0.5, 0], [0.25, 0.75, 0], [1, 0, 0]]]), of([[[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0, 1]]])


def test_attention_is_compared_per_looking_token():
    outputs = given(Features(attention={0: LOOKS}), Features(attention={0: TOLD}), [[1, 1, 0]])
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert mean(AttentionKL({0: 0}), outputs) == pytest.approx(divergence / 2)
    assert mean(AttentionMSE({0: 0}), outputs) == pytest.approx(2 * 0.25**2 / 2 / 2)


def test_heads_that_differ_in_number_are_averaged_first():
    two = torch.cat([TOLD, LOOKS], 1)
    outputs = given(Features(attention={0: LOOKS}), Features(attention={0: two}), [[1, 1, 0]])
    averaged = given(Features(attention={0: LOOKS}), Features(attention={0: (TOLD + LOOKS) / 2}), [[1, 1, 0]])
    for objective in (AttentionKL({0: 0}), AttentionMSE({0: 0})):
        assert mean(objective, outputs) == pytest.approx(mean(objective, averaged))
        assert mean(objective, outputs) > 0


def test_attention_over_other_tokens_cannot_be_compared():
    outputs = given(Features(attention={0: LOOKS[..., :2, :2]}), Features(attention={0: TOLD}))
    with pytest.raises(UsageError, match="2 tokens and the teacher over 3"):
        AttentionKL({0: 0})(*outputs)


def test_embeddings_have_their_known_values():
    outputs = given(Features(embedding=of([3, 4])[0:1]), Features(embedding=of([0, 5])[0:1]))
    assert mean(EmbeddingCosine(), outputs) == pytest.approx(0.2)
    assert mean(EmbeddingMSE(), outputs) == pytest.approx((9 + 1) / 2)


@pytest.mark.parametrize(
    "objective", [HiddenStates({0: 1, 1: 0}), HiddenCosine({0: 0}), EmbeddingMSE(), HiddenStates({MAPS: MAPS})]
)
def test_projectors_join_widths_and_belong_to_nobody_else(objective):
    student, teacher, batch = insides()
    objective.learnt.clear()
    with pytest.raises(UsageError, match=r"width 8 and the teacher's 16.*objective\.learns"):
        objective(student, teacher, batch)
    learnt = objective.learns(student, teacher)
    assert len(learnt) == len(getattr(objective, "pairs", [0]))
    assert all(module.weight.shape == (16, 8) for module in learnt)
    objective(student, teacher, batch).total.backward()
    assert all(module.weight.grad.abs().max() > 0 for module in learnt)


def test_a_second_student_gets_projectors_of_its_own():
    student, teacher, _ = insides()
    objective = HiddenStates({0: 0})
    first, second = objective.learns(student, teacher), objective.learns(student, teacher)
    assert len(second) == 1
    assert first[0] is not second[0]
    same = insides(widths=(16, 16))
    assert objective.learns(same[0], same[1]) == []
    assert objective(*same).total > 0


def test_a_projector_may_be_chosen_even_where_widths_agree():
    student, teacher, batch = insides(widths=(8, 8))
    objective = HiddenStates({0: 0}, projector=lambda mine, its: nn.Linear(mine.shape[-1], its.shape[-1]))
    assert [type(module) for module in objective.learns(student, teacher)] == [nn.Linear]
    assert not torch.equal(
        objective(student, teacher, batch).total, HiddenStates({0: 0})(student, teacher, batch).total
    )


def test_states_of_other_tokens_cannot_be_compared():
    outputs = given(Features({0: of([[1, 2]])}), Features({0: of([[1, 2], [3, 4]])}))
    with pytest.raises(UsageError, match="do not lie over the same tokens"):
        HiddenStates({0: 0})(*outputs)


def test_an_empty_layer_map_is_refused():
    for made in (HiddenStates, AttentionKL, AttentionTransfer):
        with pytest.raises(UsageError, match="needs a layer map"):
            made({})


def test_objectives_that_read_alike_are_alike():
    assert HiddenStates({0: 0, 2: 5}) == HiddenStates({0: 0, 2: 5})
    assert repr(HiddenStates({0: 5})) == "HiddenStates(pairs={0: 5}, projector=None)"


def test_a_layer_map_is_not_changed_from_outside():
    pairs = {0: 0}
    objective = HiddenStates(pairs)
    pairs[7] = 7
    assert objective.taps.student == Layers(frozenset({0}))


@pytest.mark.parametrize(
    "objective", [HiddenStates({-1: -1, 0: 1}), HiddenCosine({0: 2}), AttentionKL({0: 1})], ids=repr
)
def test_a_student_grows_like_its_teacher_inside(objective):
    teacher, student = tiny.encoder(), shrink(tiny.encoder(seed=1), 1)
    ids = tiny.ids(4, 6)
    batch = Batch({"attention_mask": torch.ones_like(ids)}, ids, torch.arange(4))
    with torch.no_grad(), capture(teacher, objective.taps.teacher) as seen:
        teacher(ids)
    told = TeacherOutput(features=changed(seen.features(), torch.clone))
    optimizer = torch.optim.Adam(student.parameters(), 3e-3)
    costs = []
    for _ in range(25):
        with capture(student, objective.taps.student) as caught:
            student(ids)
        loss = objective(StudentOutput(features=caught.features()), told, batch)
        (loss.total / loss.count).backward()
        optimizer.step()
        optimizer.zero_grad()
        costs.append((loss.total / loss.count).item())
    assert costs[-1] < 0.7 * costs[0]


def test_projectors_learn_in_the_loop_and_stay_behind():
    task = pupils.task()
    teacher = Local(EncoderStudent(tiny.encoder(seed=3), sum(pupils.SIZES)), task)
    narrow = BertModel(BertConfig(**(tiny.SIZES | {"hidden_size": 16, "num_hidden_layers": 1})))
    student = EncoderStudent(narrow, sum(pupils.SIZES))
    hidden = HiddenStates({-1: -1, 0: 2})
    lesson = Lesson(student, task, Online(task, teacher, range(16), 8, 0), 0.8 * ForwardKL(2) + 0.2 * hidden)
    start: list[torch.Tensor] = []

    def keep(step: int, values: object) -> None:
        start.extend(module.weight.detach().clone() for module in hidden.learnt.values() if step == 1)

    train(lesson, Schedule(epochs=2, evaluations=1), pupils.watch(log=keep, log_every=1))
    assert not any(
        torch.equal(*pair) for pair in zip(start, [one.weight for one in hidden.learnt.values()], strict=True)
    )
    assert [tuple(weight.shape) for weight in start] == [(32, 16), (32, 16)]
    assert {name.split(".")[0] for name in student.state_dict()} == {"encoder", "head"}
