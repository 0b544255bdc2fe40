"""Sparsity: weights set to zero, any or two of every four, and held there while a model heals."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from stillhouse.compression.importance import input_norms
from stillhouse.errors import UsageError
from stillhouse.models.inherit import Given

__all__ = ["Masks", "Sparsity", "apply_masks", "find_masks", "measure_sparsity"]

Masks = Mapping[str, Tensor]
"""Which entries of a weight stay, `[like the weight]` of booleans, by the weight's name."""


@final
@dataclass(frozen=True)
class Sparsity:
    """How many of a model's weights are zero. A zero is stored and multiplied like any other number.

    Files and answers get smaller and faster only in a runtime with sparse kernels: 2:4 on NVIDIA GPUs since Ampere,
    unstructured above some 70 to 90 % on a few CPU runtimes. Compressed archives (gzip) are smaller.
    """

    zeros: int
    weights: int
    matrices: Mapping[str, float]
    """The share of zeros in each weight of two or more dimensions."""
    two_of_four: frozenset[str]
    """Those of which every four neighbouring inputs have two zeros or more."""

    @property
    def share(self) -> float:
        """Of all weights, biases and norms included."""
        return self.zeros / max(1, self.weights)


def find_masks(
    model: nn.Module,
    share: float | Literal["2:4"],
    batches: Iterable[Given] | None = None,
    skip: Iterable[nn.Module] = (),
) -> Masks:
    """Which weights of linear layers and convolutions stay: by magnitude, or with `batches` by Wanda.

    `share` of zeros (0.5), taken of every output's weights where there are batches and of each matrix as a whole
    otherwise; or `2:4`, the two largest of every four neighbouring inputs. A weight counts |W_ij|, or on data
    |W_ij| ‖X_j‖₂ (Sun et al. 2023, arxiv.org/abs/2306.11695, who compare within each output). `skip`: layers left
    dense, such as a head. Embeddings stay dense.
    """
    if share != "2:4" and not 0 <= share < 1:
        raise UsageError(f"A share of {share} zeros cannot be had: choose 0 up to but not 1, or '2:4'.")
    left = {id(layer) for layer in skip}
    left |= {id(layer.weight) for layer in model.modules() if isinstance(layer, nn.Embedding)}
    own = dict(model.named_parameters())
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | Conv1D)
        and f"{name}.weight" in own
        and not left & {id(layer), id(layer.weight)}
    }
    norms = None if batches is None else input_norms(model, layers.values(), batches)
    if norms is not None and not norms:
        raise UsageError("There is no batch to see inputs on. Give some, or none at all to go by magnitude.")
    return {
        f"{name}.weight": _mask(layer, share, None if norms is None else norms.get(layer))
        for name, layer in layers.items()
        if norms is None or layer in norms
    }


@torch.no_grad()
def _mask(layer: nn.Module, share: float | Literal["2:4"], norms: Tensor | None) -> Tensor:
    weight: Tensor = layer.weight  # pyright: ignore[reportAssignmentType]
    turned = isinstance(layer, Conv1D)
    matters = (weight.T if turned else weight).detach().abs().float()
    if norms is not None and norms.numel() == matters.shape[1]:
        matters = matters * norms.to(matters.device).view(1, -1, *[1] * (matters.dim() - 2))
    flat = matters.flatten(1)
    if share == "2:4":
        kept = _two_of_four(flat)
    elif norms is None:
        kept = _all_but(flat.reshape(1, -1), share).view_as(flat)
    else:
        kept = _all_but(flat, share)
    kept = kept.view_as(matters)
    return (kept.T if turned else kept).contiguous()


def _all_but(matters: Tensor, share: float) -> Tensor:
    """True but for the lowest `share` of each row; of equals the first goes."""
    zeros = round(matters.shape[1] * share)
    lowest = matters.argsort(dim=1, stable=True)[:, :zeros]
    return torch.ones_like(matters, dtype=torch.bool).scatter_(1, lowest, False)


def _two_of_four(matters: Tensor) -> Tensor:
    """True for the two largest of every four in a row; a rest of fewer than four stays."""
    rows, whole = matters.shape[0], matters.shape[1] // 4 * 4
    kept = torch.ones_like(matters, dtype=torch.bool)
    kept[:, :whole] = _all_but(matters[:, :whole].reshape(-1, 4), 0.5).reshape(rows, whole)
    return kept


@torch.no_grad()
def apply_masks(model: nn.Module, masks: Masks) -> None:
    """Set what masks leave out to zero, in place.

    Training moves these weights again, so it is done after every step: the `Masked` source of training does it.
    """
    weights = dict(model.named_parameters())
    for name, kept in masks.items():
        if name not in weights or weights[name].shape != kept.shape:
            has = list(weights[name].shape) if name in weights else "no such weight"
            raise UsageError(f"The masks are of another model: {name} is {list(kept.shape)} there, and here {has}.")
        weights[name].masked_fill_(~kept.to(weights[name].device), 0)


@torch.no_grad()
def measure_sparsity(model: nn.Module) -> Sparsity:
    """How many weights are zero now, counted."""
    zeros = total = 0
    matrices: dict[str, float] = {}
    halved: set[str] = set()
    for name, weight in model.named_parameters():
        none = int((weight == 0).sum())
        zeros, total = zeros + none, total + weight.numel()
        if weight.dim() > 1:
            matrices[name] = none / weight.numel()
            owner = model.get_submodule(name.rpartition(".")[0])
            flat = (weight.T if isinstance(owner, Conv1D) else weight).flatten(1)
            fours = flat[:, : flat.shape[1] // 4 * 4].reshape(-1, 4)
            if len(fours) and bool(((fours == 0).sum(1) >= 2).all()):
                halved.add(name)
    return Sparsity(zeros, total, matrices, frozenset(halved))
