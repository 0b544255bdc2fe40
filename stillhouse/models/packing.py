"""Rows side by side in full lines: short rows share the room that padding would take, and see only themselves.

Position ids that start anew tell a Transformers model where one row ends and the next begins. Whether a model heeds
them is tried, not assumed: one that carries a state along the line (Mamba), or that counts positions on its own,
would let a row see its neighbour.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final
from weakref import WeakSet

import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.heads import project
from stillhouse.models.scores import Projection

__all__ = ["Lines", "Tried", "check_packing", "fill_lines", "lines_of"]


@dataclass(frozen=True)
class Lines:
    """Rows laid side by side: `places` `[rows, tokens]` says where each token stands in the lines read one by one."""

    inputs: Mapping[str, Tensor]
    """`input_ids` and `position_ids` `[lines, length]`: what the model reads, without an attention mask."""
    places: Tensor

    def back(self, states: Tensor) -> Tensor:
        """`[lines, length, ...]` -> `[rows, tokens, ...]`; where a row is padded stands whatever is at its first."""
        return states.flatten(0, 1)[self.places]


def fill_lines(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Which rows share a line of `room` tokens: the longest first, each into the first line that still has room."""
    lines: list[list[int]] = []
    left: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        at = next((at for at, free in enumerate(left) if free >= lengths[row]), None)
        if at is None:
            lines.append([])
            left.append(room)
            at = len(lines) - 1
        lines[at].append(row)
        left[at] -= lengths[row]
    return lines


def lines_of(ids: Tensor, mask: Tensor, padding: int = 0) -> Lines:
    """Rows `[rows, tokens]`, padded on the right, laid side by side in lines as long as the longest row."""
    lengths: list[int] = mask.sum(1).tolist()
    room = max(lengths)
    lines = fill_lines(lengths, room)
    starts = torch.zeros(len(lengths), 1, dtype=torch.long)
    positions = torch.zeros(len(lines), room, dtype=torch.long)
    for at, rows in enumerate(lines):
        used = 0
        for row in rows:
            starts[row] = at * room + used
            used += lengths[row]
        positions[at] = torch.arange(room) - used  # what is left at the end counts on its own
    there, along = mask.bool(), torch.arange(ids.shape[1])
    places = (starts + along * there.cpu()).to(ids.device)
    positions = (
        positions.to(ids.device).flatten().index_put((places[there],), along.to(ids.device).expand_as(ids)[there])
    )
    packed = torch.full_like(positions, padding).index_put((places[there],), ids[there])
    shape = (len(lines), room)
    return Lines({"input_ids": packed.view(shape), "position_ids": positions.view(shape)}, places)


@torch.no_grad()
def check_packing(model: nn.Module) -> None:
    """Raise UsageError unless rows of random tokens that share a line neither see nor displace each other.

    Another neighbour must change nothing at all (a mask is exact), and a row must get the logits it gets alone, up to
    rounding.
    """
    device = next(model.parameters()).device
    vocabulary = int(model.get_input_embeddings().weight.shape[0])  # pyright: ignore[reportCallIssue, reportArgumentType]
    ids = torch.randint(vocabulary, (3, 7), generator=torch.Generator().manual_seed(0)).to(device)
    mask = (torch.arange(7) < torch.tensor([[7], [4], [3]])).long().to(device)
    other = ids.clone()
    other[1] = (other[1] + 1) % vocabulary  # its neighbour is row 2, the shorter
    with _evaluating(model), torch.autocast(device.type, enabled=False):
        try:
            alone = _logits(model, {"input_ids": ids, "attention_mask": mask})
            beside, beside_other = (_together(model, rows, mask) for rows in (ids, other))
        except (TypeError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"{type(model).__name__} cannot read rows packed into lines: {error}. {_ADVICE}"
            ) from error
    size = float(alone[mask.bool()].abs().max())
    seen = float((beside - beside_other)[2][mask[2].bool()].abs().max())
    moved = float((beside - alone)[mask.bool()].abs().max())
    if not (seen <= 1e-6 * size and moved <= _ROUNDING.get(next(model.parameters()).dtype, 1e-3) * size):
        raise UsageError(
            f"{type(model).__name__} does not keep rows apart that share a line: of logits up to {size:.3g}, a "
            f"neighbour changes {seen:.3g} and sharing {moved:.3g}. {_ADVICE}"
        )


@final
class Tried:
    """Tries whether a model keeps rows apart when it first sees it; a copy of this knows of no model."""

    def __init__(self) -> None:
        self._fit: WeakSet[nn.Module] = WeakSet()

    def __reduce__(self) -> tuple[type[Tried], tuple[()]]:
        return Tried, ()

    def check(self, model: nn.Module) -> None:
        """Raise UsageError where `check_packing` does, once for each model."""
        if model not in self._fit:
            check_packing(model)
            self._fit.add(model)


_ADVICE = "Train it without packing: rows of like length go together anyway."
_ROUNDING = {torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""How far logits may differ because numbers are added in another order, as a share of the largest."""


def _together(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """Logits of rows that share lines, row by row."""
    lines = lines_of(ids, mask)
    return lines.back(_logits(model, lines.inputs))


def _logits(model: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    said = project(model, inputs)
    return said.logits() if isinstance(said, Projection) else said.float()


@contextmanager
def _evaluating(model: nn.Module) -> Generator[None]:
    """Without dropout while this is open."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
