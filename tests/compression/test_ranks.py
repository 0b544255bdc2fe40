"""Ranks under a budget: never above it, and as good as the best of all choices."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from stillhouse.compression.ranks import Spectrum, choose_ranks
from stillhouse.errors import UsageError


def spectra(seed: int, shapes=((6, 9), (8, 8), (12, 5))) -> list[Spectrum]:
    random = np.random.default_rng(seed)
    made = []
    for place, (outputs, inputs) in enumerate(shapes):
        falls = np.sort(random.exponential(size=min(outputs, inputs)) ** random.uniform(1, 4))[::-1].copy()
        made.append(Spectrum(f"layer {place}", outputs, inputs, torch.from_numpy(falls)))
    return made


def cost(found: list[Spectrum], ranks) -> int:
    return sum(one.whole if rank is None else rank * one.step for one, rank in zip(found, ranks, strict=True))


def lost(found: list[Spectrum], ranks) -> float:
    return sum(0.0 if rank is None else float(one.lost()[rank]) for one, rank in zip(found, ranks, strict=True))


@pytest.mark.parametrize("share", [0.4, 0.5, 0.6, 0.75, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_budget_holds_and_little_better_could_be_had(seed, share):
    found = spectra(seed)
    budget = int(share * sum(one.whole for one in found))
    chosen = choose_ranks(found, budget)
    ranks = [chosen[one.name] for one in found]
    assert cost(found, ranks) <= budget
    choices = [[*range(1, one.most + 1), None] for one in found]
    allowed = [ranks for ranks in product(*choices) if cost(found, ranks) <= budget]
    best = min(lost(found, ranks) for ranks in allowed)
    step = max(one.step for one in found)
    less = [ranks for ranks in allowed if cost(found, ranks) <= budget - 2 * step] or [(1, 1, 1)]
    assert best <= lost(found, ranks) <= min(lost(found, ranks) for ranks in less) + 1e-12


def test_the_whole_matrix_is_kept_where_all_fits():
    found = spectra(0)
    assert set(choose_ranks(found, sum(one.whole for one in found)).values()) == {None}


def test_a_matrix_of_few_directions_gets_no_more():
    few = torch.tensor([5.0, 1.0, 0, 0, 0, 0, 0, 0], dtype=torch.float64)
    even = torch.ones(8, dtype=torch.float64)
    found = [Spectrum("few", 8, 8, few), Spectrum("even", 8, 8, even)]
    assert choose_ranks(found, 96) == {"few": 2, "even": None}


def test_what_no_step_fits_into_is_spent_on_smaller_ones():
    steep = torch.tensor([9.0, 8, 7, 6, 5, 4, 3, 2], dtype=torch.float64)
    found = [Spectrum("wide", 40, 8, steep), Spectrum("small", 8, 8, steep / 100)]
    chosen = choose_ranks(found, 48 + 16 + 47)
    assert chosen == {"wide": 1, "small": 3}


def test_a_budget_below_rank_one_is_refused_with_what_that_takes():
    with pytest.raises(UsageError, match="below 48, what these 3 layers have at rank 1"):
        choose_ranks(spectra(0), 47)


def test_a_spectrum_knows_what_is_lost_at_each_rank():
    found = Spectrum("one", 4, 3, torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
    assert found.lost().tolist() == pytest.approx([1, 0.5, 1 / 6, 0])
    assert (found.step, found.whole, found.most) == (7, 12, 1)
