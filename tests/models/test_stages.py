"""Models in stages: their blocks, what channels belong together, and copies with fewer of both."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import RegNetConfig, RegNetForImageClassification

from stillhouse.errors import UsageError
from stillhouse.models.stages import (
    cut_stages,
    depths_of,
    in_stages,
    narrow_stages,
    narrows,
    stage_blocks,
    stage_parts,
)
from tests.models import kinds

every_kind = pytest.mark.parametrize("kind", kinds.STAGES)


@every_kind
def test_models_in_stages_are_told_from_others(kind):
    assert in_stages(kinds.make(kind))
    assert not in_stages(kinds.make("vit"))
    assert not in_stages(nn.Linear(2, 2))


@every_kind
def test_blocks_are_counted_and_cut_stage_by_stage(kind):
    model = kinds.make(kind)
    fewer = cut_stages(model, [[0], [0, 2], [0, 1]])
    assert (depths_of(model), depths_of(fewer), list(fewer.config.depths)) == ([1, 3, 2], [1, 2, 2], [1, 2, 2])
    mine, theirs = (dict(stage_blocks(one)[1][at].named_parameters()) for one, at in ((fewer, 1), (model, 2)))
    assert all(torch.equal(weight, theirs[name]) for name, weight in mine.items())


@every_kind
def test_the_channels_of_stages_are_found(kind):
    model = kinds.make(kind)
    found, weights = stage_parts(model), model.state_dict()
    for stage, count in enumerate(model.config.hidden_sizes):
        assert found.members.get(f"stage.{stage}", found.members.get("stem")) == count or stage == 0
    for name, axes in found.axes.items():
        for axis, (section,) in axes.items():
            assert weights[name].shape[axis] == found.members[section.group]


@every_kind
def test_what_is_kept_is_what_weighs_most(kind):
    model = kinds.make(kind)
    width = [size // 2 for size in model.config.hidden_sizes]

    def weigh(fewer, axes, members):
        return {group: -torch.arange(count).float() for group, count in members.items()}

    narrower = narrow_stages(model, [[0], [0, 1, 2], [0, 1]], width, weigh)
    assert list(narrower.config.hidden_sizes) == width
    head, whole = ([part for part in one.modules() if isinstance(part, nn.Linear)][-1] for one in (narrower, model))
    assert torch.equal(head.weight, whole.weight[:, : width[-1]])


def test_where_channels_branch_nothing_is_known_of_them():
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 2], "groups_width": 8, "num_labels": 5}
    model = RegNetForImageClassification(RegNetConfig(**sizes, layer_type="y"))
    assert not narrows(model)
    with pytest.raises(UsageError, match="How channels flow through RegNetForImageClassification is not known"):
        stage_parts(model)
