"""Head and divergence in one pass: the values and gradients of the plain maths, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from stillhouse.models.outputs import StudentOutput, TeacherOutput
from stillhouse.models.scores import Mixture, Projection
from stillhouse.objectives.cost import Cost, Known
from stillhouse.objectives.fused import summed
from stillhouse.objectives.response import CrossEntropy, ForwardKL, JensenShannon, ReverseKL, StandardisedKL
from tests.objectives.matters import language, leaves
from tests.structure.source import ROOT

# That every objective gives through a head what it gives on its logits is in tests/contracts/test_objectives.py.


def gradients(objective, student, teacher, batch, factor: float = 1.0) -> list[torch.Tensor]:
    loss = objective(student, teacher, batch).total.sum() * factor
    return list(torch.autograd.grad(loss, leaves(student.scores), allow_unused=True))


def test_gradients_are_those_of_small_differences():
    student, teacher, batch = language(labels=(30, 25))
    part = Projection(*(leaf.detach() for leaf in leaves(student.scores)), 0.7, 9.0)
    few = replace(part, states=part.states[:, :3])
    told = TeacherOutput(replace(teacher.scores, states=teacher.scores.states[:, :3]))
    asked = replace(batch, labels=batch.labels[:, :3])

    def total(states, weight, bias):
        head = replace(few, states=states, weight=weight, bias=bias)
        return (0.4 * JensenShannon(0.3, 2) + 0.6 * CrossEntropy())(StudentOutput(head), told, asked).total.sum()

    assert torch.autograd.gradcheck(total, [leaf.clone().requires_grad_() for leaf in leaves(few)])


def test_what_does_not_count_never_reaches_the_head():
    student, teacher, batch = language()
    spoilt = [
        replace(scores, states=scores.states.detach().masked_fill(~teacher.told.unsqueeze(-1), torch.nan))
        for scores in (student.scores, teacher.scores)
    ]
    spoilt[0].states.requires_grad_()
    found = gradients(ForwardKL(), StudentOutput(spoilt[0]), TeacherOutput(spoilt[1], teacher.told), batch)
    for own, right in zip(found, gradients(ForwardKL(), student, teacher, batch), strict=True):
        assert torch.equal(own, right)


def test_rows_that_pad_the_vocabulary_beyond_the_teachers_learn_nothing():
    student, teacher, batch = language(labels=(2000, 1700))
    _, of_weight, of_bias = gradients(JensenShannon(), student, teacher, batch)
    assert (of_weight[1700:] == 0).all()
    assert (of_bias[1700:] == 0).all()
    assert (of_weight[:1700].abs().sum(-1) > 0).all()


@pytest.mark.parametrize("frozen", [{"weight"}, {"states"}, {"weight", "bias"}])
def test_what_is_frozen_gets_no_gradient_and_the_rest_gets_its_own(frozen):
    given = language()
    whole = dict(zip(("states", "weight", "bias"), gradients(ReverseKL(), *given), strict=True))
    head = replace(given[0].scores, **{name: getattr(given[0].scores, name).detach() for name in frozen})
    loss = ReverseKL()(StudentOutput(head), *given[1:]).total
    for name in whole.keys() - frozen:
        assert torch.equal(torch.autograd.grad(loss, getattr(head, name), retain_graph=False)[0], whole[name])
        loss = ReverseKL()(StudentOutput(head), *given[1:]).total


def test_without_gradients_the_value_is_the_same():
    given = language()
    loss = (ForwardKL() + StandardisedKL())(*given)
    with torch.no_grad():
        same = (ForwardKL() + StandardisedKL())(*given)
    assert not same.total.requires_grad
    assert torch.allclose(loss.total, same.total, rtol=1e-12)


def test_without_gradients_no_slope_is_computed():
    student, teacher, _ = language()

    def never(logits: torch.Tensor, known: Known) -> tuple[torch.Tensor, torch.Tensor]:
        raise AssertionError("nobody asked for this")

    cost = Cost(ForwardKL().cost.nats, never)
    known, places = Known(replace(teacher.scores, states=teacher.scores.states[0])), torch.arange(9)
    for scores in (replace(student.scores, states=student.scores.states[0]), student.logits[0]):
        with torch.no_grad():
            assert summed(scores, places, known, places, [(1.0, cost)]) > 0
        with pytest.raises(AssertionError, match="nobody asked"):
            summed(scores, places, known, places, [(1.0, cost)])


def test_a_factor_scales_the_gradient():
    for one, thrice in zip(gradients(ForwardKL(), *language()), gradients(ForwardKL(), *language(), 3), strict=True):
        assert torch.allclose(3 * one, thrice, rtol=1e-12)


def test_terms_that_share_a_pass_may_take_a_factor_each():
    student, teacher, batch = language()
    factors = torch.tensor([0.5, 2.0])
    together = ((ForwardKL() + ReverseKL())(student, teacher, batch).total * factors).sum()
    apart = 0.5 * ForwardKL()(student, teacher, batch).total + 2 * ReverseKL()(student, teacher, batch).total
    for own, right in zip(
        *(torch.autograd.grad(sum_, leaves(student.scores)) for sum_ in (together, apart)), strict=True
    ):
        assert torch.allclose(own, right, rtol=1e-9, atol=1e-12)


def test_a_loss_may_be_differentiated_again_while_the_weights_are_the_same():
    student, teacher, batch = language()
    loss = ForwardKL()(student, teacher, batch).total
    once, again = (torch.autograd.grad(loss, leaves(student.scores), retain_graph=True) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))
    with torch.no_grad():
        student.scores.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, leaves(student.scores))


def test_a_head_tied_to_the_embeddings_gets_both_gradients():
    student, teacher, batch = language()
    table = student.scores.weight.detach().clone().requires_grad_()
    tied = Projection(torch.nn.functional.embedding(torch.arange(450).view(3, 150), table), table)
    through, plain = (
        torch.autograd.grad(ForwardKL()(StudentOutput(scores), teacher, batch).total, table, retain_graph=True)[0]
        for scores in (tied, tied.logits())
    )
    assert torch.allclose(through, plain, rtol=1e-7, atol=1e-9)


def test_several_teachers_mixed_are_compared_as_their_mixture():
    student, teacher, batch = language()
    other = replace(teacher.scores, weight=teacher.scores.weight.flip(0))
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64).expand(3, 150, 2)
    mixed = Mixture((teacher.scores, other), weights)
    dense = (0.3 * teacher.scores.logits().softmax(-1) + 0.7 * other.logits().softmax(-1)).log()
    found = gradients(JensenShannon(), student, TeacherOutput(mixed, teacher.told), batch)
    wanted = gradients(JensenShannon(), student, TeacherOutput(dense, teacher.told), batch)
    assert all(torch.allclose(own, right, rtol=1e-7, atol=1e-9) for own, right in zip(found, wanted, strict=True))


def test_a_cost_may_lie_between_other_places_of_a_teacher_with_another_vocabulary():
    student, teacher, _ = language(labels=(40, 60))
    mine, its = torch.tensor([3, 5, 8]), torch.tensor([0, 9, 2])
    said = replace(student.scores, states=student.scores.states[0])
    known = Known(replace(teacher.scores, states=teacher.scores.states[0]))

    def apart(logits: torch.Tensor, known: Known) -> torch.Tensor:
        assert isinstance(known.scores, torch.Tensor)
        return logits.logsumexp(-1) * known.scores.logsumexp(-1)

    (found,) = summed(said, mine, known, its, [(1.0, Cost(apart))])
    right = (said[mine].logits().logsumexp(-1) * known.scores.logits()[its].logsumexp(-1)).sum()
    assert torch.allclose(found, right, rtol=1e-12)
    for own, wanted in zip(
        torch.autograd.grad(found, student.scores.weight),
        torch.autograd.grad(right, student.scores.weight),
        strict=True,
    ):
        assert torch.allclose(own, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_logits_that_are_there_already_give_the_plain_maths(dtype):
    student, teacher, _ = language("dense", labels=(600, 500))
    logits = student.logits.detach().flatten(0, 1).to(dtype).requires_grad_()
    mine, its = torch.randperm(450, generator=torch.Generator().manual_seed(0))[:400], torch.arange(400)
    known = Known(teacher.scores.flatten(0, 1).to(dtype), torch.arange(450))
    terms = [(0.7, JensenShannon(0.3, 2).cost), (0.2, StandardisedKL().cost), (0.1, CrossEntropy().cost)]
    found = summed(logits, mine, known, its, terms)
    plain = torch.stack([weight * cost.nats(logits[mine], known[its]).sum() for weight, cost in terms])
    assert torch.allclose(
        found, plain, rtol=1e-5 if dtype == torch.float32 else 1e-3 if dtype == torch.bfloat16 else 1e-9
    )
    own, right = (torch.autograd.grad(sums.sum(), logits)[0] for sums in (found, plain))
    assert own.dtype == dtype
    slack = {torch.float64: 1e-9, torch.float32: 1e-5, torch.bfloat16: 5e-3}[dtype]
    assert (own - right).double().norm() < slack * right.double().norm()


def halves(head: Projection) -> Projection:
    return Projection(*(leaf.detach().bfloat16().requires_grad_() for leaf in leaves(head)), head.scale, head.softcap)


def test_heads_in_bfloat16_lose_nothing_on_the_way():
    """Against float64 on the same rounded weights; what remains is the rounding of the gradient itself."""
    student, teacher, batch = language(labels=(9000, 9000))  # more rows than are widened at once
    low = halves(student.scores), halves(teacher.scores)
    wide = [Projection(*(leaf.double() for leaf in leaves(head)), head.scale, head.softcap) for head in low]
    objective = JensenShannon()
    loss = objective(StudentOutput(low[0]), TeacherOutput(low[1], teacher.told), batch)
    assert loss.total.dtype == torch.float32
    right = objective(StudentOutput(wide[0]), TeacherOutput(wide[1], teacher.told), batch)
    assert loss.total.item() == pytest.approx(right.total.item(), rel=1e-5)
    own = torch.autograd.grad(loss.total, leaves(low[0]))
    wanted = torch.autograd.grad(right.total, leaves(low[0]))
    for found, exact in zip(own, wanted, strict=True):
        assert found.dtype == torch.bfloat16
        assert (found.double() - exact.double()).norm() < 5e-3 * exact.double().norm()


def test_autocast_does_not_round_the_logits():
    student, teacher, batch = language(dtype=torch.float32)
    plain = ForwardKL()(student, teacher, batch).total
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ForwardKL()(student, teacher, batch).total, plain)


def beyond_mb(*words: int) -> float:
    """What a training step takes beyond weights, gradients and the optimizer's state, in a process of its own."""
    command = [sys.executable, "-m", "tests.objectives.peak", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["beyond_mb"]


linux = pytest.mark.skipif(sys.platform != "linux", reason="needs the peak memory that Linux tells")


@pytest.mark.slow
@linux
def test_the_logits_of_a_step_never_exist_at_once():
    dense = 4096 * 50_000 * 4 / (1 << 20)
    assert beyond_mb(4096, 50_000, 32, 32, 1) < dense / 4


@linux
@pytest.mark.slow
def test_a_vocabulary_of_152_thousand_takes_at_most_600_mb():
    assert beyond_mb(2048, 151_936, 256, 512, 2) <= 600
