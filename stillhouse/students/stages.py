"""Shrink convolutional models in stages (ResNet, ConvNeXt): blocks of each stage, channels of each stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.inherit import Axes, Scores, importance
from stillhouse.models.stages import cut_stages, depths_of, narrow_stages
from stillhouse.students.pick_layers import evenly

__all__ = ["shrink_stages"]


def shrink_stages(
    teacher: nn.Module,
    layers: int | Sequence[int] | None = None,
    width: Sequence[int] | None = None,
    batches: Iterable[Mapping[str, Tensor]] | None = None,
) -> nn.Module:
    """A copy with fewer blocks in its stages and fewer channels, and the teacher's weights.

    `layers`: blocks of every stage, or a list with one number for each; the first block of a stage, which changes
    resolution and channels, always stays. `width`: the channels of each stage; what lies inside a block follows in
    proportion, and so does the stem in front of the first stage.
    """
    have = depths_of(teacher)
    kept = [evenly(most, count) for most, count in zip(have, _depths(teacher, layers), strict=True)]
    if width is None:
        return cut_stages(teacher, kept)

    def weigh(fewer: nn.Module, axes: Axes, members: Mapping[str, int]) -> Scores:
        return importance(teacher, fewer, axes, members, batches)

    return narrow_stages(teacher, kept, width, weigh)


def _depths(teacher: nn.Module, layers: int | Sequence[int] | None) -> list[int]:
    have = depths_of(teacher)
    if layers is None:
        return have
    asked = [min(layers, most) for most in have] if isinstance(layers, int) else list(layers)
    if len(asked) != len(have) or any(not 1 <= count <= most for count, most in zip(asked, have, strict=True)):
        raise UsageError(
            f"Layers {layers} cannot be kept of {type(teacher).__name__}, whose stages have {have} blocks; give one "
            "number for each stage, or one for all."
        )
    return asked
