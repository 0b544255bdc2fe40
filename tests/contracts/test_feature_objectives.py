"""What holds for every objective of features and relations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import StudentOutput, TeacherOutput
from stillhouse.objectives import feature, piecewise, relation
from stillhouse.objectives.combine import Composable
from stillhouse.objectives.feature import (
    AttentionKL,
    AttentionMSE,
    AttentionTransfer,
    EmbeddingCosine,
    EmbeddingMSE,
    HiddenCosine,
    HiddenStates,
)
from stillhouse.objectives.relation import (
    PKT,
    HeadRelations,
    InBatchContrast,
    LinearCKA,
    Relation,
    RelationalKD,
    SimilarityPreserving,
)
from stillhouse.signals.kinds import Kind
from tests.objectives.insides import (
    LENGTHS,
    MAPS,
    ROWS,
    agreeing,
    changed,
    gradients,
    insides,
    leaves_of,
    rows_of,
    spoilt,
    tensors,
)

OBJECTIVES = {
    "hidden_states": HiddenStates({0: 1}),
    "hidden_states of two pairs": HiddenStates({0: 0, 1: 1}),
    "hidden_states of maps": HiddenStates({MAPS: MAPS}),
    "hidden_cosine": HiddenCosine({1: 0}),
    "attention_kl": AttentionKL({0: 0}),
    "attention_mse": AttentionMSE({0: 0}),
    "attention_transfer": AttentionTransfer({MAPS: MAPS}),
    "embedding_cosine": EmbeddingCosine(),
    "embedding_mse": EmbeddingMSE(),
    "relational_kd": RelationalKD(),
    "relational_kd of blocks": RelationalKD(layers=(0, 1)),
    "similarity_preserving": SimilarityPreserving(),
    "similarity_preserving of maps": SimilarityPreserving(layers=(MAPS, MAPS)),
    "pkt": PKT(),
    "pkt of blocks": PKT(layers=(1, 1)),
    "linear_cka": LinearCKA(),
    "in_batch_contrast": InBatchContrast(),
    "in_batch_contrast of blocks, both ways": InBatchContrast(both=True, layers=(0, 0)),
    "head_relations": HeadRelations({0: 0}, relation_heads=4),
    "a sum": 0.5 * HiddenStates({0: 0}) + 2 * PKT() + AttentionKL({0: 0}),
}
AMONG_ROWS = {name for name, objective in OBJECTIVES.items() if isinstance(objective, Relation)} | {"a sum"}
NEVER_ZERO = {name for name in OBJECTIVES if name.startswith("in_batch_contrast")}


def each(names) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", sorted(names))


every_objective = each(OBJECTIVES)


def fitted(name: str, given):
    """The objective, with whatever it learns made to the sizes of a batch."""
    torch.manual_seed(0)
    objective = OBJECTIVES[name]
    objective.learns(given[0], given[1])
    return objective


def test_all_there_are_stand_here():
    there = {type(objective) for objective in OBJECTIVES.values()}
    every = [vars(module)[name] for module in (feature, relation) for name in module.__all__]
    assert {made for made in every if issubclass(made, Composable) and not made.__abstractmethods__} <= there


@every_objective
def test_it_says_what_it_needs_and_where_to_look(name):
    objective = OBJECTIVES[name]
    assert objective.needs
    assert objective.needs <= set(Kind)
    assert objective.taps.student
    assert objective.taps.teacher


@each(OBJECTIVES.keys() - NEVER_ZERO)
def test_agreement_costs_nothing_and_pulls_nowhere(name):
    given = agreeing()
    objective = fitted(name, given)
    loss = objective(*given)
    assert loss.total.abs().max() < 1e-5
    assert (loss.total >= 0).all()
    assert (loss.count > 0).all()
    slopes = gradients(objective, given)
    of_attention = next(at for at, one in enumerate(tensors(given[0])) if one is given[0].features.attention[0])
    looks = given[0].features.attention[0].detach()
    slopes[of_attention] -= (looks * slopes[of_attention]).sum(-1, keepdim=True)  # what a softmax passes on
    slopes[of_attention] *= looks
    assert max(slope.abs().max() for slope in slopes) < 1e-4


@every_objective
def test_disagreement_costs_something(name):
    assert (fitted(name, insides())(*insides()).total > 1e-4).all()


@every_objective
def test_the_count_is_known_before_the_student_answers(name):
    objective = fitted(name, insides())
    assert torch.equal(objective.count(*insides()[1:]), objective(*insides()).count)


@every_objective
def test_the_teacher_gets_no_gradient(name):
    student, teacher, batch = insides()
    teacher = leaves_of(teacher)
    objective = fitted(name, (student, teacher, batch))
    objective(student, teacher, batch).total.sum().backward()
    assert all(told.grad is None for told in tensors(teacher))
    assert any(said.grad is not None and said.grad.abs().max() > 0 for said in tensors(student))


@every_objective
@pytest.mark.parametrize("garbage", [1e6, float("inf"), float("nan")])
def test_padding_does_not_count(name, garbage):
    objective = fitted(name, insides())
    clean, dirty = insides(), spoilt(insides(), garbage)
    assert torch.equal(objective(*clean).total, objective(*dirty).total)
    assert torch.equal(objective(*clean).count, objective(*dirty).count)
    for slope, wanted in zip(gradients(objective, dirty), gradients(objective, clean), strict=True):
        assert torch.equal(slope, wanted)
    of_states = gradients(objective, dirty)[0]
    assert all((row[length:] == 0).all() for row, length in zip(of_states, LENGTHS, strict=True))


@every_objective
def test_neither_does_more_of_it(name):
    def longer(tensor: torch.Tensor) -> torch.Tensor:
        places = [0, 2] * sum(size == 5 for size in tensor.shape[1:])
        return torch.nn.functional.pad(tensor, ([0, 0] if tensor.shape[-1] != 5 else []) + places)

    objective, given = fitted(name, insides()), insides()
    stretched = tuple(changed(part, longer) for part in given)
    assert stretched[0].features.hidden[0].shape[1] == given[0].features.hidden[0].shape[1] + 2
    assert torch.allclose(objective(*given).total, objective(*stretched).total, rtol=1e-6)
    assert torch.equal(objective(*given).count, objective(*stretched).count)


@each(OBJECTIVES.keys() - AMONG_ROWS)
def test_two_halves_add_up_to_the_whole(name):
    objective, half = fitted(name, insides()), ROWS // 2
    halves = [objective(*rows_of(rows, insides())) for rows in (list(range(half)), list(range(half, ROWS)))]
    whole = objective(*insides())
    assert torch.allclose((halves[0] + halves[1]).total, whole.total, rtol=1e-6)
    assert torch.equal((halves[0] + halves[1]).count, whole.count)


@each(AMONG_ROWS - {"a sum"})
def test_halves_of_relations_add_up_to_the_rows_but_do_not_see_each_other(name):
    objective, half = fitted(name, insides()), ROWS // 2
    halves = [objective(*rows_of(rows, insides())) for rows in (list(range(half)), list(range(half, ROWS)))]
    whole = objective(*insides())
    assert torch.equal((halves[0] + halves[1]).count, whole.count)
    assert not torch.allclose((halves[0] + halves[1]).total, whole.total, rtol=1e-3)


@every_objective
def test_the_order_of_rows_does_not_matter(name):
    order = [3, 0, 5, 1, 4, 2]
    objective, given = fitted(name, insides()), insides()
    student, teacher, batch = rows_of(order, given)
    mixed = (StudentOutput(features=leaves_of(student.features)), teacher, batch)
    assert torch.allclose(objective(*given).total, objective(*mixed).total, rtol=1e-5)
    for straight, turned in zip(gradients(objective, given), gradients(objective, mixed), strict=True):
        assert torch.allclose(straight[order], turned, atol=1e-5)


@every_objective
@pytest.mark.parametrize("scale", [1e4, 1e-4, 0.0])
def test_large_small_and_no_features_give_finite_values_and_gradients(name, scale):
    given = insides(scale=scale)
    objective = fitted(name, given)
    assert objective(*given).total.isfinite().all()
    assert all(slope.isfinite().all() for slope in gradients(objective, given))


@each(OBJECTIVES.keys() - NEVER_ZERO)
def test_both_silent_is_agreement_even_with_a_student_of_another_width(name):
    given = insides(scale=0.0)
    assert fitted(name, given)(*given).total.abs().max() < 1e-6


@every_objective
def test_a_student_without_any_signal_yet_is_not_torn(name):
    """Zero vectors have no direction; slopes at them are at most those of ordinary ones, not 1e8 times as steep."""
    given = insides()
    objective = fitted(name, given)
    blank = StudentOutput(features=leaves_of(changed(given[0].features, torch.zeros_like)))
    usual = max(slope.abs().max() for slope in gradients(objective, given))
    assert max(slope.abs().max() for slope in gradients(objective, (blank, *given[1:]))) <= 1e3 * usual + 1


@every_objective
def test_one_row_is_handled(name):
    given = rows_of([0], insides())
    given = (StudentOutput(features=leaves_of(given[0].features)), *given[1:])
    objective = fitted(name, insides())
    loss = objective(*given)
    assert loss.total.isfinite().all()
    assert all(slope.isfinite().all() for slope in gradients(objective, given))
    if isinstance(objective, Relation):
        assert loss.total == 0
        assert loss.count == 0


@every_objective
def test_so_are_two(name):
    given = rows_of([0, 3], insides())
    given = (StudentOutput(features=leaves_of(given[0].features)), *given[1:])
    objective = fitted(name, insides())
    assert (objective(*given).count > 0).all()
    assert objective(*given).total.isfinite().all()
    assert all(slope.isfinite().all() for slope in gradients(objective, given))


@each({"hidden_states", "hidden_cosine", "attention_kl", "attention_mse", "head_relations"})
def test_a_batch_of_padding_costs_nothing_and_teaches_nothing(name):
    student, teacher, batch = insides()
    objective = fitted(name, insides())
    silent = replace(batch, inputs={"attention_mask": torch.zeros_like(batch.inputs["attention_mask"])})
    loss = objective(student, teacher, silent)
    assert loss.total == 0
    assert loss.count == 0
    assert all((slope == 0).all() for slope in gradients(objective, (student, teacher, silent)))


@every_objective
def test_the_value_is_the_integral_of_the_gradient(name):
    """Along a straight line between two students, by Simpson's rule on twenty pieces."""
    start, teacher, batch = insides(dtype=torch.float64)
    end = insides(seed=1, dtype=torch.float64)[0]
    objective = fitted(name, (start, teacher, batch))
    ways = [there.detach() - here.detach() for here, there in zip(tensors(start), tensors(end), strict=True)]

    def at(share: float) -> StudentOutput:
        left = iter(ways)
        return StudentOutput(features=changed(start.features, lambda here: leaves_of(here + share * next(left))))

    def slope(share: float) -> float:
        steps = zip(gradients(objective, (at(share), teacher, batch)), ways, strict=True)
        return sum((slope * way).sum().item() for slope, way in steps)

    weights = [1, *([4, 2] * 20)[:-1], 1]
    climbed = sum(weight * slope(step / 40) for step, weight in enumerate(weights)) / 120
    rise = objective(at(1), teacher, batch).total.sum() - objective(at(0), teacher, batch).total.sum()
    assert climbed == pytest.approx(rise.item(), rel=2e-3, abs=1e-5)


@every_objective
def test_half_precision_features_are_compared_in_full(name):
    given = insides()
    objective = fitted(name, given)
    full = objective(*given)
    low = objective(*(changed(part, lambda one: one.bfloat16() if one.is_floating_point() else one) for part in given))
    assert low.total.dtype == torch.float32
    assert torch.allclose(low.total, full.total, rtol=2e-2)


@every_objective
def test_mixed_precision_does_not_reach_the_comparison(name):
    """Only a projector may compute in bfloat16; sums, products and distances do not."""
    given = agreeing()  # of one width: nothing is projected
    objective = fitted(name, given)
    student = StudentOutput(features=insides(seed=1, widths=(16, 16))[0].features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = objective(student, *given[1:])
    assert torch.allclose(mixed.total, objective(student, *given[1:]).total, rtol=1e-6)


@every_objective
def test_working_piece_by_piece_changes_nothing(name, monkeypatch):
    objective, given = fitted(name, insides()), insides()
    whole, slopes = objective(*given).total, gradients(objective, given)
    monkeypatch.setitem(piecewise._ELEMENTS, "cpu", 1)
    assert torch.allclose(objective(*given).total, whole, rtol=1e-6)
    for slope, wanted in zip(gradients(objective, given), slopes, strict=True):
        assert torch.allclose(slope, wanted, atol=1e-6)


@every_objective
def test_what_was_not_caught_is_named(name):
    given = insides()
    objective = fitted(name, given)
    with pytest.raises(UsageError, match="needs"):
        objective(StudentOutput(), given[1], given[2])
    with pytest.raises(UsageError, match="needs"):
        objective(given[0], TeacherOutput(), given[2])


@every_objective
def test_it_adds_to_others_and_scales(name):
    given = insides()
    both = 3 * fitted(name, given) + EmbeddingMSE(projector=lambda mine, its: torch.nn.Linear(8, 16))
    torch.manual_seed(0)
    learnt = both.learns(given[0], given[1])
    alone = OBJECTIVES[name]
    assert torch.allclose(both(*given).total[:-1], (3 * alone(*given).total).reshape(-1))
    assert learnt
    assert both.needs >= alone.needs
