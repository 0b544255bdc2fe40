"""Budget: from a number of parameters or bytes to what to prune, by what the scores say would be lost."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from stillhouse.compression.importance import Importance
from stillhouse.compression.prune import PrunePlan, fitting_heads, kept_of, prune
from stillhouse.errors import UsageError
from stillhouse.models.cost import parameters
from stillhouse.models.layers import Sizes, blocks, sizes
from stillhouse.models.resize import frees_heads
from stillhouse.models.stages import in_stages

__all__ = ["KNOBS", "choose"]

KNOBS = ("ffn", "heads", "layers", "width", "channels")
"""What a plan may turn down."""
STEPS = 16
"""Amounts of units, width and channels that are tried: sixteenths."""


def choose(
    model: nn.Module,
    scores: Importance,
    most: float,
    bytes_per_weight: float | None = None,
    over: Sequence[str] = KNOBS,
    multiple: int = 8,
) -> PrunePlan:
    """The plan that loses least by `scores` among those whose model has at most `most` parameters.

    With `bytes_per_weight` (4 for float32, 1 for int8) `most` is in bytes. `over`: what may be pruned; what a model
    does not have is passed over. Of a knob turned to a count, what is lost is the share of the scores of what goes,
    averaged over blocks; a plan keeps the product of what its knobs keep. That is a guess from which to start:
    measured trials decide. A plain module has no configuration that wants like blocks, so each of its groups gets a
    count of its own: the members with the lowest share of their group's score go first.

    Raises UsageError where even the smallest model is larger, saying how large that is.
    """
    unknown = [knob for knob in over if knob not in KNOBS]
    if unknown:
        raise UsageError(f"There is no {unknown[0]!r} to prune; choose among {', '.join(KNOBS)}.")
    limit = int(most if bytes_per_weight is None else most / bytes_per_weight)
    if in_stages(model) or hasattr(getattr(model, "config", None), "depth_multiplier"):
        return _choose_share(model, scores, limit, multiple)
    if isinstance(model, PreTrainedModel):
        return _choose_sizes(model, scores, limit, over, multiple)
    return _choose_channels(model, scores, limit)


def _too_small(model: nn.Module, limit: int, least: int) -> UsageError:
    return UsageError(
        f"{type(model).__name__} cannot be pruned to {limit:,} parameters: the smallest that these knobs make has "
        f"{least:,}. Allow more, or more kinds of pruning; a large vocabulary can be trimmed."
    )


def _choose_share(model: nn.Module, scores: Importance, limit: int, multiple: int) -> PrunePlan:
    """The largest share of channels that fits."""
    least = parameters(model)
    for step in range(STEPS, 0, -1):
        plan = PrunePlan(channels=step / STEPS, multiple=multiple)
        least = min(least, parameters(prune(model, plan, scores)))
        if least <= limit:
            return plan
    raise _too_small(model, limit, least)


def _choose_channels(model: nn.Module, scores: Importance, limit: int) -> PrunePlan:
    """Members go one by one, those with the lowest share of their group's score first; each group keeps one."""
    parts = scores.parts
    left = dict(parts.members)
    terms = _terms(model, scores, tuple(left))
    shares = [
        (share, group)
        for group in left
        if group not in parts.fixed
        for share in _shares(scores.scores[group]).sort().values[:-1].tolist()
    ]
    for _, group in sorted(shares, key=lambda pair: pair[0]):
        if _count(terms, left) <= limit:
            break
        left[group] -= 1
    if _count(terms, left) > limit:
        raise _too_small(model, limit, int(_count(terms, left)))
    return PrunePlan(channels={group: count for group, count in left.items() if group not in parts.fixed})


def _choose_sizes(
    model: PreTrainedModel, scores: Importance, limit: int, over: Sequence[str], multiple: int
) -> PrunePlan:
    if not scores.parts.axes:
        raise UsageError(
            f"What is inside the blocks of {type(model).__name__} is not known. Prune its layers by count."
        )
    old = sizes(model)
    depth = len(blocks(model))
    terms = _terms(model, scores, ("heads", "kv_heads", "units", "width"))
    kept = _kept_by_count(scores)
    best: tuple[float, int, PrunePlan] | None = None
    least = parameters(model)
    for plan, counts in _plans(model, old, depth, over, multiple):
        size = int(_count(terms, counts, counts["layers"] / depth))
        least = min(least, size)
        worth = prod(float(kept[knob][counts[knob] - 1]) for knob in kept)
        if size <= limit and (best is None or (worth, -size) > (best[0], -best[1])):
            best = (worth, size, plan)
    if best is None:
        raise _too_small(model, limit, least)
    return best[2]


def _plans(
    model: PreTrainedModel, old: Sizes, depth: int, over: Sequence[str], multiple: int
) -> Iterator[tuple[PrunePlan, dict[str, int]]]:
    """Every plan that is tried, with how many of each kind it keeps."""
    free = frees_heads(model)

    def steps(knob: str, total: int, step: int) -> list[int]:
        shares = range(1, STEPS + 1) if knob in over else (STEPS,)
        return sorted({kept_of(total, share / STEPS, step) for share in shares})

    widths = steps("width", old.width, multiple if free else old.head_size)
    heads = fitting_heads(old) if free and "heads" in over else [old.heads]
    layers = range(1, depth + 1) if "layers" in over else [depth]
    for count, ffn, width, own in product(layers, steps("ffn", old.ffn, multiple), widths, heads):
        own = own if free else width // old.head_size
        shared = [kv for kv in range(1, old.kv_heads + 1) if own % kv == 0 and own // kv <= old.heads // old.kv_heads]
        if not shared:
            continue
        kv = max(shared)
        counts = {"layers": count, "units": ffn, "width": width, "heads": own, "kv_heads": kv}
        plan = PrunePlan(multiple=multiple)
        changes = {
            "layers": (count, depth),
            "ffn": (ffn, old.ffn),
            "width": (width, old.width),
            "heads": (own, old.heads),
        }
        yield replace(plan, **{knob: new for knob, (new, before) in changes.items() if new != before}), counts


_Terms = Counter[tuple[bool, int, tuple[tuple[tuple[str, int], ...], ...]]]
"""How often each kind of weight occurs: whether in a block, the entries that stay, and what its axes are made of."""


def _terms(model: nn.Module, scores: Importance, kinds: Sequence[str]) -> _Terms:
    """The weights of a model as products of what can be counted, like ones together."""
    terms: _Terms = Counter()
    inside: set[int] = set()
    if "units" in kinds and isinstance(model, PreTrainedModel):
        inside = {id(weight) for weight in blocks(model).parameters()}
    for name, weight in model.named_parameters():
        axes = scores.parts.axes.get(name, {})
        same = prod(size for axis, size in enumerate(weight.shape) if axis not in axes)
        made = tuple(
            tuple((_kind(section.group, kinds), section.unit) for section in sections) for sections in axes.values()
        )
        terms[id(weight) in inside, same, made] += 1
    return terms


def _kind(group: str, kinds: Sequence[str]) -> str:
    """The kind of a group of one block (`units.3`), or the group itself."""
    return group if group in kinds else group.partition(".")[0]


def _count(terms: _Terms, counts: Mapping[str, int], share: float = 1.0) -> float:
    """How many parameters there are with so many of each kind, and a share of the blocks."""
    return sum(
        times * (share if inside else 1) * same * prod(sum(counts[kind] * unit for kind, unit in axis) for axis in made)
        for (inside, same, made), times in terms.items()
    )


def _kept_by_count(scores: Importance) -> dict[str, Tensor]:
    """Of each kind, the share of the score that the best 1, 2, ... keep, averaged over blocks."""
    found: dict[str, list[Tensor]] = {}
    for group, values in scores.scores.items():
        kind = group.partition(".")[0]
        if kind in ("units", "width") or (kind == "heads" and "." in group):
            found.setdefault(kind, []).append(_shares(values).sort(descending=True).values.cumsum(0))
    kept = {kind: torch.stack(curves).mean(0) for kind, curves in found.items()}
    if scores.layers is not None:
        kept["layers"] = _shares(scores.layers).sort(descending=True).values.cumsum(0)
    return kept


def _shares(values: Tensor) -> Tensor:
    """Scores as shares of their sum; where some are negative (logarithms), counted from the least."""
    known = values.double()
    known = known - min(0.0, float(known.min()))
    total = float(known.sum())
    return known / total if total > 0 else torch.full_like(known, 1 / len(known))
