"""How often a model finds the better answer of a pair the better one, and how much clearer than its reference."""

from __future__ import annotations

import torch
from torch import Tensor

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.objectives.combine import WeightedSum
from stillhouse.objectives.likelihood import log_likelihoods
from stillhouse.objectives.objective import Objective
from stillhouse.signals.kinds import Kind

__all__ = ["check_learns_pairs", "judge_pairs"]

UNDECIDED = 1e-3
"""Nats within which two answers are taken to be equally likely: rounding makes as much."""


def check_learns_pairs(objective: Objective, pairs: bool) -> None:
    """Refuse what would learn the worse answers of pairs as well as the better ones, and preferences without pairs."""
    terms = [term for _, term in objective.terms] if isinstance(objective, WeightedSum) else [objective]
    for term in terms:
        judges, name = Kind.PREFERENCE in term.needs, type(term).__name__
        if judges and not pairs:
            raise UsageError(
                f"{name} learns which of two answers is better: give it rows of `prompt`, `chosen` and `rejected` "
                '(in a recipe task = "preference").'
            )
        if pairs and not judges and Kind.WORDS in term.needs:
            raise UsageError(
                f"{name} learns every answer that it is shown, the rejected ones too. Learn the chosen ones first, as "
                "rows of `prompt` and `completion`, and then preferences by DPO or SimPO."
            )


@torch.no_grad()
def judge_pairs(said: StudentOutput, told: TeacherOutput, batch: Batch) -> dict[str, dict[str, Tensor]]:
    """Figures of each pair `[pairs]` by name, of the `student` and of the `teacher`, its reference if there is one.

    `pair_accuracy` is 1 where the better answer is the likelier one as a whole, `pair_accuracy_per_token` where it is
    by its mean log-prob; a half where both are alike. `chosen_loss` is the mean negative log-prob of a token of the
    better answer, in nats. Beside a reference p, `reward_margin` is ln q(y+)/p(y+) - ln q(y-)/p(y-) in nats, and
    `reward_accuracy` says where it is above 0.
    """
    mine = log_likelihoods(said.scores, batch.labels).sum(1).double()
    student, its = _preferred(mine, batch), told.log_probs
    if its is None:
        return {"student": student, "teacher": {}}
    gained = mine - its.to(mine)
    margin = gained[0::2] - gained[1::2]
    student |= {"reward_accuracy": _wins(margin), "reward_margin": margin}
    return {"student": student, "teacher": _preferred(its.to(mine), batch)}


def _preferred(nats: Tensor, batch: Batch) -> dict[str, Tensor]:
    """What the log-likelihoods of answers `[rows]` say of pairs."""
    tokens = (batch.labels >= 0).sum(1).clamp(min=1)
    each = nats / tokens
    return {
        "pair_accuracy": _wins(nats[0::2] - nats[1::2]),
        "pair_accuracy_per_token": _wins((each[0::2] - each[1::2]) * torch.minimum(tokens[0::2], tokens[1::2])),
        "chosen_loss": -each[0::2],
    }


def _wins(margin: Tensor) -> Tensor:
    """1 where a margin is above zero, 0 where it is below, a half where it is as good as none."""
    return torch.where(margin.abs() <= UNDECIDED, 0.5, (margin > 0).double())
