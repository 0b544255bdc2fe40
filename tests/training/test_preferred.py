"""Figures of pairs against values worked out by hand, and which objectives may learn pairs."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.objectives import DPO, CrossEntropy, ForwardKL, SimPO
from stillhouse.training.preferred import check_learns_pairs, judge_pairs

LABELS = torch.tensor([[0, 1], [0, -1], [1, -1], [1, 1]])
PAIRS = Batch({}, LABELS, torch.tensor([4, 4, 2, 2]))
SHARES = torch.tensor([0.5, 0.3, 0.2]).log()


def said() -> StudentOutput:
    """The same distribution at every position."""
    return StudentOutput(SHARES.expand(4, 2, 3))


def test_pairs_are_judged_as_a_whole_and_per_token():
    found = judge_pairs(said(), TeacherOutput(), PAIRS)
    assert found["teacher"] == {}
    # first pair: .5 * .3 against .5; second: .3 against .3 * .3, the same per token
    assert found["student"]["pair_accuracy"].tolist() == [0.0, 1.0]
    assert found["student"]["pair_accuracy_per_token"].tolist() == [0.0, 0.5]
    half = -(torch.tensor([0.5, 0.3]).log().mean())
    torch.testing.assert_close(found["student"]["chosen_loss"].float(), torch.tensor([half, -SHARES[1]]))
    assert set(found["student"]) == {"pair_accuracy", "pair_accuracy_per_token", "chosen_loss"}


def test_beside_a_reference_gains_are_compared():
    reference = torch.tensor([-3.0, -0.5, -0.25, -2.0])
    found = judge_pairs(said(), TeacherOutput(log_probs=reference), PAIRS)
    mine = torch.tensor([0.15, 0.5, 0.3, 0.09]).log()
    margin = (mine - reference)[0::2] - (mine - reference)[1::2]
    torch.testing.assert_close(found["student"]["reward_margin"].float(), margin)
    assert found["student"]["reward_accuracy"].tolist() == (margin > 0).double().tolist() == [1.0, 0.0]
    assert found["teacher"]["pair_accuracy"].tolist() == [0.0, 1.0]


def test_a_student_at_its_reference_has_decided_nothing():
    mine = torch.tensor([0.15, 0.5, 0.3, 0.09]).log() + 1e-5
    assert judge_pairs(said(), TeacherOutput(log_probs=mine), PAIRS)["student"]["reward_accuracy"].tolist() == [0.5] * 2


def test_what_would_learn_rejected_answers_is_refused():
    for objective in (DPO(), SimPO(), 0.9 * DPO() + 0.1 * ForwardKL()):
        check_learns_pairs(objective, pairs=True)
        with pytest.raises(UsageError, match="learns which of two answers is better: give it rows"):
            check_learns_pairs(objective, pairs=False)
    check_learns_pairs(CrossEntropy(), pairs=False)
    with pytest.raises(UsageError, match="CrossEntropy learns every answer that it is shown, the rejected ones too"):
        check_learns_pairs(0.9 * DPO() + 0.1 * CrossEntropy(), pairs=True)
