"""Which rank each layer gets under a budget of parameters: water filling over what each further rank would save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from stillhouse.errors import UsageError

__all__ = ["Spectrum", "choose_ranks"]


@final
@dataclass(frozen=True)
class Spectrum:
    """A matrix that may be factored, and what each of its directions carries on data, the largest first."""

    name: str
    outputs: int
    inputs: int
    energies: Tensor
    """In float64, `[directions]`: their sum from r on is what is lost at rank r."""

    @property
    def step(self) -> int:
        """Parameters that one more rank costs."""
        return self.outputs + self.inputs

    @property
    def whole(self) -> int:
        """Parameters of the matrix as it is."""
        return self.outputs * self.inputs

    @property
    def most(self) -> int:
        """The largest rank whose factors are smaller than the matrix; at least 1."""
        return max(1, min(len(self.energies), (self.whole - 1) // self.step))

    def lost(self) -> Tensor:
        """The share of the energy that is lost at ranks 0, 1, 2 and so on."""
        tails = torch.cat([self.energies.flip(0).cumsum(0).flip(0), self.energies.new_zeros(1)])
        return tails / tails[0] if tails[0] > 0 else tails


@final
@dataclass(frozen=True)
class _Step:
    """From one rank of a layer to a higher one, or to the whole matrix."""

    layer: int
    rank: int | None
    cost: int
    gain: float


def choose_ranks(spectra: Sequence[Spectrum], budget: int) -> dict[str, int | None]:
    """The rank of each matrix, None for the whole one, with the least lost together in at most `budget` parameters.

    What is lost is summed over matrices, each as a share of its own energy. Beginning at rank 1, the step that saves
    most for its parameters is taken until nothing fits. Within a matrix each step saves less than the one before, also
    the last one, from some rank to the whole matrix; so this is the optimum but for what the last step leaves unused.
    """
    ranks: list[int | None] = [1] * len(spectra)
    left = budget - sum(spectrum.step for spectrum in spectra)
    if left < 0:
        raise UsageError(
            f"The budget of {budget:,} parameters is below {budget - left:,}, what these {len(spectra)} layers have at "
            "rank 1. Keep a larger share."
        )
    steps = [step for layer, spectrum in enumerate(spectra) for step in _steps(layer, spectrum)]
    closed: set[int] = set()
    for step in sorted(steps, key=lambda step: -step.gain / step.cost):
        if step.layer in closed or step.gain <= 0:
            continue
        if step.cost > left:
            closed.add(step.layer)
            continue
        ranks[step.layer], left = step.rank, left - step.cost
    _fill(spectra, ranks, left)
    return {spectrum.name: rank for spectrum, rank in zip(spectra, ranks, strict=True)}


def _steps(layer: int, spectrum: Spectrum) -> list[_Step]:
    """Rank by rank up to where going on to the whole matrix is the better bargain, then that."""
    lost = spectrum.lost()
    rest = [float(lost[rank]) / (spectrum.whole - rank * spectrum.step) for rank in range(1, spectrum.most + 1)]
    turn = 1 + min(range(len(rest)), key=rest.__getitem__) if spectrum.whole > spectrum.step else 1
    steps = [_Step(layer, rank, spectrum.step, float(lost[rank - 1] - lost[rank])) for rank in range(2, turn + 1)]
    if spectrum.whole > turn * spectrum.step:
        steps.append(_Step(layer, None, spectrum.whole - turn * spectrum.step, float(lost[turn])))
    return steps


def _fill(spectra: Sequence[Spectrum], ranks: list[int | None], left: int) -> None:
    """Spend what no step of the plan fitted into, rank by rank."""
    while True:
        best, most = -1, 0.0
        for layer, (spectrum, rank) in enumerate(zip(spectra, ranks, strict=True)):
            if rank is None or rank >= spectrum.most or spectrum.step > left:
                continue
            saved = float(spectrum.energies[rank] / spectrum.energies.sum().clamp_min(1e-300)) / spectrum.step
            if saved > most:
                best, most = layer, saved
        if best < 0:
            return
        ranks[best] = (ranks[best] or 0) + 1
        left -= spectra[best].step
