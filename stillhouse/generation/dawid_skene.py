"""Dawid-Skene: how reliable each annotator is and what the labels are, from their answers alone, by EM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import DataError
from stillhouse.generation.ballots import Ballots

__all__ = ["Options", "Reliability", "estimate", "posterior"]

Floats = NDArray[np.float64]
NEVER = 1e-300
"""What a probability of zero is taken for in a logarithm: no answer is impossible, one that was never seen is close."""


@final
@dataclass(frozen=True)
class Options:
    """How the estimate is made."""

    rounds: int = 200
    """At most so many rounds of EM."""
    tolerance: float = 1e-6
    """Done when the log-likelihood per answer grows by less."""
    smoothing: float = 0.0
    """Answers added to every cell of a confusion matrix before it is normalised; with 0 it is maximum likelihood."""
    one_coin: bool = False
    """Give each annotator one reliability for all labels, its mistakes spread evenly, instead of a whole confusion
    matrix: what many labels and few answers can bear."""


@final
@dataclass(frozen=True, eq=False)
class Reliability:
    """What EM found."""

    shares: Floats
    """How likely each label is for each item, float64 [items, labels]; zeros where nobody answered."""
    prior: Floats
    """How frequent each label is, float64 [labels]."""
    confusion: Floats
    """What annotator k says of an item that is j: float64 [annotators, labels (j), labels (said)], rows add up to 1."""
    likelihood: float
    """The log-likelihood of all answers (of the last posterior)."""
    rounds: int
    converged: bool

    def accuracy(self) -> Floats:
        """How often each annotator is right over the labels as frequent as they are, float64 [annotators]."""
        return np.einsum("j,kjj->k", self.prior, self.confusion)


def estimate(ballots: Ballots, options: Options | None = None) -> Reliability:
    """The labels and each annotator's confusion matrix that make the answers most likely, by EM.

    With T[i, j] the probability that item i is j, n[i, k, l] how often annotator k called it l, p[j] the frequency of
    label j and pi[k, j, l] the probability that k says l of a j, rounds repeat

        p[j] = mean_i T[i, j]    pi[k, j, l] = sum_i T[i, j] n[i, k, l] / sum_il' T[i, j] n[i, k, l']     (M)
        T[i, j] proportional to p[j] prod_kl pi[k, j, l]^n[i, k, l]                                      (E)

    from T = the shares of the votes. Source: A. P. Dawid and A. M. Skene, "Maximum likelihood estimation of observer
    error-rates using the EM algorithm" (1979), equations 2.3 to 2.5 and 3.1. The one-coin model is that of Y. Zhang et
    al., "Spectral methods meet EM" (2014, arxiv.org/abs/1406.3824), section 2. An item that nobody answered counts for
    nothing. Who answered nothing about a label has an even row in its matrix there.
    """
    options = options or Options()
    heard = ballots.answered() > 0
    if not heard.any():
        raise DataError("Nobody answered anything, so there is nothing to estimate reliability from.")
    counts = ballots.counts()
    shares = np.divide(counts, counts.sum(axis=1, keepdims=True), out=np.zeros_like(counts), where=heard[:, None])
    before, done, rounds = -np.inf, False, 0
    prior, confusion, likelihood = _learn(ballots, shares, options, heard)[0], np.empty(0), before
    while not done and rounds < options.rounds:
        prior, confusion = _learn(ballots, shares, options, heard)
        shares, likelihood = posterior(ballots, prior, confusion)
        done = likelihood - before < options.tolerance * len(ballots.item)
        before, rounds = likelihood, rounds + 1
    return Reliability(shares, prior, confusion, likelihood, rounds, done)


def posterior(ballots: Ballots, prior: Floats, confusion: Floats) -> tuple[Floats, float]:
    """The E step: how likely each label is given reliabilities, float64 [items, labels], and the log-likelihood.

    Of use for new items too, whose annotators were measured on others.
    """
    heard = ballots.answered() > 0
    logs = np.tile(np.log(np.maximum(prior, NEVER)), (ballots.items, 1))
    said = np.log(np.maximum(confusion, NEVER)).transpose(0, 2, 1)  # [annotators, said, is]
    np.add.at(logs, ballots.item, said[ballots.annotator, ballots.label])
    top = logs.max(axis=1, keepdims=True)
    parts = np.exp(logs - top)
    sums = parts.sum(axis=1, keepdims=True)
    likelihood = float((np.log(sums) + top)[heard].sum())
    return np.where(heard[:, None], parts / sums, 0.0), likelihood


def _learn(ballots: Ballots, shares: Floats, options: Options, heard: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The M step: how frequent labels are, and each annotator's confusion matrix."""
    people, labels = len(ballots.annotators), len(ballots.labels)
    seen = np.zeros((people * labels, labels))  # [annotator and what it said, what it is]
    np.add.at(seen, ballots.annotator * labels + ballots.label, shares[ballots.item])
    table = seen.reshape(people, labels, labels).transpose(0, 2, 1) + options.smoothing
    if options.one_coin:
        table = _one_coin(table)
    sums = table.sum(axis=2, keepdims=True)
    confusion = np.divide(table, sums, out=np.full_like(table, 1.0 / labels), where=sums > 0)
    return shares[heard].mean(axis=0), confusion


def _one_coin(table: Floats) -> Floats:
    """Each annotator's matrix with one reliability on its diagonal, and the rest spread evenly beside it."""
    labels = table.shape[1]
    total = table.sum(axis=(1, 2))
    right = np.divide(np.einsum("kjj->k", table), total, out=np.full(len(table), 1.0 / labels), where=total > 0)
    wrong = (1.0 - right) / max(1, labels - 1)
    eye = np.eye(labels)
    return right[:, None, None] * eye + wrong[:, None, None] * (1.0 - eye)
