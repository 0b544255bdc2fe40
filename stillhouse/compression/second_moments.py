"""What comes into layers on real data: E[x x^T] of each, summed batch by batch in float64; how often tokens occur."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.layers import fan_in

__all__ = ["second_moments", "token_counts"]

Batches = Iterable[Mapping[str, Tensor]]


def second_moments(
    model: nn.Module, layers: Mapping[str, nn.Module], batches: Batches, memory: int = 2**31
) -> Iterator[tuple[str, Tensor]]:
    """E[x x^T] `[inputs, inputs]` of what comes into each layer, in float64 and in the order given.

    Only as many layers are looked at in one reading of `batches` as have moments that fit into `memory` bytes, and one
    at least. Positions of padding do not count. Layers that are not used are left out.
    """
    groups: list[list[str]] = []
    room = 0
    for name, layer in layers.items():
        size = 8 * fan_in(layer) ** 2
        if size > room:
            groups.append([])
            room = memory
        groups[-1].append(name)
        room -= size
    for group in groups:
        seen = _Seen({name: layers[name] for name in group})
        _run(model, batches, seen.look)
        for name in group:
            if seen.counts[name]:
                yield name, seen.sums.pop(name) / seen.counts[name]


@final
class _Seen:
    """Sums of x x^T by layer, and over how many x."""

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        self.layers = layers
        self.sums = {
            name: torch.zeros(fan_in(layer), fan_in(layer), dtype=torch.float64) for name, layer in layers.items()
        }
        self.counts = dict.fromkeys(layers, 0)
        self.last: tuple[Tensor, Tensor, int] | None = None  # query, key and value read the same x

    @contextmanager
    def look(self, padding: list[Tensor | None]) -> Generator[None]:
        """While this is open, every pass of the model adds what comes into the layers."""

        def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            def add(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                if self.last is None or self.last[0] is not inputs[0]:
                    given = _rows(inputs[0], padding[0]).double()
                    self.last = (inputs[0], (given.T @ given).cpu(), len(given))
                self.sums[name] += self.last[1]
                self.counts[name] += self.last[2]

            return add

        handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in self.layers.items()]
        try:
            yield
        finally:
            self.last = None
            for handle in handles:
                handle.remove()


def token_counts(model: nn.Module, table: nn.Embedding, batches: Batches) -> Tensor:
    """How often each row of a table is looked up `[entries]`, in float64; positions of padding do not count."""
    counts = torch.zeros(table.num_embeddings, dtype=torch.float64)

    @contextmanager
    def look(padding: list[Tensor | None]) -> Generator[None]:
        def add(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            ids = _rows(inputs[0].unsqueeze(-1), padding[0]).flatten()
            counts.add_(torch.bincount(ids.cpu(), minlength=len(counts)))

        handle = table.register_forward_pre_hook(add)
        try:
            yield
        finally:
            handle.remove()

    _run(model, batches, look)
    return counts


def _rows(given: Tensor, mask: Tensor | None) -> Tensor:
    """Vectors `[positions, width]`, without those of padding where the mask is of these positions."""
    if mask is not None and mask.shape == given.shape[:-1]:
        return given[mask.bool()]
    return given.reshape(-1, given.shape[-1])


def _run(model: nn.Module, batches: Batches, look: Callable[[list[Tensor | None]], Any]) -> None:
    """Run the model on every batch in evaluation mode while `look` is open, and leave it in the mode it was in."""
    padding: list[Tensor | None] = [None]
    device, training, seen = next(model.parameters()).device, model.training, 0
    model.eval()
    try:
        with torch.no_grad(), look(padding):
            for seen, batch in enumerate(batches, start=1):  # noqa: B007
                given = {name: value.to(device) for name, value in batch.items()}
                padding[0] = given.get("attention_mask")
                model(**given)
    finally:
        model.train(training)
    if not seen:
        raise UsageError(
            "There is no batch to see what comes into layers. Give some of the task that the model is for."
        )
