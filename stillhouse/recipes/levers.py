"""Levers: the ways in which a model of each kind can be made smaller, and a model made so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from stillhouse.compression.low_rank import LowRank, factor
from stillhouse.compression.search import MATRICES, PRECISION, Combination
from stillhouse.errors import UsageError
from stillhouse.models.layers import blocks, sizes, token_embedding
from stillhouse.models.stages import in_stages
from stillhouse.recipes.sections import TaskName
from stillhouse.students.shrink import shrink

__all__ = ["BITS", "LEVERS", "SEEN", "VOCABULARY", "is_shaped", "levers_of", "parts_of", "shaped"]

LAYERS, FFN, WIDTH, RANK, VOCABULARY = "layers", "ffn", "width", "rank", "vocabulary"
LEVERS = (LAYERS, FFN, WIDTH, RANK, VOCABULARY, PRECISION)
ALL, SEEN = "all", "seen"
SHARES = ("1", "0.75", "0.5", "0.25", "0.125")
WIDTHS = ("1", "0.75", "0.5", "0.35", "0.25")
RANKS = ("1", "0.7", "0.5", "0.35", "0.2")
TABLE, REST = "embedding", "rest"

BITS: Mapping[str, Mapping[str, float]] = {
    "float32": {TABLE: 32, MATRICES: 32, REST: 32},
    "float16": {TABLE: 16, MATRICES: 16, REST: 16},
    "int8": {TABLE: 8, MATRICES: 8, REST: 32},
    "int8-static": {TABLE: 8, MATRICES: 8, REST: 32},
    "int8+int4": {TABLE: 5.2, MATRICES: 8, REST: 32},
    "int4": {TABLE: 5.2, MATRICES: 5, REST: 32},
}
"""Bits of each number by precision and part of the model, those of scales included."""


def levers_of(model: nn.Module, task: TaskName, wanted: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The settings of each lever that this model has, the first leaving it as it is; `wanted`: only these, if any."""
    staged = in_stages(model)
    found: dict[str, tuple[str, ...]] = {}
    if staged:
        found[WIDTH] = WIDTHS
    else:
        depth = len(blocks(model))
        fewer = sorted({max(1, round(depth * share)) for share in (0.75, 0.5, 1 / 3, 1 / 6)} - {depth}, reverse=True)
        found[LAYERS] = tuple(map(str, (depth, *fewer)))
        found[FFN] = SHARES
        if task is not TaskName.EMBEDDING:  # vectors keep their width, and their folder has no word for factors
            found |= {WIDTH: WIDTHS[:-1], RANK: RANKS}
    if task in (TaskName.CLASSIFICATION, TaskName.EMBEDDING):
        found[VOCABULARY] = (ALL, SEEN)
    if task is TaskName.IMAGE:
        found[PRECISION] = ("float32", "int8-static" if staged else "int8")
    elif task is TaskName.CHAT:
        found[PRECISION] = ("float32", "float16", "int8", "int4")
    else:
        found[PRECISION] = ("float32", "int8", "int8+int4")
    strange = sorted(set(wanted) - set(found))
    if strange:
        raise UsageError(
            f"{type(model).__name__} cannot be made smaller by {', '.join(strange)} for {task}; it can by "
            f"{', '.join(found)}."
        )
    return {name: settings if not wanted or name in wanted else settings[:1] for name, settings in found.items()}


def is_shaped(combination: Combination, levers: Mapping[str, Sequence[str]]) -> bool:
    """Whether a combination changes the model's shape, so that there is something to heal."""
    return any(
        setting != levers[name][0] for name, setting in combination.items() if name not in (PRECISION, VOCABULARY)
    )


def shaped(model: nn.Module, combination: Combination, batches: Sequence[Mapping[str, Tensor]]) -> nn.Module:
    """A smaller copy of `model`, which inherits what matters most on `batches`; its vocabulary stays."""
    if in_stages(model):
        share = float(combination.get(WIDTH, "1"))
        widths = [max(8, round(width * share / 8) * 8) for width in _widths(model)]
        return shrink(model, width=widths, batches=batches) if share < 1 else model
    layers, ffn, width = (float(combination.get(name, "1")) for name in (LAYERS, FFN, WIDTH))
    old = sizes(model)
    units = max(8, round(old.ffn * ffn / 8) * 8) if ffn < 1 else None
    wide = max(1, round(old.heads * width)) * (old.width // old.heads) if width < 1 else None
    depth = int(layers) if LAYERS in combination else None
    smaller = shrink(model, depth, width=wide, ffn=units, batches=batches if units or wide else None)
    rank = float(combination.get(RANK, "1"))
    if rank < 1:
        factor(smaller, batches, LowRank(keep=rank, embeddings=False))
    return smaller


def parts_of(model: nn.Module) -> dict[str, int]:
    """How many numbers lie in a model's table of tokens, in its matrices, and elsewhere."""
    weights = {id(weight): weight for weight in model.parameters()}
    table = sum(weight.numel() for weight in _table(model))
    matrices = sum(weight.numel() for weight in weights.values() if weight.dim() > 1) - table
    return {
        TABLE: table,
        MATRICES: matrices,
        REST: sum(weight.numel() for weight in weights.values()) - table - matrices,
    }


def _table(model: nn.Module) -> Sequence[Tensor]:
    try:
        return list(token_embedding(model).parameters())
    except (UsageError, AttributeError, NotImplementedError):
        return ()


def _widths(model: nn.Module) -> list[int]:
    return list(cast("Any", model).config.hidden_sizes)
