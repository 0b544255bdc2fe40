"""Objectives of how things lie to each other, against values worked out by hand."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Features, Heads, StudentOutput, TeacherOutput
from stillhouse.objectives import piecewise
from stillhouse.objectives.relation import (
    PKT,
    HeadRelations,
    InBatchContrast,
    LinearCKA,
    RelationalKD,
    SimilarityPreserving,
)
from stillhouse.signals.kinds import Kind
from tests.objectives.insides import insides


def embedded(student, teacher):
    """Outputs with these embeddings, and a batch of as many rows."""
    mine, its = (torch.tensor(rows, dtype=torch.float64) for rows in (student, teacher))
    batch = Batch({}, torch.full((len(mine), 1), -1), torch.arange(len(mine)))
    return StudentOutput(features=Features(embedding=mine)), TeacherOutput(features=Features(embedding=its)), batch


def mean(objective, outputs) -> float:
    loss = objective(*outputs)
    return float(loss.total / loss.count)


CORNERS = [[0, 0], [1, 0], [0, 1]], [[0, 0], [3, 0], [0, 4]]
PAIR = [[1, 0], [1, 1]], [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("objective", "value"),
    [
        (RelationalKD(distance=1, angle=0), 0.00348125),
        (RelationalKD(distance=0, angle=1), 0.000744482),
        (RelationalKD(), 0.124255),
    ],
    ids=["distance", "angle", "both"],
)
def test_relational_kd_has_its_known_values(objective, value):
    assert mean(objective, embedded(*CORNERS)) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("objective", "value"),
    [
        (SimilarityPreserving(), 0.199233),
        (PKT(), 0.0333728),  # over the rows; over all pairs 0.0166864
        (InBatchContrast(0.5), 0.410038),
        (InBatchContrast(0.5, both=True), (0.410038 + 0.330085) / 2),
    ],
    ids=["similarity-preserving", "pkt", "contrast", "contrast both ways"],
)
def test_they_have_their_known_values(objective, value):
    assert mean(objective, embedded(*PAIR)) == pytest.approx(value, abs=1e-6)


def test_linear_cka_has_its_known_value():
    outputs = embedded([[1, 0], [0, 1], [-1, -1]], [[1], [0], [-1]])
    assert mean(LinearCKA(), outputs) == pytest.approx(1 - 0.790569, abs=1e-6)


def headed(student: Heads, teacher: Heads):
    batch = Batch({}, torch.full((len(student.queries), 1), -1), torch.arange(len(student.queries)))
    return (
        StudentOutput(features=Features(heads={0: student})),
        TeacherOutput(features=Features(heads={0: teacher})),
        batch,
    )


def test_head_relations_have_their_known_value():
    told = torch.eye(2, dtype=torch.float64)[None, None]
    said = torch.tensor([[[[1.0], [0.0]]]], dtype=torch.float64)
    outputs = headed(Heads(said, said, said), Heads(told, told, told))
    assert mean(HeadRelations({0: 0}, relation_heads=1, keys=0, values=0), outputs) == pytest.approx(
        0.0339763, abs=1e-7
    )
    assert mean(HeadRelations({0: 0}, 1, 0.5, 2, 4), outputs) == pytest.approx(6.5 * 0.0339763, abs=1e-6)


def test_heads_are_cut_anew_whatever_their_number():
    """Two heads of four and four heads of two hold the same numbers, so they relate alike."""
    random = torch.Generator().manual_seed(0)
    parts = [torch.randn(3, 5, 8, generator=random) for _ in range(3)]
    few, many = (Heads(*(part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)) for heads in (2, 4))
    for slices in (None, 1, 8):
        assert mean(HeadRelations({0: 0}, slices), headed(few, many)) == pytest.approx(0, abs=1e-6)


def test_shared_keys_are_cut_like_the_rest():
    """Grouped queries: keys and values have fewer heads than queries."""
    random = torch.Generator().manual_seed(0)
    shared = Heads(*(torch.randn(2, heads, 5, 4, generator=random) for heads in (4, 2, 2)))
    full = Heads(*(torch.randn(2, 6, 5, 2, generator=random) for _ in range(3)))
    assert mean(HeadRelations({0: 0}), headed(full, shared)) > 0


def test_slices_that_do_not_divide_are_refused():
    told = torch.zeros(1, 2, 3, 4)
    with pytest.raises(UsageError, match="cannot be cut in 3 equal slices"):
        HeadRelations({0: 0}, 3)(*headed(Heads(told, told, told), Heads(told, told, told)))


@pytest.mark.parametrize("objective", [RelationalKD(), LinearCKA()], ids=["relational", "cka"])
def test_scale_turn_and_shift_do_not_matter(objective):
    rows = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    outputs = embedded((7 * rows @ turn + 4).tolist(), rows.tolist())
    assert mean(objective, outputs) == pytest.approx(0, abs=1e-9)


def test_repeated_samples_do_no_harm():
    outputs = embedded([[1, 0], [1, 0], [0, 1]], [[2, 0], [2, 0], [0, 0]])
    said = outputs[0].features.embedding.requires_grad_()
    loss = RelationalKD()(*outputs)
    assert loss.total.isfinite()
    assert torch.autograd.grad(loss.total, said)[0].isfinite().all()


def test_blocks_stand_for_samples_by_the_mean_of_tokens_that_count():
    states = torch.tensor([[[1.0, 0], [3, 0], [9, 9]], [[2, 2], [8, 8], [8, 8]]])
    batch = Batch({"attention_mask": torch.tensor([[1, 1, 0], [1, 0, 0]])}, torch.full((2, 1), -1), torch.arange(2))
    told = TeacherOutput(features=Features({3: torch.tensor([[[1.0, 2]] * 3, [[0, 1]] * 3])}))
    by_blocks = SimilarityPreserving(layers=(0, 3))
    assert by_blocks.needs == {Kind.HIDDEN}
    loss = by_blocks(StudentOutput(features=Features({0: states})), told, batch)
    by_hand = SimilarityPreserving()(*embedded([[2, 0], [2, 2]], [[1, 2], [0, 1]]))
    assert loss.total.item() == pytest.approx(by_hand.total.item())


def test_contrast_learns_a_projector_where_widths_differ():
    student, teacher, batch = insides()
    objective = InBatchContrast()
    with pytest.raises(UsageError, match="no projector joins them yet"):
        objective(student, teacher, batch)
    (learnt,) = objective.learns(student, teacher)
    objective(student, teacher, batch).total.backward()
    assert learnt.weight.grad.abs().max() > 0


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(UsageError, match="temperature must be a number above 0"):
        InBatchContrast(temperature)


def test_angles_of_a_large_batch_do_not_exist_all_at_once(monkeypatch):
    """At most a few times what a piece may hold: the largest tensor kept for the gradient is counted."""
    monkeypatch.setitem(piecewise._ELEMENTS, "cpu", 40 * 40)
    sizes = []
    outputs = embedded(torch.randn(40, 8).tolist(), torch.randn(40, 8).tolist())
    outputs[0].features.embedding.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(
        lambda kept: (sizes.append(kept.numel()), kept)[1], lambda kept: kept
    ):
        RelationalKD()(*outputs)
    assert max(sizes) <= 40 * 40
