"""A smaller student from a larger model: fewer layers, narrower ones, its weights inherited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn
from transformers import PreTrainedModel

from stillhouse.errors import UsageError
from stillhouse.models.inherit import Axes, Scores, importance
from stillhouse.models.layers import blocks
from stillhouse.models.resize import cut, narrow, settle, thaw
from stillhouse.models.stages import in_stages
from stillhouse.students.pick_layers import pick
from stillhouse.students.stages import shrink_stages

__all__ = ["shrink"]


def shrink(
    teacher: nn.Module,
    layers: int | Sequence[int] | None = None,
    width: int | Sequence[int] | None = None,
    heads: int | None = None,
    kv_heads: int | None = None,
    ffn: int | None = None,
    batches: Iterable[Mapping[str, Tensor]] | None = None,
) -> nn.Module:
    """A smaller copy of `teacher`, of its class, that starts with the teacher's weights; the teacher stays as it is.

    `layers`: how many blocks (spread evenly) or which ones, from 0. `width`: the hidden size. `heads`, `kv_heads`:
    attention heads, and heads of keys and values where queries share them; a head is kept whole or not at all, and
    where the architecture ties width = heads x head size (BERT, GPT-2) either one gives the other. `ffn`: hidden units
    of the feed-forward part. What is not named stays. Heads, units and channels that matter most are kept: on `batches`
    (keyword arguments of the model) by their activations, without them by their weights (see `models.inherit`).

    A convolutional model in stages (ResNet, ConvNeXt) takes `layers` as blocks of each stage (one number or one each)
    and `width` as channels of each stage. Of any model its number of layers can be changed; sizes need a model of
    Transformers whose parts `models.layers` finds. A teacher that is frozen as a whole gives a student that learns.
    """
    if in_stages(teacher):
        if (heads, kv_heads, ffn) != (None, None, None) or isinstance(width, int):
            raise UsageError(
                f"{type(teacher).__name__} is built in stages: give layers (blocks of each stage) and width (a list: "
                "channels of each stage) only."
            )
        return thaw(shrink_stages(teacher, layers, width, batches))
    chosen = pick(len(blocks(teacher)), layers)
    if (width, heads, kv_heads, ffn) == (None, None, None, None):
        return thaw(cut(teacher, chosen))
    if not (width is None or isinstance(width, int)):
        raise UsageError(f"{type(teacher).__name__} has one width, not {list(width)}.")
    if not isinstance(teacher, PreTrainedModel):
        raise UsageError(
            f"Only a model of Transformers can be made narrower, and {type(teacher).__name__} is none. "
            "If it carries adapters, merge them first."
        )
    goal = settle(teacher, width, heads, kv_heads, ffn)

    def weigh(fewer: nn.Module, axes: Axes, members: Mapping[str, int]) -> Scores:
        return importance(teacher, fewer, axes, members, batches)

    return narrow(teacher, chosen, goal, weigh)
