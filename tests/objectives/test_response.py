"""The losses of answers, against values worked out by hand and to thirty digits."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import StudentOutput, TeacherOutput
from stillhouse.models.scores import Sampled, TopK
from stillhouse.objectives.response import (
    DIST,
    CrossEntropy,
    DecoupledKD,
    ForwardKL,
    JensenShannon,
    LogitMSE,
    ReverseKL,
    SkewedForwardKL,
    StandardisedKL,
    TotalVariation,
)
from stillhouse.signals.kinds import Kind
from tests.objectives.matters import batch, double, exact, one

STUDENT, TEACHER = [1.0, 0.0, 0.0], [2.0, 1.0, 0.0]


def measured(objective, given) -> tuple[float, list[float]]:
    """The total of one row, and its gradient along the student's logits."""
    student = given[0]
    loss = objective(*given)
    assert loss.count.item() == 1
    return loss.total.item(), torch.autograd.grad(loss.total, student.scores)[0].flatten().tolist()


def logs(probabilities: list[float]) -> list[float]:
    return double(probabilities).log().tolist()


@pytest.mark.parametrize(
    ("temperature", "value", "slopes"),
    [
        (1, 0.0538081763173, [-0.0891240710, -0.0327869134, 0.1219109844]),
        (2, 0.0837809486519, [-0.1092352584, -0.0662545333, 0.1754897917]),
        (4, 0.0986086969379, [-0.1129505458, -0.0879659735, 0.2009165193]),
    ],
)
def test_forward_kl_has_its_known_value_and_gradient(temperature, value, slopes):
    found, gradient = measured(ForwardKL(temperature), one(STUDENT, TEACHER))
    assert found == exact(value)
    assert gradient == exact(slopes)


def test_reverse_and_middle_divergences_have_their_known_values():
    assert ReverseKL()(*one(STUDENT, TEACHER)).total.item() == exact(0.0681028081)
    given = one(logs([0.2, 0.5, 0.3]), logs([0.7, 0.2, 0.1]))
    assert JensenShannon(0.9)(*given).total.item() == exact(0.0478639942222)
    assert SkewedForwardKL()(*given).total.item() == exact(0.446888584677)
    assert TotalVariation()(*given).total.item() == exact(0.5)


def test_cross_entropy_has_its_known_value_and_gradient():
    found, gradient = measured(CrossEntropy(), one(STUDENT, TEACHER, label=1))
    assert found == exact(-math.log(0.21194155761708547))
    assert gradient == exact([0.5761168848, 0.2119415576 - 1, 0.2119415576])


@pytest.mark.parametrize(("temperature", "weighted"), [(1, 0.904221218296), (4, 1.018816958023)])
def test_decoupled_kd_has_its_known_value(temperature, weighted):
    assert DecoupledKD(1, 8, temperature)(*one(STUDENT, TEACHER)).total.item() == exact(weighted)


@pytest.mark.parametrize(("temperature", "nats"), [(1, 0.0503708722358), (2, 0.0705938714892)])
@pytest.mark.parametrize("teacher", [TEACHER, [13.0, 10.0, 7.0]])
def test_standardised_kl_has_its_known_value_whatever_the_teachers_scale(temperature, nats, teacher):
    assert StandardisedKL(temperature)(*one(STUDENT, teacher)).total.item() == exact(nats)


def test_logit_mse_has_its_known_value_and_gradient():
    found, gradient = measured(LogitMSE(), one(STUDENT, [3.0, 1.0, 0.0]))
    assert found == exact(5 / 3)
    assert gradient == exact([-4 / 3, -2 / 3, 0])


def test_dist_has_its_known_value():
    student, teacher = double([[2, 1, 0], [0, 1, 3]]), double([[3, 1, 0], [0, 2, 2]])
    given = StudentOutput(student.unsqueeze(1)), TeacherOutput(teacher.unsqueeze(1)), batch(torch.zeros(2, 1).long())

    def mean(objective: DIST) -> float:
        loss = objective(*given)
        return (loss.total / loss.count).item()

    assert mean(DIST(1, 0)) == exact(0.223797871)
    assert mean(DIST(0, 1)) == exact(0.666666667)
    assert mean(DIST(1, 1)) == exact(0.890464538)


def test_forward_kl_does_not_mind_a_constant_added_to_logits():
    moved = one(STUDENT, [value + 7 for value in TEACHER])
    assert ForwardKL()(*moved).total.item() == exact(0.0538081763173)


FIVE = [0.5, 0.2, 0.15, 0.1, 0.05], [0.3, 0.1, 0.2, 0.25, 0.15]


def likeliest(kept: int) -> TopK:
    return TopK(torch.arange(kept).view(1, 1, -1), double([[FIVE[0][:kept]]]).log())


def test_the_likeliest_two_are_compared_with_one_bin_for_the_rest():
    student = logs(FIVE[1])
    found, gradient = measured(ForwardKL(), one(student, likeliest(2)))
    assert found == exact(0.186098093827)
    assert gradient == exact([-0.2, -0.1, 0.1, 0.125, 0.075])
    assert ReverseKL()(*one(student, likeliest(2))).total.item() == exact(0.19332590315)
    whole, gradient = measured(ForwardKL(), one(student, likeliest(5)))
    assert whole == exact(0.204330249506)
    assert gradient == exact([-0.2, -0.1, 0.05, 0.15, 0.1])


def test_places_without_a_label_and_labels_the_student_lacks_count_as_rest():
    filled = TopK(torch.tensor([[[0, 1, 4, 9]]]), double([[[0.5, 0.2, 0, 0.01]]]).log())
    assert measured(ForwardKL(), one(logs(FIVE[1]), filled)) == (
        exact(0.186098093827),
        exact([-0.2, -0.1, 0.1, 0.125, 0.075]),
    )


def test_other_temperatures_of_the_likeliest_are_exact_where_they_were_kept():
    teacher = double([2, 1, 0])
    shift = 2.40760596444 / 2 - 1.68026967064
    kept = TopK(torch.tensor([[[2, 0, 1]]]), teacher.log_softmax(-1)[[2, 0, 1]].view(1, 1, 3), {2.0: double([[shift]])})
    dense, likeliest = (measured(ForwardKL(2), one([0.0, 1.0, 2.0], told)) for told in (teacher.tolist(), kept))
    assert dense[0] == exact(1.28062667132)
    assert likeliest[0] == exact(dense[0])
    assert likeliest[1] == exact(dense[1])
    with pytest.raises(UsageError, match="kept for temperatures 1, 2, not 4"):
        ForwardKL(4)(*one([0.0, 1.0, 2.0], kept))


@pytest.mark.parametrize("draws", [1, 2, 4])
def test_draws_teach_without_bias(draws):
    """Over all that may be drawn, each as often as it comes: the whole cross-entropy, and the whole gradient."""
    p, q = [0.7, 0.2, 0.1], [0.2, 0.5, 0.3]
    drawn = list(itertools.product(range(3), repeat=draws))
    chances = double([math.prod(p[label] for label in labels) for labels in drawn])
    counts = torch.tensor([[labels.count(label) for label in range(3)] for labels in drawn])
    logits = double(logs(q)).expand(1, len(drawn), 3).clone().requires_grad_()
    told = TeacherOutput(Sampled(torch.arange(3).expand(1, len(drawn), 3), counts.unsqueeze(0)))
    each = [
        ForwardKL()(
            StudentOutput(logits[:, at : at + 1]), TeacherOutput(told.scores[:, at : at + 1]), batch(NONE)
        ).total
        for at in range(len(drawn))
    ]
    mean = (torch.stack(each) * chances).sum()
    assert mean.item() == exact(1.38563325525)
    assert torch.autograd.grad(mean, logits)[0].sum((0, 1)).tolist() == exact([-0.5, 0.3, 0.2])


NONE = torch.tensor([[-1]])


def test_draws_serve_nothing_else():
    drawn = Sampled(torch.tensor([[[0, 1]]]), torch.tensor([[[3, 1]]]))
    for objective in (ReverseKL(), JensenShannon(), TotalVariation()):
        with pytest.raises(UsageError, match="only serve ForwardKL"):
            objective(*one(STUDENT, drawn))
    with pytest.raises(UsageError, match="taken at temperature 1"):
        ForwardKL(2)(*one(STUDENT, drawn))


def test_dist_of_one_position_is_that_of_its_row():
    whole, rows = ((DIST(1, gamma)(*one(STUDENT, TEACHER))) for gamma in (1, 0))
    assert whole.count == 1
    assert whole.total == rows.total
    assert DIST(0, 1)(*one(STUDENT, TEACHER)).total == 0
    student, teacher, given = one(STUDENT, TEACHER)
    student.scores.requires_grad_()
    DIST()(student, teacher, given).total.backward()
    assert student.scores.grad.isfinite().all()
    assert student.scores.grad.abs().max() > 0


@pytest.mark.parametrize("objective", [LogitMSE(), DecoupledKD(), StandardisedKL(), DIST()])
@pytest.mark.parametrize("told", [likeliest(2), Sampled(torch.tensor([[[0, 1]]]), torch.tensor([[[3, 1]]]))])
def test_some_need_a_score_for_every_label(objective, told):
    with pytest.raises(UsageError, match="needs a score for every label"):
        objective(*one(STUDENT, told))


def test_answers_beyond_the_teachers_vocabulary_still_count():
    student, teacher, given = one([1.0, 0.0, 0.0, 2.0], TEACHER, label=3)
    loss = (CrossEntropy() + ForwardKL())(student, teacher, given)
    assert loss.total[0].item() == exact(-double([1, 0, 0, 2]).log_softmax(-1)[3].item())
    assert loss.total[1].item() == exact(0.0538081763173)


@pytest.mark.parametrize("temperature", [0.1, 1, 10])
@pytest.mark.parametrize("made", [ForwardKL, ReverseKL, TotalVariation, StandardisedKL])
def test_wide_spreads_stay_finite_at_any_temperature(made, temperature):
    random = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(1, 40, 30, generator=random) * 1e3 for _ in range(2))
    student[..., -3:] = teacher[..., -3:] = -torch.inf  # ids that pad the vocabulary
    student.requires_grad_()
    loss = made(temperature)(StudentOutput(student), TeacherOutput(teacher), batch(torch.zeros(1, 40).long()))
    assert loss.total.isfinite()
    slope = torch.autograd.grad(loss.total, student)[0]
    assert slope.isfinite().all()
    assert (slope[..., -3:] == 0).all()


@pytest.mark.parametrize("temperature", [0, -1, math.nan, math.inf])
def test_a_temperature_that_is_none_is_refused(temperature):
    for objective in (ForwardKL, ReverseKL, TotalVariation, StandardisedKL):
        with pytest.raises(UsageError, match="temperature must be a number above 0"):
            objective(temperature)


@pytest.mark.parametrize("share", [0, 1, -0.1, math.nan])
def test_a_share_that_is_none_is_refused(share):
    for objective in (JensenShannon, SkewedForwardKL):
        with pytest.raises(UsageError, match="must be a number above 0 and below 1"):
            objective(share)


def test_a_teacher_that_told_only_words_is_refused():
    student, _, given = one(STUDENT, TEACHER)
    for objective in (ForwardKL(), LogitMSE(), DIST()):
        with pytest.raises(UsageError, match=r"tells how sure|gives none"):
            objective(student, TeacherOutput(), given)


def test_a_student_without_answers_is_refused():
    _, teacher, given = one(STUDENT, TEACHER)
    for objective in (ForwardKL(), CrossEntropy(), DIST()):
        with pytest.raises(UsageError, match="gives none"):
            objective(StudentOutput(), teacher, given)


def test_they_need_what_they_say():
    student, _, given = one(STUDENT, TEACHER)
    assert ForwardKL().needs == {Kind.SOFT}
    assert CrossEntropy().needs == {Kind.WORDS}
    assert DecoupledKD().needs == {Kind.LOGITS, Kind.WORDS}
    assert torch.isfinite(CrossEntropy()(student, TeacherOutput(), given).total)
