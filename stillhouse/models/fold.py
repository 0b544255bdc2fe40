"""Batch norms folded into the convolutions before them: one layer less, the same answers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError

__all__ = ["fold_norms"]

Model = TypeVar("Model", bound=nn.Module)
LOOSE = 1e-3
"""How far answers may move, as a share of the largest: what rounding does to deep networks."""


@torch.no_grad()
def fold_norms(model: Model, inputs: Mapping[str, Tensor]) -> Model:
    """Fold, in place, every batch norm that reads what a convolution gives, and put the model in evaluation mode.

    With s = gamma / sqrt(variance + eps) the weight becomes s W and the bias s (b - mean) + beta. Which norm reads
    which convolution is seen in a pass over `inputs`, the model's keyword arguments, and not told by names; a
    convolution or norm that is used twice is left alone. Raises UsageError, with the model as it was, where the
    answers do not stay: where something else reads the convolution too.
    """
    model.eval()
    pairs, before = _seen(model, inputs)
    kept = [(conv, conv.weight.clone(), conv.bias) for conv, _ in pairs]
    places = {id(norm): (parent, name) for parent in model.modules() for name, norm in parent.named_children()}
    for conv, norm in pairs:
        _fold(conv, norm)
        parent, name = places[id(norm)]
        parent._modules[name] = nn.Identity()
    after = _answers(model(**inputs))
    close = all(
        torch.allclose(one, other, 0, LOOSE * float(one.abs().max())) for one, other in zip(before, after, strict=True)
    )
    if not close:
        for (conv, weight, bias), (_, norm) in zip(kept, pairs, strict=True):
            conv.weight.copy_(weight)
            conv.bias = bias
            parent, name = places[id(norm)]
            parent._modules[name] = norm
        raise UsageError(
            f"The batch norms of {type(model).__name__} cannot be folded: its answers change, so something else reads "
            "what a convolution gives before its norm."
        )
    return model


def _seen(
    model: nn.Module, inputs: Mapping[str, Tensor]
) -> tuple[list[tuple[nn.Conv2d, nn.BatchNorm2d]], list[Tensor]]:
    """Convolutions with the norms that read them, and the model's answers."""
    made: list[tuple[nn.Conv2d, Tensor]] = []
    read: list[tuple[nn.BatchNorm2d, Tensor]] = []

    def note_made(conv: Any, inputs: Any, output: Tensor) -> None:
        made.append((conv, output))

    def note_read(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        read.append((norm, inputs[0]))

    with ExitStack() as open_now:
        for part in model.modules():
            if type(part) is nn.Conv2d:
                open_now.callback(part.register_forward_hook(note_made).remove)
            elif type(part) is nn.BatchNorm2d and part.track_running_stats:
                open_now.callback(part.register_forward_pre_hook(note_read).remove)
        answers = _answers(model(**inputs))
    once = {id(conv): conv for conv, _ in made if sum(other is conv for other, _ in made) == 1}
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    for norm, values in read:
        maker = next((conv for conv, output in made if output is values and id(conv) in once), None)
        if maker is not None and sum(other is norm for other, _ in read) == 1:
            pairs.append((maker, norm))
    return pairs, answers


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = (torch.as_tensor(value).double() for value in (norm.running_mean, norm.running_var))
    gain, shift = torch.ones_like(mean), torch.zeros_like(mean)
    if norm.affine:
        gain, shift = norm.weight.double(), norm.bias.double()
    gain = gain / (variance + norm.eps).sqrt()
    bias = torch.zeros_like(mean) if conv.bias is None else conv.bias.double()
    conv.weight.copy_(conv.weight.double() * gain.view(-1, 1, 1, 1))
    conv.bias = nn.Parameter((gain * (bias - mean) + shift).to(conv.weight.dtype))


def _answers(said: Any) -> list[Tensor]:
    """The floats in what a model gives."""
    if isinstance(said, Tensor):
        return [said] if said.is_floating_point() else []
    values = said.values() if isinstance(said, Mapping) else said if isinstance(said, list | tuple) else ()
    return [tensor for value in values for tensor in _answers(value)]
