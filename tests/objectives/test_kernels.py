"""Whether a pass takes kernels or the plain maths."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.objectives.catalog import CATALOG
from stillhouse.objectives.combine import Response
from stillhouse.objectives.fused import plainly
from stillhouse.objectives.kernels import WITH_KERNELS, climber, trial
from stillhouse.objectives.response import CrossEntropy, ForwardKL, LogitMSE

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
BOTH = [ForwardKL().cost, CrossEntropy().cost]


@pytest.mark.parametrize("wish", ["", "auto", "plain"])
def test_tensors_on_a_cpu_take_the_plain_maths(wish, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_KERNELS", wish)
    assert climber(CPU, BOTH) is None


def test_a_gpu_may_be_told_to_take_the_plain_maths(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_KERNELS", "plain")
    assert climber(GPU, BOTH) is None


def test_one_objective_without_a_kernel_leaves_the_pass_to_the_plain_maths(monkeypatch):
    costs = [*BOTH, LogitMSE().cost]
    assert climber(GPU, costs) is None
    monkeypatch.setenv("STILLHOUSE_KERNELS", "triton")
    with pytest.raises(UsageError, match="an objective of this pass has none"):
        climber(GPU, costs)


def test_another_word_is_refused(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_KERNELS", "fast")
    with pytest.raises(UsageError, match="must be auto, plain or triton"):
        climber(CPU, BOTH)


def test_every_closed_form_of_a_response_objective_has_a_kernel():
    costs = [made().cost for made, _ in CATALOG.values() if issubclass(made, Response)]
    assert {cost.formula.steep for cost in costs if cost.formula is not None} == WITH_KERNELS
    assert all((cost.closed is None) == (cost.formula is None) for cost in costs)


def test_a_trial_passes_what_is_right():
    assert trial(plainly, CPU) is None


def test_a_trial_finds_wrong_numbers_and_what_cannot_run():
    def slopeless(products, heads, known, terms, learning):
        return plainly(products.clone(), heads, known, terms, learning)

    def broken(products, heads, known, terms, learning):
        raise RuntimeError("no compiler")

    assert trial(slopeless, CPU) == "they give other numbers than the plain maths"
    assert trial(broken, CPU) == "RuntimeError: no compiler"
