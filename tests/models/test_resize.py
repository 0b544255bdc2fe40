"""What can be taken from a transformer is found, and a copy of other sizes has the weights that are kept."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.inherit import Section
from stillhouse.models.layers import blocks, sizes
from stillhouse.models.resize import cut, frees_heads, narrow, parts, settle, thaw
from tests.models import kinds

HEEDING = {"llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3", "olmo2", "phi3", "vit", "deit", "dinov2"}


@pytest.mark.parametrize("kind", kinds.TRANSFORMERS)
def test_it_is_known_whose_heads_may_leave_the_width_unfilled(kind):
    assert frees_heads(kinds.make(kind)) == (kind in HEEDING)


@pytest.mark.parametrize("kind", kinds.TRANSFORMERS)
def test_the_parts_of_a_transformer_are_found_without_knowing_what_is_wanted(kind):
    model = kinds.make(kind)
    found, weights = parts(model), model.state_dict()
    for name, axes in found.axes.items():
        for axis, sections in axes.items() if name in weights else ():
            assert weights[name].shape[axis] == sum(found.members[one.group] * one.unit for one in sections), name
    read = {section.group for axes in found.axes.values() for sections in axes.values() for section in sections}
    assert {"width", "units.0", "heads.2"} <= read
    if kind not in kinds.IMAGES:
        table = model.get_input_embeddings().weight
        name = next(name for name, weight in model.named_parameters() if weight is table)
        assert found.axes[name][1] == (Section("width"),)


def test_what_is_kept_is_what_weighs_most():
    model = kinds.make("llama")

    def weigh(fewer, axes, members):
        return {group: torch.arange(count).float() for group, count in members.items()}

    narrower = narrow(model, (0, 2), settle(model, None, 4, 2, 16), weigh)
    for mine, place in zip(blocks(narrower), (0, 2), strict=True):
        assert torch.equal(mine.mlp.up_proj.weight, blocks(model)[place].mlp.up_proj.weight[-16:])
        assert mine.mlp.up_proj.weight.data_ptr() != blocks(model)[place].mlp.up_proj.weight.data_ptr()
    assert sizes(narrower).ffn == 16


def test_sizes_that_are_not_named_are_filled_in():
    model = kinds.make("llama")
    assert settle(model, None, None, None, None) == sizes(model)
    assert settle(model, None, 1, None, None).kv_heads == 1
    assert settle(kinds.make("qwen2"), None, 2, 2, None).heads == 2
    with pytest.raises(UsageError, match="ties its width to its heads of 8"):
        settle(kinds.make("gpt2"), None, 2, None, None)


def test_blocks_are_cut_from_a_copy():
    model = kinds.make("gpt2")
    fewer = cut(model, (0, 2))
    assert (len(blocks(fewer)), len(blocks(model))) == (2, 3)
    assert torch.equal(blocks(fewer)[1].mlp.c_fc.weight, blocks(model)[2].mlp.c_fc.weight)


def test_only_what_is_frozen_as_a_whole_is_thawed():
    model = kinds.make("gpt2").requires_grad_(False)
    assert all(weight.requires_grad for weight in thaw(model).parameters())
    blocks(model)[0].requires_grad_(False)
    assert not any(weight.requires_grad for weight in blocks(thaw(model))[0].parameters())
