"""A model of other sizes with the weights of a larger one: fewer blocks, heads, hidden units, a narrower stream."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.pytorch_utils import Conv1D

from stillhouse.errors import UsageError
from stillhouse.models.inherit import Axes, Parts, Scores, Section, check_names, inherit, largest
from stillhouse.models.layers import Sizes, attention, blocks, fan_out, feed_forward, keep_blocks, sizes

__all__ = ["cut", "frees_heads", "narrow", "parts", "settle", "thaw"]

_FFN_FIELDS = ("intermediate_size", "hidden_dim", "n_inner", "ffn_dim")
_FOLLOW_WIDTH = ("pooler_output_size", "pooler_hidden_size", "embedding_size", "word_embed_proj_dim")
"""Fields of a configuration that repeat the hidden width; where they differ from it they stay."""

Weigh = Callable[[PreTrainedModel, Axes, Mapping[str, int]], Scores]
"""How much each member of each group matters, of a model, what its axes are made of, and the members of groups."""


def cut(model: nn.Module, layers: tuple[int, ...]) -> nn.Module:
    """A copy with the blocks `layers` alone; those that are dropped are never copied."""
    return _keep_scale(_fewer(model, layers, share=False), layers)


def _fewer(teacher: nn.Module, layers: tuple[int, ...], share: bool) -> nn.Module:
    """A copy with fewer blocks, whose weights are the teacher's own where `share`; dropped blocks are never copied."""
    stack = blocks(teacher)
    kept_as_is: list[Any] = [block for index, block in enumerate(stack) if index not in layers]
    if share:
        kept_as_is += [*teacher.parameters(), *teacher.buffers()]
    smaller = deepcopy(teacher, {id(thing): thing for thing in kept_as_is})
    keep_blocks(smaller, layers)
    if _repeats(teacher.config) and not _repeats(smaller.config):
        raise UsageError(
            f"The configuration of {type(teacher).__name__} cannot say that layers {list(layers)} are kept, so the "
            "student could not be loaded again. Keep all layers."
        )
    return smaller


def _repeats(config: Any) -> bool:
    """Whether a configuration read back from what it writes is the same."""
    if not isinstance(config, PreTrainedConfig):
        return False
    written = config.to_dict()
    try:
        return type(config).from_dict(deepcopy(written)).to_dict() == written
    except ValueError:
        return False


@torch.no_grad()
def _keep_scale(student: nn.Module, layers: tuple[int, ...]) -> nn.Module:
    """Where attention is divided by the number of its block (an option of GPT-2), let queries make up for a new one."""
    if not getattr(student.config, "scale_attn_by_inverse_layer_idx", False):
        return student
    for place, (before, block) in enumerate(zip(layers, blocks(student), strict=True)):
        query: Any = attention(block).inward[0]  # one with keys and values, which come after
        width = fan_out(query) // 3
        for weight in (query.weight, query.bias):
            weight[..., :width] *= (place + 1) / (before + 1)
        part: Any
        for part in block.modules():
            if hasattr(part, "scale_attn_by_inverse_layer_idx") and hasattr(part, "scaling"):
                part.scaling = (part.head_dim**-0.5 if part.scale_attn_weights else 1.0) / (place + 1)
    return student


def settle(teacher: nn.Module, width: int | None, heads: int | None, kv_heads: int | None, ffn: int | None) -> Sizes:
    """The sizes asked for, those not named filled in; raises UsageError where they cannot be had."""
    old, name = sizes(teacher), type(teacher).__name__
    free = "head_dim" in teacher.config.to_dict()  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    width = old.width if width is None else width
    if heads is None:
        heads = old.heads if free else width // old.head_size
    if not free and heads * old.head_size != width and not frees_heads(teacher):
        raise UsageError(
            f"{name} ties its width to its heads of {old.head_size}, which are kept whole: {heads} heads make a width "
            f"of {heads * old.head_size}, not {width}. Choose a width that is a multiple of {old.head_size}."
        )
    shared = old.heads // old.kv_heads
    if kv_heads is None:
        fitting = [count for count in range(1, old.kv_heads + 1) if heads % count == 0 and heads // count <= shared]
        kv_heads = max(fitting, default=old.kv_heads)
    if ffn is None:  # where the configuration has no word for it, it follows the width
        ffn = old.ffn if _fields(teacher.config, _FFN_FIELDS) else old.ffn * width // old.width
    goal = Sizes(width, heads, kv_heads, old.head_size, ffn)
    for part, count in asdict(goal).items():
        if not 1 <= count <= asdict(old)[part]:
            raise UsageError(
                f"A student of {part} {count} cannot be cut from {name}, which has {asdict(old)[part]}; "
                f"choose 1 to {asdict(old)[part]}."
            )
    if heads % kv_heads or heads // kv_heads > shared:
        raise UsageError(
            f"{heads} heads cannot share {kv_heads} of keys and values in a student of {name}: at most {shared} of "
            "them share one, and all that are kept must be shared by as many."
        )
    return goal


def narrow(model: PreTrainedModel, layers: tuple[int, ...], goal: Sizes, weigh: Weigh) -> PreTrainedModel:
    """A copy with the blocks `layers` and the sizes `goal`, of whose parts those are kept that `weigh` most.

    The weights of the copy are its own; the model stays as it is.
    """
    old = sizes(model)
    fewer = _fewer(model, layers, share=True)
    assert isinstance(fewer, PreTrainedModel)
    narrower: Any = _build(fewer, goal)
    narrower.to(fewer.device)
    axes, members = _axes(fewer, narrower, old, goal), _members(old, len(layers))
    inherit(narrower, fewer, axes, members, _choose(weigh(fewer, axes, members), axes, old, goal))
    narrower.train(model.training)
    _keep_scale(narrower, layers)
    return narrower


def parts(model: PreTrainedModel) -> Parts:
    """Everything that `narrow` may take from a transformer, found by comparing it with the narrowest of its kind.

    Groups are `heads.B`, `kv_heads.B` and `units.B` for block B, and `width`; `heads` where all blocks share a bias.
    """
    old = sizes(model)
    narrow_enough = old.width // 2 if "head_dim" in model.config.to_dict() else old.head_size
    least = settle(model, narrow_enough, None, None, None)
    with torch.device("meta"):
        axes = _axes(model, _build(model, least), old, least)
    return Parts(axes, _members(old, len(blocks(model))))


def _build(cut: PreTrainedModel, goal: Sizes) -> PreTrainedModel:
    """A model of the same class and other sizes, its weights not yet filled; draws no random numbers that count."""
    old = sizes(cut)
    config, fields = _reworded(cut.config, old, goal)
    try:
        with torch.random.fork_rng(devices=[]), no_init_weights():
            student: Any = type(cut)(config)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UsageError(f"{type(cut).__name__} cannot be built with {fields}: {error}") from error
    if sizes(student) != goal:
        got = asdict(sizes(student))
        wrong = ", ".join(
            f"{part} {count} (it has {got[part]})" for part, count in asdict(goal).items() if count != got[part]
        )
        raise UsageError(f"The configuration of {type(cut).__name__} cannot say {wrong}. Leave that as it follows.")
    for name, module in cut.named_modules():  # a part that the teacher has dropped
        for child, part in module._modules.items():
            if part is None:
                setattr(student.get_submodule(name), child, None)
    check_names(student, cut)
    student.tie_weights()
    if getattr(cut, "generation_config", None) is not None:
        student.generation_config = deepcopy(cut.generation_config)
    return student


def _reworded(before: Any, old: Sizes, goal: Sizes) -> tuple[Any, dict[str, int]]:
    """A configuration that says the sizes of a goal, and which of its fields were set."""
    config = deepcopy(before)
    fields = {field: goal.width for field in _FOLLOW_WIDTH if getattr(config, field, None) == old.width}
    fields |= {"hidden_size": goal.width, "num_attention_heads": goal.heads}
    if getattr(config, "num_key_value_heads", None) is not None:
        fields["num_key_value_heads"] = goal.kv_heads
    if goal.heads * goal.head_size != goal.width and getattr(config, "head_dim", None) is None:
        fields["head_dim"] = goal.head_size
    fields |= dict.fromkeys(_fields(config, _FFN_FIELDS), goal.ffn)
    for field, size in fields.items():
        setattr(config, field, size)
    return config, fields


def frees_heads(model: nn.Module) -> bool:
    """Whether a model can have heads that do not fill its width: whether its class heeds `head_dim`.

    Many classes read it though their configurations do not list it (Qwen2, Phi-3, ViT); BERT, GPT-2 and others
    compute it from width and heads.
    """
    config: Any = model.config
    if "head_dim" in config.to_dict():
        return True
    old = sizes(model)
    if not isinstance(model, PreTrainedModel) or old.heads == 1:
        return False
    fitting = [count for count in range(1, old.heads) if old.heads % count == 0]
    fewer = replace(old, heads=fitting[-1], kv_heads=min(old.kv_heads, fitting[-1]))
    try:
        with torch.device("meta"):
            _build(model, fewer)
    except UsageError:
        return False
    return True


def _fields(config: Any, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if hasattr(config, name)]


def _members(old: Sizes, depth: int) -> dict[str, int]:
    """The groups of a transformer and how many members each has."""
    by_block = {"heads": old.heads, "kv_heads": old.kv_heads, "units": old.ffn}
    members = {f"{group}.{block}": count for block in range(depth) for group, count in by_block.items()}
    return members | {"width": old.width, "heads": old.heads}


def _axes(teacher: nn.Module, student: nn.Module, old: Sizes, goal: Sizes) -> Axes:
    """What the axes of each weight are made of.

    Attention and feed-forward parts are found by role. Every other axis that is the teacher's width there (or several
    side by side) and the student's here lies in the stream of hidden states; one that counts heads is a bias that
    all blocks share.
    """
    axes: defaultdict[str, dict[int, tuple[Section, ...]]] = defaultdict(dict)
    names = {id(module): name for name, module in teacher.named_modules()}
    for index, block in enumerate(blocks(teacher)):
        for layer, rows, columns in _sections(block, index, old):
            across = isinstance(layer, Conv1D)  # its weight is [inputs, outputs]
            weight, bias = (f"{names[id(layer)]}.{part}" for part in ("weight", "bias"))
            if rows:
                axes[weight][1 if across else 0] = rows
                axes[bias][0] = rows
            if columns:
                axes[weight][0 if across else 1] = columns
    smaller = student.state_dict()
    for name, weight in teacher.state_dict().items():
        for axis, (before, after) in enumerate(zip(weight.shape, smaller[name].shape, strict=True)):
            if axis in axes[name] or before == after:
                continue
            if before % old.width == 0 and before * goal.width == after * old.width:
                axes[name][axis] = (Section("width"),) * (before // old.width)
            elif (before, after) == (old.heads, goal.heads):
                axes[name][axis] = (Section("heads"),)
    return axes


def _sections(
    block: nn.Module, index: int, old: Sizes
) -> Iterable[tuple[nn.Module, tuple[Section, ...], tuple[Section, ...]]]:
    """The layers of a block, with what their outputs and their inputs are made of; empty for hidden states."""
    seen, ffn = attention(block), feed_forward(block)
    query, key = Section(f"heads.{index}", old.head_size), Section(f"kv_heads.{index}", old.head_size)
    unit = Section(f"units.{index}")
    if seen.by_head:
        yield seen.inward[0], (replace(query, unit=3 * old.head_size),), ()
    elif len(seen.inward) == 1:
        yield seen.inward[0], (query, key, key), ()
    else:
        yield from ((layer, (rows,), ()) for layer, rows in zip(seen.inward, (query, key, key), strict=True))
    yield from ((layer, (query,), ()) for layer in seen.positions)
    for norm, rows in ((seen.query_norm, query), (seen.key_norm, key)):
        if (
            norm is not None and sum(map(len, norm.parameters())) > old.head_size
        ):  # OLMo's; others are one for all heads
            yield norm, (rows,), ()
    yield seen.output, (), (query,)
    yield from ((layer, (unit,) * (fan_out(layer) // old.ffn), ()) for layer in ffn.inward)
    yield ffn.outward, (), (unit,)


def _choose(scores: Scores, plan: Axes, old: Sizes, goal: Sizes) -> dict[str, Tensor]:
    """The members of each group that the student keeps."""
    depth = sum(group.startswith("units.") for group in scores)
    shared = any(section.group == "heads" for axes in plan.values() for parts in axes.values() for section in parts)
    kept = {"width": largest(scores["width"], goal.width)}
    for block in range(depth):
        over = range(depth) if shared else (block,)
        heads, kv_heads = (
            torch.stack([scores[f"{group}.{one}"] for one in over]).sum(0) for group in ("heads", "kv_heads")
        )
        kept[f"heads.{block}"], kept[f"kv_heads.{block}"] = _choose_heads(heads, kv_heads, goal)
        kept[f"units.{block}"] = largest(scores[f"units.{block}"], goal.ffn)
    kept["heads"] = kept["heads.0"]
    return kept


def _choose_heads(heads: Tensor, kv_heads: Tensor, goal: Sizes) -> tuple[Tensor, Tensor]:
    """The heads of keys and values whose own score and heads' scores sum highest, and the best heads of each."""
    by_kv = heads.unflatten(0, (len(kv_heads), -1))
    kept = largest(kv_heads + by_kv.sum(-1), goal.kv_heads)
    each = goal.heads // goal.kv_heads
    return torch.cat([index * by_kv.shape[1] + largest(by_kv[index], each) for index in kept.tolist()]), kept


def thaw(model: nn.Module) -> nn.Module:
    """A model that learns, if it was frozen as a whole; what was frozen in part stays so."""
    if not any(weight.requires_grad for weight in model.parameters()):
        model.requires_grad_(True)
    return model
