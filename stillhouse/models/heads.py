"""Heads: from a language model's pass to logits not yet computed, and what enters a classifier's last layer.

What a model does with its head's output (Cohere multiplies it, Granite divides it, Gemma caps it) is not looked up by
name but measured: in each pass the head's output is replaced by known numbers, and what the model makes of them is
read off. The head itself never runs over more than one position.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.layers import fan_out, linear_layers
from stillhouse.models.scores import Projection

__all__ = ["label_head", "project", "token_head", "what_enters"]

_LITTLE = 2.0**-20
"""A logit so small that no cap bends it."""
_MUCH = 2.0**60
"""A logit so large that a cap holds it."""
_RANGE = 60.0
"""What was measured must hold for logits from minus to plus this."""


def token_head(model: nn.Module) -> nn.Module | None:
    """The layer from hidden states to logits over the vocabulary; None of a module that names none."""
    get = getattr(model, "get_output_embeddings", None)
    found = get() if callable(get) else None
    return found if isinstance(found, nn.Module) else None


def label_head(model: nn.Module, labels: int) -> nn.Module:
    """The last linear layer of a classifier that gives a score for each of `labels` labels."""
    found = [layer for layer in linear_layers(model) if fan_out(layer) == labels]
    if not found:
        raise UsageError(f"{type(model).__name__} has no linear layer with {labels} outputs, one for each label.")
    return found[-1]


@contextmanager
def what_enters(layer: nn.Module) -> Generator[list[Tensor]]:
    """While this is open, what each pass gives to `layer` is added to the list."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        handle.remove()


def project(model: nn.Module, inputs: Mapping[str, Tensor], labels: int | None = None) -> Tensor | Projection:
    """Run `model` on the keyword arguments `inputs`; its scores `[rows, tokens, labels]` as a Projection.

    Only the first `labels` rows of the head count, if given: the others pad the vocabulary. A module that names no
    head (no `get_output_embeddings`) is run as it is and gives its logits. Raises UsageError where the head is no
    linear layer, or where the model does more with its output than to scale and to cap it.
    """
    head = token_head(model)
    if head is None:
        logits = _run(model, inputs)
        return logits if labels is None else logits[..., :labels]
    with _measuring(head) as seen:
        made = _run(model, inputs).detach()
    if seen.states is None or seen.given is None:
        raise UsageError(f"{type(model).__name__} does not use the head it names, so its logits are not known.")
    scale, softcap = _finish(type(model).__name__, seen.given[..., : made.shape[-1]], made)
    found = Projection(*_linear(head, seen.states), scale, softcap)
    real = min(len(found.weight), made.shape[-1])
    return found.first(real if labels is None else min(labels, real))


@dataclass
class _Seen:
    """What came to the head, and what it was made to answer."""

    states: Tensor | None = None
    given: Tensor | None = None


@contextmanager
def _measuring(head: nn.Module) -> Generator[_Seen]:
    """While this is open the head keeps its input, runs on one position of it, and answers with known numbers."""
    seen = _Seen()

    def shorten(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if seen.states is not None:
            raise UsageError("This model uses its head more than once in a pass, so which logits are meant is unknown.")
        seen.states = args[0]
        return (args[0][:1, :1].detach(), *args[1:])

    def answer(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        between = torch.linspace(-_RANGE, _RANGE, output.shape[-1], device=output.device)
        flat = [torch.full_like(between, value) for value in (0.0, _LITTLE, _MUCH)]
        seen.given = torch.stack([*flat, between]).unsqueeze(0)
        return seen.given

    handles = [head.register_forward_pre_hook(shorten), head.register_forward_hook(answer)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _finish(model: str, given: Tensor, made: Tensor) -> tuple[float, float | None]:
    """The scale and the soft cap that turn `given` `[1, 4, labels]` into `made`."""
    if made.shape == given.shape and made.isfinite().all():
        scale = float(made[0, 1, 0]) / _LITTLE
        far = float(made[0, 2, 0])
        softcap = None if far >= 0.5 * scale * _MUCH else far
        assumed = Projection(given, given, None, scale, softcap).finish(given)
        loose = 1e-4 if made.dtype in (torch.float32, torch.float64) else 2e-2
        if scale > 0 and torch.allclose(assumed, made.to(assumed.dtype), rtol=loose, atol=loose * scale):
            return scale, softcap
    raise UsageError(
        f"{model} does more with the output of its head than to scale and to cap it, so that its logits cannot be "
        "computed a few at a time. Give its logits to the objectives as they are."
    )


def _linear(head: nn.Module, states: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """States, weight and bias whose product is the head's output; those of an adapter stand beside the head's own."""
    saved = getattr(head, "modules_to_save", None)
    if isinstance(saved, nn.ModuleDict):  # a head trained as a whole beside adapters
        active = [] if head.disable_adapters else [name for name in head.active_adapters if name in saved]  # pyright: ignore[reportGeneralTypeIssues]
        return _linear(saved[active[0]] if active else head.original_module, states)  # pyright: ignore[reportArgumentType]
    if isinstance(getattr(head, "lora_A", None), nn.ModuleDict):
        return _adapted(head, states)
    product: Any = getattr(head, "product", None)
    if product is not None:  # a head that keeps its weight in another form says itself what is multiplied
        return product(states)
    if isinstance(head, nn.Linear) and type(head).forward is nn.Linear.forward:
        return states, head.weight, head.bias
    raise UsageError(
        f"The head is a {type(head).__name__}, where a linear layer (with or without LoRA) was looked for, so its "
        "logits cannot be computed a few at a time."
    )


def _adapted(head: Any, states: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """x W^T + s (x A^T) B^T is one product: of (x, s x A^T) with (W, B)."""
    own, weight, bias = _linear(head.base_layer, states)
    if head.disable_adapters or head.merged:
        return own, weight, bias
    inputs, columns = [own], [weight]
    for name in [name for name in head.active_adapters if name in head.lora_A]:
        up = head.lora_B[name]
        if name in getattr(head, "lora_variant", {}) or up.bias is not None:
            raise UsageError("The head carries a variant of LoRA (DoRA, or one with biases); plain LoRA is known.")
        down = head.lora_A[name](head.lora_dropout[name](states.to(head.lora_A[name].weight.dtype)))
        inputs.append((down * head.scaling[name]).to(own.dtype))
        columns.append(up.weight.to(weight.dtype))
    return torch.cat(inputs, -1), torch.cat(columns, -1), bias


def _run(model: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """A model's logits; keys and values are not kept for a text that will not go on."""
    caches = hasattr(getattr(model, "config", None), "use_cache")
    said = model(**inputs, use_cache=False) if caches else model(**inputs)
    logits = said if isinstance(said, Tensor) else getattr(said, "logits", None)
    if logits is None:
        raise UsageError(f"{type(model).__name__} gives no logits. Load it with its head, by AutoModelForCausalLM.")
    return logits
