"""Rotate: hidden states turned so that few dimensions hold most of them, and the rest cut off (SliceGPT)."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from stillhouse.errors import UsageError
from stillhouse.models.inherit import Axes, Given, Scores, call, looking
from stillhouse.models.layers import attention, blocks, feed_forward, final_norm, output_head, sizes, token_embedding
from stillhouse.models.resize import narrow, settle

__all__ = ["rotate", "slice_width"]

_EXACT = ("llama", "mistral", "qwen2", "qwen3", "phi3")
"""Models whose blocks read hidden states through RMSNorms and add what they write as it is."""


def slice_width(model: nn.Module, width: int, batches: Iterable[Given], untie: bool = False) -> nn.Module:
    """A copy whose hidden states are cut to the `width` directions that hold most of them; the model stays as it is.

    First it is rotated, which changes no answer; then the last dimensions are dropped. With them goes 1 - s of the
    mean square of hidden states; the norms take their mean over fewer dimensions, so their gains become
    sqrt(s x old width / new width). Where s is 1 answers stay as they were, but for the norms' epsilon.

    Ashkboos et al. 2024 (SliceGPT, arxiv.org/abs/2401.15024), who turn each block by a Q of its own and put matrices
    between blocks, which no configuration of Transformers can say; one Q for all fits an ordinary folder.
    """
    turned, energies = rotate(model, batches, untie)
    old = sizes(turned)
    goal = settle(turned, width, old.heads, old.kv_heads, old.ffn)

    def weigh(fewer: nn.Module, axes: Axes, members: Mapping[str, int]) -> Scores:
        return {group: torch.zeros(count) for group, count in members.items()} | {"width": energies}

    narrower = narrow(turned, tuple(range(len(blocks(turned)))), goal, weigh)
    kept = float(energies[:width].sum() / energies.sum())
    with torch.no_grad():
        for norm, _ in _reading(narrower):
            norm.weight.mul_((kept * old.width / width) ** 0.5)  # pyright: ignore[reportCallIssue]
    return narrower


@torch.no_grad()
def rotate(model: nn.Module, batches: Iterable[Given], untie: bool = False) -> tuple[PreTrainedModel, Tensor]:
    """A copy that answers the same with its hidden states turned, and how much each dimension holds, the most first.

    All that writes to or reads from hidden states is turned by one orthogonal matrix Q, and RMSNorm(xQ) = RMSNorm(x)Q
    once the gains of norms are moved into the layers that read them. Q are the eigenvectors of Σ x xᵀ over what the
    layers read of `batches`, and what a dimension holds is its eigenvalue. A head that is tied to the token table
    cannot take in the gains of the last norm: `untie` gives it weights of its own.
    """
    turned = _checked(model, untie)
    for norm, layers in _reading(turned):
        for layer in layers:
            layer.weight.mul_(norm.weight)  # pyright: ignore[reportCallIssue, reportArgumentType]
        norm.weight.fill_(1)  # pyright: ignore[reportCallIssue]
    values, vectors = torch.linalg.eigh(_squares(turned, batches))
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    largest = vectors.abs().argmax(0)
    vectors = vectors * vectors.gather(0, largest.unsqueeze(0)).sign()  # one of the two directions each
    readers = [layer for _, layers in _reading(turned) for layer in layers]
    for weight in (layer.weight for layer in (token_embedding(turned), *readers)):
        weight.copy_((weight.double() @ vectors.to(weight.device)).to(weight))  # pyright: ignore[reportCallIssue, reportOperatorIssue]
    for layer in _writing(turned):
        back = vectors.T.to(layer.weight.device)  # pyright: ignore[reportArgumentType]
        layer.weight.copy_((back @ layer.weight.double()).to(layer.weight))  # pyright: ignore[reportCallIssue, reportOperatorIssue]
        if layer.bias is not None:
            layer.bias.copy_((back @ layer.bias.double()).to(layer.bias))  # pyright: ignore[reportCallIssue, reportOperatorIssue]
    return turned, values.float()


def _checked(model: nn.Module, untie: bool) -> PreTrainedModel:
    """A copy that can be rotated; raises UsageError where rotation would change its answers."""
    name = type(model).__name__
    if not isinstance(model, PreTrainedModel) or model.config.model_type not in _EXACT:
        raise UsageError(
            f"The hidden states of {name} cannot be turned without changing its answers: that needs RMSNorms before "
            f"attention and feed-forward parts and none after them ({', '.join(_EXACT)}). Prune width by scores."
        )
    head: Any = output_head(model)
    tied = head.weight is token_embedding(model).weight
    if tied and not untie:
        raise UsageError(
            f"The head of {name} is its token table, which cannot take in the gains of the last norm. Allow it weights "
            "of its own (untie), which may be more than is saved, or prune width by scores."
        )
    copy = deepcopy(model)
    if tied:
        own: Any = output_head(copy)
        own.weight = nn.Parameter(head.weight.detach().clone())
        copy.config.tie_word_embeddings = False
    return copy


def _reading(model: nn.Module) -> Iterator[tuple[nn.Module, tuple[nn.Module, ...]]]:
    """The norms that hidden states go through, each with the layers that read what it gives."""
    block: Any
    for block in blocks(model):
        yield block.input_layernorm, attention(block).inward
        yield block.post_attention_layernorm, feed_forward(block).inward
    last = final_norm(model)
    assert last is not None
    yield last, (output_head(model),)


def _writing(model: nn.Module) -> Iterator[nn.Module]:
    """The layers that add to hidden states."""
    for block in blocks(model):
        yield attention(block).output
        yield feed_forward(block).outward


def _squares(model: nn.Module, batches: Iterable[Given]) -> Tensor:
    """Σ x xᵀ over the positions of all that layers read, `[width, width]`."""
    width = sizes(model).width
    total = torch.zeros(width, width, dtype=torch.float64)
    padding: list[Tensor | None] = [None]

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        mask = padding[0]
        given = (
            inputs[0]
            if mask is None or mask.shape != inputs[0].shape[:-1]
            else inputs[0][mask.to(inputs[0].device) > 0]
        )
        flat = given.reshape(-1, width).double().cpu()
        total.addmm_(flat.T, flat)

    seen = 0
    with looking(model, [(layers[0], look) for _, layers in _reading(model)]):
        for seen, batch in enumerate(batches, start=1):  # noqa: B007
            padding[0] = batch.get("attention_mask") if isinstance(batch, Mapping) else None
            call(model, batch)
    if not seen:
        raise UsageError("There is no batch to see hidden states on. Give some.")
    return total
